package dkim

import "strings"

// choose decides which signatures are evaluated, when there are too many: those
// whose domain is likeliest to align with an author's first, and then from the
// top. The cost of one that is not is that of reading it.
func (v *Verification) choose() {
	left := v.opt.MaxSignatures
	if len(v.checks) <= left {
		return
	}
	for _, chance := range [...]alignment{sameBranch, sameTree, unrelated} {
		for i := range v.checks {
			c := &v.checks[i]
			if c.verdict.result != "" || v.alignment(c.sig.Domain) != chance {
				continue
			}
			if left == 0 {
				c.verdict = verdict{Neutral, reasonTooMany}
				continue
			}
			left--
		}
	}
}

// alignment is how far a domain could be one that DMARC finds aligned with an
// author's. To know, it would have to look for the organizational domain.
type alignment int

const (
	unrelated  alignment = iota
	sameTree             // two labels or more in common
	sameBranch           // the same, or one is the parent
)

func (v *Verification) alignment(domain string) alignment {
	best := unrelated
	for _, author := range v.opt.AuthorDomains {
		if within(author, domain) || within(domain, author) {
			return sameBranch
		}
		if within(author, lastTwoLabels(domain)) {
			best = sameTree
		}
	}
	return best
}

func lastTwoLabels(domain string) string {
	i := strings.LastIndexByte(domain, '.')
	i = strings.LastIndexByte(domain[:max(i, 0)], '.')
	return domain[i+1:]
}
