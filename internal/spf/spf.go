// Package spf finds out whether a host may send mail under a domain's name, by
// that domain's SPF record: check_host() of RFC 7208, with RFC 8616 for
// internationalized mail. It asks the DNS through a Resolver and does nothing
// else: no clock of its own (but for the deadline), no log, no state.
//
// Where RFC 7208 leaves a choice, or mail in the field is odd:
//
//   - A record is one SPF record if it is "v=spf1" alone or followed by a space.
//     "spf2.0/pra" and "v=spf10" beside it are other people's records and count
//     neither as this record nor as a second one (§4.5).
//   - "ip4:" with nothing after it is a syntax error like every other, and a
//     syntax error anywhere makes the whole record a permerror, even behind a
//     mechanism that would have matched (§4.6).
//   - A target name that no DNS query can ask for (an empty label, one over 63
//     octets, a control character) makes its mechanism not match; an include or
//     a redirect with one is a permerror (§4.8, §5.2, §6.1).
//   - Void look-ups are counted by terms, as §4.6.4 has it: a term is void when
//     its name has no record, and an mx also when none of its hosts has an address
//     of the client's family. An MX host or a PTR name without one is not counted
//     by itself; hosts with one family are common. For include and redirect,
//     finding nothing is an error anyway.
//   - More than ten MX hosts are a permerror before any is asked for, whichever
//     would have matched, so that the order of the answer does not matter.
//   - The PTR names of the client are asked for once in an evaluation. Only those
//     that could match are validated; the first ten are considered (§4.6.4).
//   - The IPv6 nibbles of %{i} are upper case, as the published suite has them.
//   - An unknown modifier may hold any macro letter; its syntax is checked, its
//     value never looked at.
//   - A sender without "@" is a domain without a local part (§4.3).
//   - A non-ASCII local part makes terms with %{s} or %{l} match nothing
//     (RFC 8616 §4); a redirect with one leads nowhere, which is a permerror.
//   - Received-SPF is not written; Authentication-Results says the same.
package spf

import (
	"context"
	"net/netip"
	"time"
)

// A Resolver answers from the DNS. Names are raw text, labels separated by dots:
// they may hold any printable ASCII character, space and backslash included, and
// nothing in them is an escape. No such name and no record of the type are an
// empty answer without an error; any error is temporary. Names in answers may
// have any case and a final dot.
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
	// Neutral: the domain says nothing about this client, by ?qualifier or
	// because nothing in its record matched. To be treated like None (§8.2).
	Neutral Result = "neutral"
	// Pass: the client is authorized to send under this domain's name.
	Pass Result = "pass"
	// Fail: the domain says that the client is not authorized.
	Fail Result = "fail"
	// SoftFail: the domain believes that the client is not authorized, and asks
	// that this alone should not cost the message (§8.5).
	SoftFail Result = "softfail"
	// TempError: the DNS did not answer, or the check took too long. A later
	// attempt may succeed.
	TempError Result = "temperror"
	// PermError: the published records cannot be interpreted, or evaluating them
	// takes more than the limits allow. Only the domain's owner can mend it.
	PermError Result = "permerror"
)

// NoAddress is the reason of None where the MTA gave no address of the client, as for
// a client on a unix socket.
const NoAddress = "the client's address is not known"

// Identity is what was checked: the identity that a result speaks of.
type Identity string

const (
	IdentityMailFrom Identity = "mailfrom" // the domain of the reverse-path
	IdentityHelo     Identity = "helo"     // the argument of HELO or EHLO
)

// The limits of §4.6.4, and those of our own.
const (
	// MaxLookups is how many terms that ask the DNS are evaluated, in all records
	// together; the one after makes a permerror.
	MaxLookups = 10
	// MaxVoidLookups is how many of those may find nothing.
	MaxVoidLookups = 2
	// Timeout is how long a check may take, all look-ups together.
	Timeout = 20 * time.Second

	maxMXHosts  = 10 // more make a permerror
	maxPTRNames = 10 // more are ignored

	// maxRecord bounds a record's text, in octets. The largest that are published
	// have about 10 KB; §3.4 asks for less than 450.
	maxRecord = 16 << 10
	// maxExplanation bounds the explanation, so that it fits into an SMTP reply
	// line of 512 octets beside the code.
	maxExplanation = 450
)

// Query is what is known of the client when SPF is checked. The zero Receiver is
// "unknown" in explanations.
type Query struct {
	Addr     netip.Addr // the client's; IPv4-mapped IPv6 is taken as IPv4
	Helo     string     // the argument of HELO or EHLO as it was given
	Sender   string     // the reverse-path without angle brackets; "" is the null sender
	Receiver string     // our own host name, for %{r}
	Now      time.Time  // for %{t}
	Explain  bool       // fetch the domain's explanation of a Fail
}

// Outcome is the result of a check. All its strings are printable ASCII of
// bounded length; those that quote the domain's records are still a stranger's
// words.
type Outcome struct {
	Result   Result
	Identity Identity
	// Domain is the domain that was checked, in A-labels and lower case; "" when
	// no domain name could be made of the identity.
	Domain string
	// Mechanism is the directive that decided, as it was written, for instance
	// "-all" or "include:_spf.example.com"; "" when none did.
	Mechanism string
	// Reason says why the result is None or an error, or is Neutral by default.
	Reason string
	// Failed is the name whose look-up failed, and Err the resolver's error, for a
	// TempError. Failed is "" where the time ran out between two look-ups. Err may name
	// a resolver of ours: it is for the log.
	Failed string
	Err    error
	// Explanation is the domain owner's text for a Fail, a third party's words
	// (§6.2, §11.5.2); "" when there is none, or none was asked for.
	Explanation string
	// Lookups and VoidLookups are the terms counted towards the limits of §4.6.4.
	Lookups, VoidLookups int
}
