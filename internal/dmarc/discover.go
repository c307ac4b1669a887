package dmarc

import (
	"context"
	"fmt"

	"signpost/internal/message"
)

// Method is the way to find organizational domains, in the words of aggregate reports
// (RFC 9990 §3.1.1.5).
type Method string

const (
	TreeWalk Method = "treewalk" // by the records in DNS (RFC 9989 §4.10); the zero value too
	PSL      Method = "psl"      // by the built-in list of public suffixes (RFC 7489 §3.2)
)

// A Discovery is the result for one author domain. It belongs to one message and one
// goroutine, and remembers each DNS answer.
type Discovery struct {
	// AuthorDomain is the domain as A-labels.
	AuthorDomain string
	// Method is the method used for organizational domains.
	Method Method
	// Record is the record that applies, nil if none does. It was found at
	// RecordDomain: the author domain, its organizational domain or its public suffix.
	Record       *Record
	RecordDomain string
	// OrgDomain is the author domain's organizational domain, "" if finding the record
	// did not need it.
	OrgDomain string
	// Published is the record's policy for this author domain: its p=, sp= or np=.
	Published Policy
	// Reason says, for a person, why no record applies.
	Reason string
	// Err is set if a look-up failed; a later attempt may succeed.
	Err error

	// existence is the error of the query whether the author domain exists. It matters
	// only for messages that do not pass.
	existence error
	// invalid is set if the only record is invalid as a whole; flawed if there is
	// another text that was meant as a record.
	invalid, flawed bool
	asked           *answers
	// presumed is the discovery under the assumption that the failed names have no
	// record. It is nil without Err, and if it has no record.
	presumed *Discovery
	// ruledAt is the domain of UnderRule where no record is known, "" otherwise.
	ruledAt string
}

// Steps returns the look-ups of policy records, in order; an evaluation may add to
// them.
func (d Discovery) Steps() []Step {
	if d.asked == nil {
		return nil
	}
	steps := make([]Step, len(d.asked.steps))
	for i, s := range d.asked.steps {
		steps[i] = *s
	}
	return steps
}

// Discover finds the policy record for an author domain (§4.10.1).
func Discover(ctx context.Context, r Resolver, authorDomain string, method Method) Discovery {
	return DiscoverWith(ctx, r, authorDomain, method, nil)
}

// DiscoverWith is Discover with a function that stands in for ParseRecord, and returns the
// same; nil is ParseRecord. It may return one Record to many callers. An evaluation of the
// discovery calls it too.
func DiscoverWith(ctx context.Context, r Resolver, authorDomain string, method Method, parse func(txt string) (*Record, error)) Discovery {
	if method == "" {
		method = TreeWalk
	}
	d := Discovery{AuthorDomain: authorDomain, Method: method, asked: &answers{parse: parse}}
	// §5.3.1, RFC 8616 §6: names are looked up as A-labels
	author, ok := message.DomainToASCII(authorDomain)
	if !ok {
		d.Reason = fmt.Sprintf("the author domain %q is not a domain name", quoted(authorDomain))
		return d
	}
	d.AuthorDomain = author
	own := d.asked.ask(ctx, r, author)
	switch {
	case own.Err != nil:
		d.Err = own.Err
	case own.Record != nil:
		d.apply(own)
	case method == PSL:
		d.findByList(ctx, r, own)
	default:
		d.findByWalk(ctx, r)
	}
	if d.Err != nil {
		d.presumed = d.presume(ctx, r, own)
		return d
	}
	d.choosePolicy(ctx, r)
	return d
}

// presume looks for the record of the organizational domain and skips failing names
// below it. A sender can choose an author domain with failing name servers below a
// domain with working ones. §4.10.1 leaves this case to the receiver.
func (d *Discovery) presume(ctx context.Context, r Resolver, own *Step) *Discovery {
	p := *d
	p.Err = nil
	if d.Method == PSL {
		p.findByList(ctx, r, own)
	} else {
		found := p.asked.walkPast(ctx, r, d.AuthorDomain)
		p.OrgDomain = organizational(d.AuthorDomain, found)
		for _, s := range found {
			// A public suffix does not speak for its registrants.
			if s.Domain == p.OrgDomain && s.psd() != PSDYes {
				p.apply(s)
			}
		}
	}
	if p.Err != nil || p.Record == nil {
		return nil
	}
	p.choosePolicy(ctx, r)
	return &p
}

// findByWalk looks for the record above an author domain that has none (§4.10.1).
func (d *Discovery) findByWalk(ctx context.Context, r Resolver) {
	found, err := d.asked.walk(ctx, r, d.AuthorDomain)
	if err != nil {
		d.Err = err
		return
	}
	d.OrgDomain = organizational(d.AuthorDomain, found)
	for _, s := range found {
		if s.Domain == d.OrgDomain {
			d.apply(s)
			return
		}
	}
	if len(found) == 0 {
		return
	}
	// The walk stops at a public suffix, so that is the last record found. Its policy
	// is for organizational domains without a record of their own (§4.10.1, note). The
	// walk has asked for that record, unless the shortcut for long names jumped over it.
	switch org := d.asked.ask(ctx, r, d.OrgDomain); {
	case org.Err != nil:
		d.Err = org.Err
	case org.Record != nil:
		d.apply(org)
	default:
		d.apply(found[len(found)-1])
	}
}

// findByList looks for the record of the organizational domain by the list (RFC 7489
// §6.6.3).
func (d *Discovery) findByList(ctx context.Context, r Resolver, own *Step) {
	d.OrgDomain = registered(d.AuthorDomain)
	// RFC 7489 §6.6.3 step 5: several records end the search
	if own.several || d.OrgDomain == d.AuthorDomain {
		return
	}
	s := d.asked.ask(ctx, r, d.OrgDomain)
	switch {
	case s.Err != nil:
		d.Err = s.Err
	case s.Record != nil:
		d.apply(s)
	}
}

// apply sets the record, unless it contains no usable policy (§4.10.1).
func (d *Discovery) apply(s *Step) {
	d.RecordDomain = s.Domain
	if s.Record.Unusable != "" {
		d.Reason = fmt.Sprintf("the DMARC record of %s is of no use: %s", s.Domain, s.Record.Unusable)
		return
	}
	d.Record = s.Record
}

// choosePolicy sets the record's policy for this author domain, or the reason why there
// is none.
func (d *Discovery) choosePolicy(ctx context.Context, r Resolver) {
	if d.Record == nil {
		d.explain()
		return
	}
	rec := d.Record
	// §4.10.1: p= for the domain itself; §4.7: sp=, or p= without it, for subdomains
	d.Published = rec.P
	if d.RecordDomain == d.AuthorDomain {
		return
	}
	if rec.SP != "" {
		d.Published = rec.SP
	}
	if rec.NP == "" || rec.NP == d.Published {
		return
	}
	// §3.2.13: np= is for domains that do not exist
	exists, err := r.Exists(ctx, d.AuthorDomain)
	if err != nil {
		d.existence = &LookupError{Name: d.AuthorDomain, Err: err, what: "asking whether %s exists"}
		return
	}
	if !exists {
		d.Published = rec.NP
	}
}

// explain says why no record applies.
func (d *Discovery) explain() {
	if d.Reason != "" {
		d.flawed = true // an unusable record
		return
	}
	d.Reason = "no DMARC record for " + d.AuthorDomain
	for _, s := range d.asked.steps {
		if s.invalid {
			d.invalid = true
			d.Reason = fmt.Sprintf("invalid DMARC record of %s: %s", s.Domain, s.Problem)
			return
		}
	}
	for _, s := range d.asked.steps {
		if s.several {
			d.flawed = true
			d.Reason = fmt.Sprintf("no usable DMARC record for %s: at %s are %s", d.AuthorDomain, s.Domain, s.Problem)
			return
		}
	}
	for _, s := range d.asked.steps {
		if s.missed {
			d.flawed = true
			d.Reason += ": " + s.Problem
			return
		}
	}
}

// OrganizationalDomain finds a domain's organizational domain (§4.10.2). The error is a
// failed look-up, or says that domain is not a domain name. By PSL, the resolver is not used.
func OrganizationalDomain(ctx context.Context, r Resolver, domain string, method Method) (string, error) {
	ascii, ok := message.DomainToASCII(domain)
	if !ok {
		return "", fmt.Errorf("%q is not a domain name", quoted(domain))
	}
	return method.organizational(ctx, r, &answers{}, ascii)
}

// organizational finds the organizational domain of a name in A-labels.
func (m Method) organizational(ctx context.Context, r Resolver, asked *answers, domain string) (string, error) {
	if m == PSL {
		return registered(domain), nil
	}
	found, err := asked.walk(ctx, r, domain)
	if err != nil {
		return "", err
	}
	return organizational(domain, found), nil
}
