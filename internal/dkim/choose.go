package dkim

import "strings"

// choose decides which signatures are evaluated, when there are too many: those
// whose domain is likeliest to align with an author's first, and then from the
// top. The cost of one that is not is that of reading it.
func (v *Verification) choose() {
	if len(v.checks) <= v.opt.MaxSignatures {
		return
	}
	var having [maxChance + 1]int
	for i := range v.checks {
		if c := &v.checks[i]; c.verdict.result == "" {
			having[v.chance(c.sig.Domain)]++
		}
	}
	// The chance of the last ones that are evaluated, and how many those are.
	least, left := maxChance, v.opt.MaxSignatures
	for least > 0 && having[least] < left {
		left -= having[least]
		least--
	}
	for i := range v.checks {
		c := &v.checks[i]
		if c.verdict.result != "" {
			continue
		}
		switch chance := v.chance(c.sig.Domain); {
		case chance > least:
		case chance == least && left > 0:
			left--
		default:
			c.verdict = verdict{Neutral, reasonTooMany}
		}
	}
}

const (
	// maxChance is that of the author domain itself.
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
