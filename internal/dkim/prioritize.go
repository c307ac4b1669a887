package dkim

import (
	"math/bits"
	"strings"

	"signpost/internal/message"
)

// claim is a DKIM-Signature field, as far as it is known before it is read.
type claim struct {
	field  int
	domain string // the SDID, if it is usable
	chance int
	check  int // index into checks, or -1: it is not evaluated
}

// maxBroken is how many signatures that are good for nothing are read beside those
// that are evaluated, where there are many.
const maxBroken = 32

// prioritize reads only as many signatures as are evaluated, where there are more:
// those whose domain is likeliest to align with an author's first, and then from the
// top. Up to maxBroken with a mistake do not count, since they cost no more than to read
// them.
func (v *Verification) prioritize(h message.Header, n int) {
	v.claims = make([]claim, 0, n)
	v.checks = make([]check, 0, min(n, v.opt.MaxSignatures+maxBroken))
	var chances uint64 // those that there are
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

// claimedDomain is what ParseSignature finds for the SDID in a field without
// mistakes.
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
	// maxChance is that of the author domain itself; it is less than 64.
	maxChance = 2*maxCommonLabels + 2
	// maxCommonLabels is how many labels in common make a difference.
	maxCommonLabels = 16
)

// chance orders domains by how likely DMARC finds them aligned with an author's: the
// author domain itself; then by the labels in common, and of those a parent or child
// before a sibling. To know, it would have to look for the organizational domain.
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
		case common < 2: // a top-level domain in common says nothing
			chance = 0
		}
		best = max(best, chance)
	}
	return best
}

// KeyMayAlign reports whether a signature that uses key i could align with an author
// domain, as far as the names say without DNS.
func (v *Verification) KeyMayAlign(i int) bool {
	return i >= 0 && i < len(v.keys) && v.keys[i].mayAlign
}

// commonLabels counts the labels at the end of both names.
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
