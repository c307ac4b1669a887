package traffic

import (
	"net/netip"
	"time"
)

// Row is what some messages of one UTC day that were judged have in common, and their number.
// Domains are lower-case A-labels. Words are those of RFC 9990 and RFC 8601 where these have one.
type Row struct {
	Day Day
	// Policy is the DMARC record that applied; its Domain is "" where none did.
	Policy Policy
	// Result is that of DMARC: pass, fail, none, temperror, permerror.
	Result string
	// HeaderFrom is the author domain, EnvelopeFrom the domain of MAIL FROM, "" for the null sender.
	HeaderFrom, EnvelopeFrom string
	// Source is the client's address. Host is its name as the MTA says, only where DMARC did not pass.
	Source netip.Addr
	Host   string
	// DKIM has the signatures that name a domain, and only where a policy applied.
	DKIM []Signature
	// SPFScope is mfrom or helo.
	SPFDomain, SPFScope, SPFResult string
	// DKIMAligned and SPFAligned say what made DMARC pass.
	DKIMAligned, SPFAligned bool
	// Requested is the policy that is published for this author domain: none, quarantine, reject.
	Requested string
	// Disposition is what was applied: none, pass, quarantine, reject. It is "" for a message that
	// was refused for now (451) and comes again.
	Disposition string
	// Reasons say why it is not the requested one.
	Reasons []Reason
	// Action is what happened: accept, tag, quarantine, reject, tempfail. Would is the action that
	// a monitor mode did not take, or "". Rule names the rule that decided, as its key of the
	// configuration.
	Action, Would, Rule string
	// Route is "list" or "forwarded" where the header shows that, else "".
	Route string
	// Sealers are the sealers of an ARC chain, joined by blanks, that would have excused the
	// message if they were trusted, AcceptDMARC whether only by accept_dmarc. Forwarder is the
	// name of an entry of verifier.forwarders.
	Sealers     string
	AcceptDMARC bool
	Forwarder   string
	// Optional rows belong into a report and are no reason to send one: mail to report
	// addresses, and reports.
	Optional bool
	// Folded rows count messages whose details were too many to keep: names and addresses are
	// left out.
	Folded bool

	Tally
}

// Tally is the number of messages, and the seconds since 1970 of the first and the last.
type Tally struct{ Count, First, Last int64 }

func (t Tally) plus(more Tally) Tally {
	if t.Count == 0 {
		return more
	}
	return Tally{t.Count + more.Count, min(t.First, more.First), max(t.Last, more.Last)}
}

// Signature is the result of one DKIM signature.
type Signature struct{ Domain, Selector, Result string }

// Reason is why a disposition is not the requested one: a type of RFC 9990 §3.1.6 and a comment.
type Reason struct{ Type, Comment string }

// Policy is a DMARC record as it was evaluated.
type Policy struct {
	Domain          string // where the record was found
	P, SP, NP       string // SP and NP are "" if absent
	ADKIM, ASPF, FO string
	Testing         bool
	PSD             string
	Method          string // treewalk, psl
	// RUA are the report addresses as written, joined by blanks.
	RUA string
	// Flaws say, for a person, which parts of the record were ignored.
	Flaws string
}

// Outbound is what some messages of one UTC day of ours have in common.
type Outbound struct {
	Day Day
	// Author is the author domain; "" if it is not certain.
	Author string
	// Entry is the entry of signer.domains that signs.
	Entry string
	// Signatures are "domain selector algorithm", one a line.
	Signatures string
	// Unsigned says why there are none.
	Unsigned string
	Folded   bool

	Tally
}

// Day is a UTC day, counted from 1970.
type Day int64

// DayOf is the day of a moment.
func DayOf(t time.Time) Day { return Day(t.Unix() / 86400) }

// Time is the day's beginning.
func (d Day) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// String is the day as 2026-11-21.
func (d Day) String() string { return d.Time().Format(time.DateOnly) }

// Reportable says that a row belongs into an aggregate report: a policy applied, the message
// came to an end here, and its source is known (RFC 9989 §5.3.7, RFC 9990 §3.1.1).
func (r Row) Reportable() bool {
	return r.Policy.Domain != "" && (r.Result == "pass" || r.Result == "fail") && r.Disposition != "" && !r.Folded && r.Source.IsValid()
}

// folded is the row without what senders can choose freely. Of the policy, its domain and
// record remain unless all goes.
func (r Row) folded(all bool) Row {
	f := Row{
		Day: r.Day, Policy: r.Policy, Result: r.Result, Requested: r.Requested, Disposition: r.Disposition,
		Action: r.Action, Would: r.Would, Rule: r.Rule, Folded: true, Tally: r.Tally,
	}
	if all {
		f.Policy = Policy{}
	}
	return f
}

func (o Outbound) folded() Outbound {
	return Outbound{Day: o.Day, Folded: true, Tally: o.Tally}
}
