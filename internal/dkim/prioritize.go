package dkim

import (
	"math/bits"
	"strings"

	"signpost/internal/message"
)

// claim is a DKIM-Signature field before it is parsed.
type claim struct {
	field  int
	domain string // the SDID, if usable
	chance int
	check  int // index into checks; -1: not evaluated
}

// maxBroken is how many malformed signatures are parsed in addition to those that are
// evaluated, if there are too many signatures.
const maxBroken = 32

// prioritize parses no more signatures than are evaluated: first those whose domain is
// likeliest to align with an author domain, then from the top. Up to maxBroken
// malformed ones do not count, since parsing is all that they cost.
func (v *Verification) prioritize(h message.Header, n int) {
	v.claims = make([]claim, 0, n)
	v.checks = make([]check, 0, min(n, v.opt.MaxSignatures+maxBroken))
	var chances uint64 // a bit for each chance that occurs
	for i, f := range h {
		if f.Is(fieldName) {
			c := claim{field: i, domain: claimedDomain(f.Value), check: -1}
			c.chance = v.chance(c.domain)
			chances |= 1 << c.chance
			v.claims = append(v.claims, c)
		}
	}
	left, most := v.opt.MaxSignatures, v.opt.MaxSignatures+maxBroken
	for left > 0 && chances != 0 {
		chance := bits.Len64(chances) - 1
		chances &^= 1 << chance
		for i := range v.claims {
			if c := &v.claims[i]; c.chance == chance && left > 0 && len(v.checks) < most {
				c.check = len(v.checks)
				if v.read(c.field, h[c.field]).result == "" {
					left--
				}
			}
		}
	}
}

// claimedDomain returns the SDID that Signature.parse finds in a well-formed field.
func claimedDomain(value string) string {
	if len(value) > maxFieldOctets {
		return ""
	}
	for range maxTags {
		spec, rest, more := strings.Cut(value, ";")
		if name, domain, _ := strings.Cut(spec, "="); trimFWS(name) == "d" {
			return domainName(trimFWS(domain))
		}
		if value = rest; !more {
			break
		}
	}
	return ""
}

const (
	// maxChance is the chance of the author domain itself; it is less than 64.
	maxChance = 2*maxCommonLabels + 2
	// maxCommonLabels is the largest number of common labels that counts.
	maxCommonLabels = 16
)

// chance orders domains by how likely DMARC finds them aligned with an author's: first
// the author domain itself; then by the number of common labels, a parent or child
// before a sibling. An exact answer would need the organizational domain.
func (v *Verification) chance(domain string) int {
	best := 0
	for _, author := range v.opt.AuthorDomains {
		common := commonLabels(author, domain)
		chance := 2 * min(common, maxCommonLabels)
		switch {
		case author == domain:
			return maxChance
		case within(author, domain) || within(domain, author):
			chance++
		case common < 2: // a common top-level domain says nothing
			chance = 0
		}
		best = max(best, chance)
	}
	return best
}

// KeyMayAlign reports whether a signature that uses key i could align with an author
// domain. It judges by the names alone, without DNS.
func (v *Verification) KeyMayAlign(i int) bool {
	return i >= 0 && i < len(v.keys) && v.keys[i].mayAlign
}

// commonLabels counts the common labels at the end of two names.
func commonLabels(a, b string) int {
	n := 0
	for a != "" && b != "" {
		i, j := strings.LastIndexByte(a, '.'), strings.LastIndexByte(b, '.')
		if a[i+1:] != b[j+1:] {
			break
		}
		n++
		a, b = a[:max(i, 0)], b[:max(j, 0)]
	}
	return n
}
