package traffic

import (
	"crypto/sha256"
	"encoding/binary"
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

// key is the hash of a tuple, by which the database knows it.
type key [16]byte

// tuple collects fields for a key. counter.row reads them.
type tuple []byte

func (t tuple) text(values ...string) tuple {
	for _, v := range values {
		t = append(binary.AppendUvarint(t, uint64(len(v))), v...)
	}
	return t
}

func (t tuple) flags(values ...bool) tuple {
	for _, v := range values {
		if v {
			t = append(t, 1)
		} else {
			t = append(t, 0)
		}
	}
	return t
}

func (t tuple) key() key {
	sum := sha256.Sum256(t)
	return key(sum[:16])
}

// texts are the fields of a policy that are texts, in the order of a tuple. Its flaws do not follow from the others: they may be
// mended, and reports name those of the day.
func (p *Policy) texts() [11]*string {
	return [...]*string{&p.Domain, &p.P, &p.SP, &p.NP, &p.ADKIM, &p.ASPF, &p.FO, &p.PSD, &p.Method, &p.RUA, &p.Flaws}
}

// appendTo adds the fields of a record.
func (p *Policy) appendTo(t tuple) tuple {
	for _, text := range p.texts() {
		t = t.text(*text)
	}
	return t.flags(p.Testing)
}

// id is the key of a policy, the zero key for none.
func (p *Policy) id() key {
	if p.Domain == "" {
		return key{}
	}
	var room [256]byte
	return p.appendTo(room[:0]).key()
}

// texts are the fields of a row that are texts, in the order of a tuple.
func (r *Row) texts() [15]*string {
	return [...]*string{&r.Result, &r.HeaderFrom, &r.EnvelopeFrom, &r.Host, &r.SPFDomain, &r.SPFScope, &r.SPFResult, &r.Requested,
		&r.Disposition, &r.Action, &r.Would, &r.Rule, &r.Route, &r.Sealers, &r.Forwarder}
}

// flags are the fields of a row that are flags, in the order of a tuple.
func (r *Row) flags() [5]*bool {
	return [...]*bool{&r.DKIMAligned, &r.SPFAligned, &r.AcceptDMARC, &r.Optional, &r.Folded}
}

// appendTo adds all fields but the tally.
func (r *Row) appendTo(t tuple) tuple {
	t = r.Policy.appendTo(binary.AppendVarint(t, int64(r.Day)))
	for _, text := range r.texts() {
		t = t.text(*text)
	}
	source := r.Source.As16()
	t = append(t, source[:]...)
	t = t.flags(r.Source.IsValid(), r.Source.Is4())
	for _, flag := range r.flags() {
		t = t.flags(*flag)
	}
	t = binary.AppendUvarint(t, uint64(len(r.DKIM)))
	for i := range r.DKIM {
		t = t.text(r.DKIM[i].Domain, r.DKIM[i].Selector, r.DKIM[i].Result)
	}
	for i := range r.Reasons {
		t = t.text(r.Reasons[i].Type, r.Reasons[i].Comment)
	}
	return t
}

func (o *Outbound) appendTo(t tuple) tuple { return o.appendSigned(t, []byte(o.Signatures)) }

// appendSigned is appendTo with the signatures as octets.
func (o *Outbound) appendSigned(t tuple, signatures []byte) tuple {
	t = binary.AppendVarint(t.text(o.Author, o.Entry, o.Unsigned).flags(o.Folded), int64(o.Day))
	return append(t, signatures...)
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
