package dmarc

import (
	"errors"
	"fmt"
	"strings"

	"signpost/internal/message"
)

// None is a Result (no policy applies) and a Policy (no preference), so it is an
// untyped constant.
const None = "none"

// Policy is the domain owner's request for mail that fails (RFC 9989 §4.7). It is not
// by itself a reason to refuse a message (§7.4).
type Policy string

const (
	Quarantine Policy = "quarantine"
	Reject     Policy = "reject"
)

// Mode is how closely an identifier must match the author domain (RFC 9989 §4.4).
type Mode string

const (
	Relaxed Mode = "r" // the same organizational domain
	Strict  Mode = "s" // the same domain
)

// PSD is the kind of a record's domain (RFC 9989 §4.7, psd=).
type PSD string

const (
	PSDYes     PSD = "y" // a public suffix domain
	PSDNo      PSD = "n" // an organizational domain
	PSDUnknown PSD = "u" // not stated: the default
)

// A Record is one DMARC policy record, with the defaults filled in. Messages may share
// one: it must not be changed.
type Record struct {
	// Raw is the record's text as DNS gave it.
	Raw string
	// P is "none" without a valid value; SP and NP are then "".
	P, SP, NP Policy
	// ADKIM and ASPF are the alignment modes.
	ADKIM, ASPF Mode
	// FO are the failure reporting options, "0" unless RUF has a destination.
	FO string
	// Testing is t=y: policies apply one step lower.
	Testing bool
	// PSD is the kind of the record's domain.
	PSD PSD
	// RUA and RUF are the valid report destinations, in order.
	RUA, RUF []URI
	// Unusable says, for a person, why the record contains no usable policy (RFC 9989
	// §4.10.1); "" if it does.
	Unusable string
	// Ignored says, for a person, which faulty parts of the record were ignored. It
	// affects no result.
	Ignored []string
	// Mistakes are those of Ignored that the domain owner should correct: not the tags that RFC
	// 9989 has no more, and nothing that is without harm.
	Mistakes []string

	pct string // pct= as written, "" without it
}

// Octets is about how much memory the record takes, without its text.
func (r *Record) Octets() int {
	const itself, uri, remark = 384, 32, 32
	n := itself + uri*(cap(r.RUA)+cap(r.RUF)) + len(r.Unusable)
	for _, text := range r.Ignored {
		n += remark + len(text) // Mistakes has the same texts
	}
	return n
}

// ErrNotDMARC is the error for a text that is not a DMARC record at all: such TXT
// records are skipped without a remark.
var ErrNotDMARC = errors.New(`not a DMARC record: it does not begin with "v=DMARC1"`)

const (
	// maxRecord is the maximum length of a TXT record (RFC 1035 §3.2.1).
	maxRecord = 65535
	// maxURIs limits the report destinations of one tag.
	maxURIs = 64
	// maxIgnored limits the remarks about one record.
	maxIgnored = 16
	// maxQuoted limits how much of a record's text one remark repeats.
	maxQuoted = 64
)

// ParseRecord reads a record. The error is ErrNotDMARC for any other TXT record, and
// another error for a DMARC record that is invalid as a whole; treat both as "no such
// record". Other mistakes are in Ignored and Unusable.
func ParseRecord(txt string) (*Record, error) {
	version, rest, _ := strings.Cut(txt, ";")
	if !isVersion(version) {
		return nil, ErrNotDMARC
	}
	if len(txt) > maxRecord {
		return nil, fmt.Errorf("DMARC record of %d bytes: at most %d are read", len(txt), maxRecord)
	}
	p := parser{rec: &Record{Raw: txt, P: None, ADKIM: Relaxed, ASPF: Relaxed, FO: "0", PSD: PSDUnknown}}
	p.seen[tagV] = true
	for rest != "" {
		var segment string
		segment, rest, _ = strings.Cut(rest, ";")
		if err := p.segment(segment); err != nil {
			return nil, err
		}
	}
	p.finish()
	return p.rec, nil
}

// isVersion reports whether the first tag of a list is v=DMARC1. The value is case
// sensitive (§4.7, §4.8).
func isVersion(segment string) bool {
	name, value, ok := strings.Cut(segment, "=")
	return ok && message.EqualFold(trim(name), "v") && trim(value) == "DMARC1"
}

// trim removes the white space allowed around a tag and its value (§4.8, and the
// folding white space of RFC 6376 §3.2).
func trim(s string) string { return strings.Trim(s, " \t\r\n") }

// parser is the state of reading one record.
type parser struct {
	rec  *Record
	seen [tagCount]bool
	// unknown are the names of the unknown tags so far.
	unknown map[string]struct{}
	// validP and badSub are for §4.10.1: there is a valid p=; there is an invalid sp=
	// or np=.
	validP, badSub bool
}

// segment reads the text between two semicolons.
func (p *parser) segment(segment string) error {
	name, value, ok := strings.Cut(segment, "=")
	name, value = trim(name), trim(value)
	// §4.8: syntax errors in the remainder of the record are discarded
	switch {
	case !ok && name == "":
		p.ignore("", "empty tag")
		return nil
	case !ok:
		p.mistake(name, `no "=" in it`)
		return nil
	case name == "":
		p.mistake("="+quoted(value), "a value without a name")
		return nil
	}
	t := tagOf(name)
	// RFC 6376 §3.2: a list with two tags of one name is invalid
	if !p.first(t, name) {
		return fmt.Errorf("the tag %q stands twice in the DMARC record: remove one", quoted(name))
	}
	if t == tagUnknown && message.EqualFold(name, "pct") {
		p.rec.pct = "pct=" + quoted(value)
		p.ignore(p.rec.pct, "RFC 9989 has no pct any more, the policy is for all messages")
		return nil
	}
	if t == tagUnknown {
		const why = "unknown or historic tag"
		if message.EqualFold(name, "rf") || message.EqualFold(name, "ri") { // RFC 7489 §6.3
			p.ignore(name, why)
		} else {
			p.mistake(name, why)
		}
		return nil
	}
	if !p.value(t, value) {
		p.mistake(quoted(name)+"="+quoted(value), "not a valid value")
	}
	return nil
}

// first reports whether this tag name is new.
func (p *parser) first(t tag, name string) bool {
	if t != tagUnknown {
		before := p.seen[t]
		p.seen[t] = true
		return !before
	}
	name = strings.ToLower(name)
	if _, before := p.unknown[name]; before {
		return false
	}
	if p.unknown == nil {
		p.unknown = make(map[string]struct{})
	}
	p.unknown[name] = struct{}{}
	return true
}

// finish applies the rules that need the whole record.
func (p *parser) finish() {
	rec := p.rec
	// §4.7: fo must be ignored if ruf is not specified
	if len(rec.RUF) == 0 && p.seen[tagFO] {
		rec.FO = "0"
		p.ignore("fo", "means nothing without a valid ruf=")
	}
	// §4.10.1
	if p.validP && !p.badSub {
		return
	}
	what := "it has no valid p="
	if p.badSub {
		what = "its sp= or np= is not valid"
	}
	if len(rec.RUA) == 0 {
		rec.Unusable = what + ", and no valid rua= that would make it p=none"
		return
	}
	p.mistake("", what+", so it counts as p=none")
	rec.P = None
	if p.badSub {
		rec.SP, rec.NP = "", ""
	}
}

// ignoredPct says that pct= has no effect; "" if the record has no pct=.
func (r *Record) ignoredPct() string {
	if r.pct == "" {
		return ""
	}
	return fmt.Sprintf("; %q of the record is ignored (RFC 9989 Appendix A.6)", r.pct)
}

// ignore records an ignored part and the reason.
func (p *parser) ignore(what, why string) {
	if len(p.rec.Ignored) >= maxIgnored {
		return
	}
	if what != "" {
		why = fmt.Sprintf("%q: %s", quoted(what), why)
	}
	p.rec.Ignored = append(p.rec.Ignored, why)
}

// mistake records an ignored part that the domain owner should correct.
func (p *parser) mistake(what, why string) {
	before := len(p.rec.Ignored)
	p.ignore(what, why)
	p.rec.Mistakes = append(p.rec.Mistakes, p.rec.Ignored[before:]...)
}

// quoted shortens foreign text for a remark.
func quoted(s string) string {
	if len(s) > maxQuoted {
		return s[:maxQuoted] + "..."
	}
	return s
}
