package outgoing

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"signpost/internal/dmarc"
)

const (
	// maxDestinations is how many addresses a report goes to (RFC 9990 §3.5: the receiver's
	// limit on supported URIs), and maxConsidered how many URIs of a record are looked at.
	maxDestinations = 5
	maxConsidered   = 20
	// maxName is the longest DNS name without its final dot.
	maxName = 253
)

// A Destination is one URI of a record's rua=, or the one that a Report Consumer has put in
// its place, and what came of it.
type Destination struct {
	URI     string // as in the record of the policy domain
	Address string // "" if the URI has none that can be used
	// External is the name of the TXT record that decides whether the destination wants these
	// reports; "" if it belongs to the policy domain's organization (RFC 9990 §4).
	External string
	// Refused says that DNS does not confirm an external destination; Problem has the reason.
	Refused bool
	// Problem says why nothing is sent there; "" if a report is.
	Problem string
	// Err is set if DNS did not answer, so that a later attempt may find the destination
	// confirmed.
	Err error
}

// Open tells whether a report goes there now.
func (d Destination) Open() bool { return d.Problem == "" && d.Err == nil }

// Consent is what DNS says now about reports for a policy domain.
type Consent struct {
	Record *dmarc.Record // nil if there is none
	// Refusal says why no report may be sent at all; "" if the record asks for some.
	Refusal string
	// Err is set if DNS did not answer about the record itself.
	Err          error
	Destinations []Destination
}

// Directory asks DNS who wants reports.
type Directory struct {
	Resolver dmarc.Resolver
	Method   dmarc.Method // of finding organizational domains
}

// NewDirectory asks a resolver, and finds organizational domains by the method by which mail
// is judged.
func NewDirectory(r dmarc.Resolver, method dmarc.Method) Directory {
	return Directory{Resolver: r, Method: method}
}

// Consent reads the record of a policy domain, and checks its destinations in their order
// (RFC 9990 §3.5). The resolver may answer from its cache.
func (d Directory) Consent(ctx context.Context, domain string) Consent {
	found := dmarc.Discover(ctx, d.Resolver, domain, d.Method)
	switch {
	case found.Err != nil:
		return Consent{Err: found.Err}
	case found.Record == nil || found.RecordDomain != domain:
		return Consent{Refusal: "there is no DMARC record at " + domain + " any more"}
	case len(found.Record.RUA) == 0:
		return Consent{Record: found.Record, Refusal: "the DMARC record of " + domain + " does not ask for reports (no valid rua=)"}
	case found.Record.PSD != dmarc.PSDYes && isPublicSuffix(domain):
		// RFC 9990 §7.3 lets operators of public suffixes ask for reports, and they say so.
		return Consent{Record: found.Record, Refusal: domain + " is a public suffix, and its record does not say psd=y"}
	}
	return Consent{Record: found.Record, Destinations: d.destinations(ctx, domain, found.Record.RUA)}
}

func isPublicSuffix(domain string) bool {
	suffix, icann := publicsuffix.PublicSuffix(domain)
	return icann && suffix == domain
}

// destinations checks the URIs, and ends with the limit on addresses.
func (d Directory) destinations(ctx context.Context, domain string, rua []dmarc.URI) []Destination {
	var all []Destination
	seen := map[string]bool{}
	open := 0
	for i, u := range rua {
		if i == maxConsidered {
			all = append(all, Destination{URI: u.Text, Problem: fmt.Sprintf("only the first %d destinations are considered", maxConsidered)})
			break
		}
		for _, dest := range d.destination(ctx, domain, u) {
			if dest.Problem == "" {
				switch {
				case seen[sameAddress(dest.Address)]:
					dest.Problem = "the address stands above already"
				case open == maxDestinations:
					dest.Problem = fmt.Sprintf("a report goes to %d addresses at most", maxDestinations)
				default:
					open++
				}
			}
			seen[sameAddress(dest.Address)] = true
			all = append(all, dest)
		}
	}
	return all
}

// destination checks one URI. It has several results if a Report Consumer names several
// addresses instead.
func (d Directory) destination(ctx context.Context, domain string, u dmarc.URI) []Destination {
	address, err := mailbox(u)
	if err != nil {
		return []Destination{{URI: u.Text, Problem: err.Error()}}
	}
	dest := Destination{URI: u.Text, Address: address}
	host := domainOf(address)
	same, err := d.sameOrganization(ctx, domain, host)
	switch {
	case err != nil:
		dest.Err = err
		return []Destination{dest}
	case same:
		return []Destination{dest}
	}
	return d.external(ctx, domain, host, dest)
}

// sameOrganization compares organizational domains (RFC 9990 §4).
func (d Directory) sameOrganization(ctx context.Context, domain, host string) (bool, error) {
	if domain == host {
		return true, nil
	}
	a, err := dmarc.OrganizationalDomain(ctx, d.Resolver, domain, d.Method)
	if err != nil {
		return false, err
	}
	b, err := dmarc.OrganizationalDomain(ctx, d.Resolver, host, d.Method)
	return err == nil && a == b, err
}

// external asks the destination host whether it wants reports about the domain (RFC 9990 §4).
func (d Directory) external(ctx context.Context, domain, host string, dest Destination) []Destination {
	dest.External = domain + "._report._dmarc." + host
	if len(dest.External) > maxName { // step 4
		dest.Refused, dest.Problem = true, "the name of the record that would confirm it is too long for DNS"
		return []Destination{dest}
	}
	texts, err := d.Resolver.LookupTXT(ctx, dest.External)
	if err != nil { // step 5
		dest.Err = fmt.Errorf("looking up %s: %w", dest.External, err)
		return []Destination{dest}
	}
	confirmed, rua := confirmation(texts)
	switch {
	case !confirmed: // step 7
		dest.Refused, dest.Problem = true, host+" does not confirm that it wants these reports: no record at "+dest.External
	case len(rua) > 0: // step 9
		return replaced(dest, host, rua)
	}
	return []Destination{dest}
}

// confirmation reads the TXT records that were found (RFC 9990 §4 steps 6 to 8).
func confirmation(texts []string) (confirmed bool, rua []dmarc.URI) {
	for _, text := range texts {
		r, err := dmarc.ParseRecord(text)
		if err != nil {
			continue
		}
		confirmed = true
		rua = append(rua, r.RUA...)
	}
	return confirmed, rua
}

// replaced puts the addresses of the confirming record in place of the one that asked. They
// must be on the same host, all of them (RFC 9990 §4 step 9).
func replaced(dest Destination, host string, rua []dmarc.URI) []Destination {
	var all []Destination
	for _, u := range rua {
		address, err := mailbox(u)
		if err == nil && domainOf(address) != host {
			dest.Refused, dest.Problem = true, fmt.Sprintf("the record at %s names another host, %s: nothing is sent to either", dest.External, domainOf(address))
			return []Destination{dest}
		}
		with := dest
		if with.Address = address; err != nil {
			with.Problem = fmt.Sprintf("the record at %s names %q instead: %v", dest.External, u.Text, err)
		}
		all = append(all, with)
	}
	return all[:min(len(all), maxConsidered)]
}

// open returns the addresses that a report goes to.
func (c Consent) open() []string {
	var list []string
	for _, d := range c.Destinations {
		if d.Open() {
			list = append(list, d.Address)
		}
	}
	return list
}

// undecided returns the first look-up that failed, which a later attempt repeats.
func (c Consent) undecided() error {
	i := slices.IndexFunc(c.Destinations, func(d Destination) bool { return d.Err != nil })
	if i < 0 {
		return c.Err
	}
	return cmp.Or(c.Err, c.Destinations[i].Err)
}

// problems lists why destinations get nothing.
func (c Consent) problems() string {
	if c.Refusal != "" {
		return c.Refusal
	}
	var list []string
	for _, d := range c.Destinations {
		if d.Problem != "" && len(list) < 3 {
			list = append(list, d.URI+": "+d.Problem)
		}
	}
	return strings.Join(list, "; ")
}
