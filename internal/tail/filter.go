package tail

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"signpost/internal/message"
)

// Filter chooses messages. An empty field chooses all; each field that is set must match.
type Filter struct {
	// Domains: one of them, or a domain above it, is an author domain, the domain of the
	// envelope, or d= of a signature.
	Domains []string
	// Direction is Inbound, Outbound or "".
	Direction string
	// Results: one of them is the disposition ("reject"), the result of a check ("fail",
	// "dmarc=fail"), or "signed", "unsigned", "unjudged".
	Results []string
	// Unsigned: a message of ours that went on without a signature.
	Unsigned bool
	// WouldRefuse: enforce mode would have refused, held or tagged it.
	WouldRefuse bool
}

// The names of the filter's fields in a query.
const (
	domainKey      = "domain"
	directionKey   = "direction"
	resultKey      = "result"
	unsignedKey    = "unsigned"
	wouldRefuseKey = "would-refuse"
)

// MaxFilterWords limits the domains and the results of a filter.
const MaxFilterWords = 100

// Query returns the filter as ParseFilter reads it.
func (f Filter) Query() url.Values {
	q := url.Values{}
	for _, d := range f.Domains {
		q.Add(domainKey, d)
	}
	for _, r := range f.Results {
		q.Add(resultKey, r)
	}
	if f.Direction != "" {
		q.Set(directionKey, f.Direction)
	}
	if f.Unsigned {
		q.Set(unsignedKey, "true")
	}
	if f.WouldRefuse {
		q.Set(wouldRefuseKey, "true")
	}
	return q
}

// ParseFilter reads a filter from the values of a query. known are the results that each
// check may have, by method. The error says what to write instead.
func ParseFilter(q url.Values, known map[string][]string) (Filter, error) {
	f := Filter{Unsigned: q.Get(unsignedKey) == "true", WouldRefuse: q.Get(wouldRefuseKey) == "true"}
	if len(q[domainKey]) > MaxFilterWords || len(q[resultKey]) > MaxFilterWords {
		return f, fmt.Errorf("more than %d domains or results: choose fewer", MaxFilterWords)
	}
	for _, d := range q[domainKey] {
		ascii, ok := message.DomainToASCII(strings.TrimSuffix(d, "."))
		if !ok {
			return f, fmt.Errorf("domain %q is none: write one such as example.com", d)
		}
		f.Domains = append(f.Domains, ascii)
	}
	switch d := q.Get(directionKey); d {
	case "", Inbound, Outbound:
		f.Direction = d
	case "in":
		f.Direction = Inbound
	case "out":
		f.Direction = Outbound
	default:
		return f, fmt.Errorf("direction %q is none: write in or out", d)
	}
	for _, r := range q[resultKey] {
		r = strings.ToLower(r)
		if !knownResult(r, known) {
			return f, fmt.Errorf("result %q is none: write one such as reject, accept, signed, unsigned, dmarc=fail or spf=softfail", r)
		}
		f.Results = append(f.Results, r)
	}
	return f, nil
}

// The results that are no word of a check.
var (
	dispositions = []string{string(message.Accept), string(message.Quarantine), string(message.Reject), string(message.Tempfail)}
	ownResults   = []string{"signed", "unsigned", "unjudged"}
)

func knownResult(r string, known map[string][]string) bool {
	if slices.Contains(dispositions, r) || slices.Contains(ownResults, r) {
		return true
	}
	method, value, ok := strings.Cut(r, "=")
	if ok {
		return slices.Contains(known[method], value)
	}
	for _, values := range known {
		if slices.Contains(values, r) {
			return true
		}
	}
	return false
}

// Match reports whether the filter chooses a message.
func (f *Filter) Match(e *Event) bool {
	return (f.Direction == "" || f.Direction == e.Direction) &&
		(!f.Unsigned || e.Unsigned) &&
		(!f.WouldRefuse || e.Would != "") &&
		(len(f.Domains) == 0 || slices.ContainsFunc(f.Domains, e.concerns)) &&
		(len(f.Results) == 0 || slices.ContainsFunc(f.Results, e.has))
}

// concerns reports whether the message has to do with a domain or one below it.
func (e *Event) concerns(domain string) bool {
	_, sender := splitPath(e.Sender)
	if sender == "" {
		sender = e.Sender
	}
	below := func(name string) bool {
		if _, after := splitPath(name); after != "" {
			name = after
		}
		if ascii, ok := message.DomainToASCII(name); ok {
			name = ascii
		}
		return name == domain || strings.HasSuffix(name, "."+domain)
	}
	return below(sender) || slices.ContainsFunc(e.FromDomains, below) || slices.ContainsFunc(e.To, below) ||
		slices.ContainsFunc(e.Signatures, func(s Signature) bool { return below(s.Domain) })
}

// has reports whether the message has a result.
func (e *Event) has(result string) bool {
	switch result {
	case "signed":
		return len(e.Signatures) > 0
	case "unsigned":
		return e.Unsigned
	case "unjudged":
		return e.Direction == Inbound && len(e.Results) == 0
	}
	if string(e.Disposition) == result {
		return true
	}
	method, value, one := strings.Cut(result, "=")
	return slices.ContainsFunc(e.Results, func(r Result) bool {
		if one {
			return r.Method == method && r.Value == value
		}
		return r.Value == result
	})
}
