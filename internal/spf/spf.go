// Package spf checks whether a host may send mail under a domain's name, by the
// domain's SPF record: check_host() of RFC 7208, with RFC 8616 for
// internationalized mail. It queries DNS through a Resolver. It has no clock (except
// the deadline), no log and no state.
//
// Where RFC 7208 leaves a choice, or published records are faulty:
//
//   - A record is one SPF record if it is "v=spf1" alone or followed by a space.
//     "spf2.0/pra" and "v=spf10" are other kinds of records and do not count as a
//     second SPF record (§4.5).
//   - "ip4:" with nothing after it is a syntax error. A syntax error anywhere
//     makes the whole record a permerror, even after a mechanism that would have
//     matched (§4.6).
//   - A mechanism does not match if its target name cannot be queried (an empty
//     label, one over 63 octets, a control character); an include or a redirect
//     with such a name is a permerror (§4.8, §5.2, §6.1).
//   - Void look-ups are counted by terms, as in §4.6.4: a term is void when
//     its name has no record, and an mx also when none of its hosts has an address
//     of the client's family. An MX host or a PTR name without one is not counted
//     separately; hosts with one family are common. For include and redirect, a void
//     look-up is an error anyway.
//   - More than ten MX hosts are a permerror before any is looked up, so that the
//     order of the answer does not matter.
//   - The PTR names of the client are looked up once in an evaluation. Only those
//     that could match are validated; the first ten are considered (§4.6.4).
//   - The IPv6 nibbles of %{i} are upper case, as in the published suite.
//   - An unknown modifier may contain any macro letter; its syntax is checked and its
//     value ignored.
//   - A sender without "@" is a domain without a local part (§4.3).
//   - A non-ASCII local part makes terms with %{s} or %{l} match nothing
//     (RFC 8616 §4); a redirect with one is a permerror.
//   - Received-SPF is not written; Authentication-Results says the same.
package spf

import (
	"context"
	"net/netip"
	"time"
)

// A Resolver answers from DNS. Names are raw text, labels separated by dots: they may
// contain any printable ASCII character, including space and backslash, and have no
// escapes. A name that does not exist and a name without records of the type give an
// empty answer and no error; every error is temporary. Names in answers may be in any
// case and end in a dot.
type Resolver interface {
	// LookupTXT returns one string for each record, its strings joined.
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupA(ctx context.Context, name string) ([]netip.Addr, error)
	LookupAAAA(ctx context.Context, name string) ([]netip.Addr, error)
	// LookupMX returns the hosts by preference; a null MX is "." or "".
	LookupMX(ctx context.Context, name string) ([]string, error)
	LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error)
}

// Result is the outcome of a check in the words of RFC 8601 §2.7.2.
type Result string

const (
	// None: there was no domain name to check, or it publishes no SPF record.
	None Result = "none"
	// Neutral: the domain makes no statement about this client, by ?qualifier or
	// because no term matched. It must be treated like None (§8.2).
	Neutral Result = "neutral"
	// Pass: the client is authorized to send under this domain's name.
	Pass Result = "pass"
	// Fail: the domain says that the client is not authorized.
	Fail Result = "fail"
	// SoftFail: the domain believes that the client is not authorized, and asks that
	// the message is not refused for this alone (§8.5).
	SoftFail Result = "softfail"
	// TempError: the DNS did not answer, or the check took too long. A later
	// attempt may succeed.
	TempError Result = "temperror"
	// PermError: the published records cannot be interpreted, or exceed the limits.
	// Only the domain's owner can correct this.
	PermError Result = "permerror"
)

// NoAddress is the reason of None if the MTA gave no client address, as for a client on
// a unix socket.
const NoAddress = "the client's address is not known"

// Identity is the identity that was checked.
type Identity string

const (
	IdentityMailFrom Identity = "mailfrom" // the domain of the reverse-path
	IdentityHelo     Identity = "helo"     // the argument of HELO or EHLO
)

// The limits of §4.6.4, and our own.
const (
	// MaxLookups limits the terms that query DNS in all records together; one more is
	// a permerror.
	MaxLookups = 10
	// MaxVoidLookups limits the terms that find nothing.
	MaxVoidLookups = 2
	// Timeout limits the time of a check with all its look-ups.
	Timeout = 20 * time.Second

	maxMXHosts  = 10 // more make a permerror
	maxPTRNames = 10 // more are ignored

	// maxRecord bounds a record's text, in octets. The largest published records have
	// about 10 KB; §3.4 recommends less than 450 octets.
	maxRecord = 16 << 10
	// maxExplanation bounds the explanation, so that it fits into an SMTP reply line
	// of 512 octets with the code.
	maxExplanation = 450
)

// Query is the client's data for a check. The zero Receiver is "unknown" in
// explanations.
type Query struct {
	Addr     netip.Addr // of the client; IPv4-mapped IPv6 is treated as IPv4
	Helo     string     // the argument of HELO or EHLO as given
	Sender   string     // the reverse-path without angle brackets; "" is the null sender
	Receiver string     // our own host name, for %{r}
	Now      time.Time  // for %{t}
	Explain  bool       // fetch the domain's explanation of a Fail
	// Parse stands in for ParseRecord, and returns the same; nil is ParseRecord. It may
	// return one Record to many callers.
	Parse func(text string) (*Record, error)
}

func (q *Query) parse(text string) (*Record, error) {
	if q.Parse != nil {
		return q.Parse(text)
	}
	return ParseRecord(text)
}

// Outcome is the result of a check. All its strings are printable ASCII of bounded
// length. Strings that quote the domain's records are foreign text.
type Outcome struct {
	Result   Result
	Identity Identity
	// Domain is the checked domain, in lower-case A-labels; "" if the identity has no
	// domain name.
	Domain string
	// Mechanism is the directive that matched, as written, for instance "-all" or
	// "include:_spf.example.com"; "" if none did.
	Mechanism string
	// Reason says why the result is None, an error, or Neutral by default.
	Reason string
	// For a TempError, Failed is the name whose look-up failed, and Err the resolver's
	// error. Failed is "" if the time ran out between two look-ups. Err may name our
	// own resolver: it is for the log.
	Failed string
	Err    error
	// Explanation is the domain owner's text for a Fail, foreign text (§6.2, §11.5.2);
	// "" if there is none or Query.Explain is not set.
	Explanation string
	// Lookups and VoidLookups are the terms counted towards the limits of §4.6.4.
	Lookups, VoidLookups int
}
