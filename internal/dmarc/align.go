package dmarc

import (
	"context"

	"signpost/internal/message"
)

// maxWalks limits for how many identifiers of one message DNS is queried; later ones
// count as not aligned. It bounds the look-ups that a message with many signatures can
// cause.
const maxWalks = 16

// alignment compares identifiers with one author domain.
type alignment struct {
	author string
	// ruledAt is a domain whose subdomains are aligned without a look-up, "" for none.
	ruledAt string
	// org is the author domain's organizational domain, "" until needed.
	org    string
	method Method
	asked  *answers
	walks  int
}

func newAlignment(d Discovery) *alignment {
	a := &alignment{author: d.AuthorDomain, ruledAt: d.ruledAt, org: d.OrgDomain, method: d.Method, asked: d.asked}
	if a.asked == nil {
		a.asked = &answers{}
	}
	return a
}

// first returns the first authenticated identifier whose domain is aligned. An error is
// a failed look-up that left this open; it comes with no domain.
func (a *alignment) first(ctx context.Context, r Resolver, mode Mode, ids []Identifier, which func(Identifier) bool) (string, error) {
	var domains []string
	for _, id := range ids {
		domain, ok := message.DomainToASCII(id.Domain)
		if !ok || !which(id) {
			continue
		}
		// §4.10.2: an equal domain needs no look-up, in either mode
		if domain == a.author || (a.ruledAt != "" && within(domain, a.ruledAt)) {
			return domain, nil
		}
		domains = append(domains, domain)
	}
	if mode == Strict {
		return "", nil
	}
	var unknown error
	for _, domain := range domains {
		ok, err := a.relaxed(ctx, r, domain)
		if ok {
			return domain, nil
		}
		if unknown == nil {
			unknown = err
		}
	}
	return "", unknown
}

// relaxed reports whether a domain has the author domain's organizational domain
// (§4.4). That is the domain itself or a parent, so domains that cannot have it need no
// look-up.
func (a *alignment) relaxed(ctx context.Context, r Resolver, domain string) (bool, error) {
	if a.org == "" {
		if lastLabels(domain, 1) != lastLabels(a.author, 1) {
			return false, nil
		}
		org, err := a.method.organizational(ctx, r, a.asked, a.author)
		if err != nil {
			return false, err
		}
		a.org = org
	}
	if !within(domain, a.org) || a.walks >= maxWalks {
		return false, nil
	}
	before := len(a.asked.steps)
	org, err := a.method.organizational(ctx, r, a.asked, domain)
	if len(a.asked.steps) > before {
		a.walks++
	}
	return err == nil && org == a.org, err
}

// undecided returns an error if an identifier that is, or may be, aligned had a
// temporary error: a pass would have made the message pass.
func (a *alignment) undecided(ctx context.Context, r Resolver, mode Mode, mechanism string, ids []Identifier) error {
	domain, err := a.first(ctx, r, mode, ids, Identifier.undecided)
	if domain == "" {
		return err
	}
	undecided := &UndecidedError{Mechanism: mechanism, Domain: domain}
	for _, id := range ids {
		if ascii, _ := message.DomainToASCII(id.Domain); ascii == domain && id.undecided() {
			undecided.Err = id.Err
			break
		}
	}
	return undecided
}
