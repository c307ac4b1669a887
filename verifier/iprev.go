package verifier

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"signpost/internal/authres"
	"signpost/internal/message"
)

// The results of RFC 8601 §2.7.3. There is no "none": a client that cannot have a name in
// the public DNS, or whose address is not known, has no result.
const (
	iprevPass      = "pass"
	iprevFail      = "fail"
	iprevTempError = "temperror"
	iprevPermError = "permerror"
)

var iprevValues = []string{iprevPass, iprevFail, iprevTempError, iprevPermError}

const (
	// maxNames is how many names of an address are looked up (RFC 8601 §3).
	maxNames = 10
	// iprevTimeout bounds all look-ups together. They begin at MAIL FROM, and the message
	// does not wait longer for a result that decides nothing.
	iprevTimeout = 5 * time.Second
)

// queryIPRev checks the client's address against DNS (RFC 8601 §3): it passes if a name that
// the address has (PTR) has this address (A or AAAA).
func queryIPRev(ctx context.Context, resolver Resolver, _ Config, env message.Envelope) Finding {
	addr := env.ClientAddr.Unmap().WithZone("")
	f := Finding{Compared: "client " + env.ClientAddr.String()}
	switch {
	case !addr.IsValid():
		f.Reason = "not checked: the client's address is not known"
		return f
	case isPrivate(addr):
		f.Reason = "not checked: a private address has no name in the public DNS"
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, iprevTimeout)
	defer cancel()
	f.Properties = []authres.Property{{Type: authres.TypePolicy, Name: authres.MethodIPRev, Value: addr.String()}}
	names, err := resolver.LookupPTR(ctx, addr)
	switch {
	case err != nil:
		f.Value, f.Reason, f.Public = iprevTempError, err.Error(), unanswered
	case len(names) == 0:
		f.Value, f.Reason = iprevPermError, "the client's address has no name in DNS"
		f.Public = f.Reason
	default:
		f = f.confirmed(ctx, resolver, addr, names)
	}
	if f.Value != iprevPass {
		f.Log = f.Reason
	}
	f.Report = iprevReport{f.Value, addr.String(), f.Domain, f.Reason}
	return f
}

// confirmed is the finding with the result for an address that has names. A name is
// foreign text: one that is no host name is passed over, and only the name that leads
// back to the client is written into the message (RFC 8601 §4, §7.11).
func (f Finding) confirmed(ctx context.Context, resolver Resolver, addr netip.Addr, names []string) Finding {
	lookup := resolver.LookupA
	if addr.Is6() {
		lookup = resolver.LookupAAAA
	}
	var asked []string
	var failed error
	for _, name := range names[:min(len(names), maxNames)] {
		host, ok := message.DomainToASCII(strings.TrimSuffix(name, "."))
		if !ok {
			continue
		}
		asked = append(asked, host)
		addrs, err := lookup(ctx, host)
		switch {
		case err != nil && failed == nil:
			failed = err
		case slices.Contains(addrs, addr):
			f.Value, f.Domain, f.Comment = iprevPass, host, host
			f.Compared += ", name " + host
			return f
		}
	}
	if len(asked) > 0 {
		f.Compared += ", names " + strings.Join(asked, ", ")
	}
	if failed != nil {
		f.Value, f.Reason, f.Public = iprevTempError, failed.Error(), unanswered
		return f
	}
	f.Value, f.Public = iprevFail, "no name of the client's address leads back to it"
	f.Reason = f.Public
	if len(asked) > 0 {
		f.Reason += ": " + strings.Join(asked[:min(len(asked), maxShown)], ", ")
	}
	return f
}

// iprevReport is the result in the JSON of `verify --json`.
type iprevReport struct {
	Result  string `json:"result"`
	Address string `json:"address"`
	Name    string `json:"name,omitempty"` // that leads back to the client
	Reason  string `json:"reason,omitempty"`
}
