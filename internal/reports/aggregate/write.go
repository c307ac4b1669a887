package aggregate

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// MaxWrittenSignatures is how many signatures of one record are written (RFC 9990 §3.1.3).
	MaxWrittenSignatures = 100
	// maxText is the most of one text that is written, in octets. Most texts come from
	// senders, and RFC 9990 §3.1.5 asks for terse ones.
	maxText = 1024
)

// A Writer writes one report as XML that is valid by the schema of RFC 9990, whatever texts
// the report has: a character that XML does not allow is written as U+FFFD, a long text is
// cut, and a word that the schema does not know is replaced or left out. It keeps no record in
// memory.
type Writer struct {
	out    *bufio.Writer
	policy Policy
	n      int
}

// NewWriter writes the head of a report. Namespace, Version and Pct of the report do not
// matter: they are those of RFC 9990.
func NewWriter(w io.Writer, r Report) *Writer {
	x := &Writer{out: bufio.NewWriterSize(w, 1<<15), policy: r.Policy}
	x.raw(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<feedback xmlns="` + Namespace + `">` + "\n")
	x.text(1, "version", Version)
	x.metadata(r.Metadata)
	x.published(r.Policy)
	return x
}

// Record writes one record. The error is that of writing, or says that the record has no
// source address or no message, so that it was not written.
func (x *Writer) Record(r *Record) error {
	switch {
	case !r.SourceIP.IsValid():
		return errors.New("a record without a source address")
	case r.Count < 1:
		return fmt.Errorf("a record with %d messages", r.Count)
	}
	x.n++
	x.open(1, "record")
	x.row(r)
	x.open(2, "identifiers")
	x.text(3, "header_from", r.HeaderFrom)
	x.text(3, "envelope_from", r.EnvelopeFrom)
	x.optional(3, "envelope_to", r.EnvelopeTo)
	x.close(2, "identifiers")
	x.results(r)
	x.close(1, "record")
	return x.err()
}

// Close ends the report. A report without records is an error, since the schema wants one at
// least.
func (x *Writer) Close() error {
	if x.n == 0 {
		return errors.New("a report without records is not valid")
	}
	x.raw("</feedback>\n")
	return x.out.Flush()
}

func (x *Writer) err() error { _, err := x.out.Write(nil); return err }

func (x *Writer) metadata(m Metadata) {
	x.open(1, "report_metadata")
	x.text(2, "org_name", m.OrgName)
	x.text(2, "email", m.Email)
	x.optional(2, "extra_contact_info", m.ExtraContact)
	x.text(2, "report_id", m.ReportID)
	x.open(2, "date_range")
	x.text(3, "begin", strconv.FormatInt(m.Begin.Unix(), 10))
	x.text(3, "end", strconv.FormatInt(m.End.Unix(), 10))
	x.close(2, "date_range")
	x.optional(2, "error", m.Error)
	x.optional(2, "generator", m.Generator)
	x.close(1, "report_metadata")
}

func (x *Writer) published(p Policy) {
	x.open(1, "policy_published")
	x.text(2, "domain", p.Domain)
	x.optional(2, "discovery_method", known(p.DiscoveryMethod, "", "psl", "treewalk"))
	x.text(2, "p", known(p.P, "none", policies...))
	x.optional(2, "sp", known(p.SP, "", policies...))
	x.optional(2, "np", known(p.NP, "", policies...))
	x.optional(2, "fo", p.FO)
	x.optional(2, "adkim", known(p.ADKIM, "", "r", "s"))
	x.optional(2, "aspf", known(p.ASPF, "", "r", "s"))
	x.optional(2, "testing", known(p.Testing, "", "n", "y"))
	x.close(1, "policy_published")
}

func (x *Writer) row(r *Record) {
	x.open(2, "row")
	// RFC 3986 §3.2.2 has no zone.
	x.text(3, "source_ip", r.SourceIP.Unmap().WithZone("").String())
	x.text(3, "count", strconv.FormatInt(r.Count, 10))
	x.open(3, "policy_evaluated")
	x.text(4, "disposition", known(r.Disposition, "none", dispositions...))
	x.text(4, "dkim", known(r.DKIM, "fail", "pass", "fail"))
	x.text(4, "spf", known(r.SPF, "fail", "pass", "fail"))
	for _, reason := range r.Reasons {
		x.open(4, "reason")
		x.text(5, "type", known(reason.Type, "other", overrides...))
		x.optional(5, "comment", reason.Comment)
		x.close(4, "reason")
	}
	x.close(3, "policy_evaluated")
	x.close(2, "row")
}

// results writes auth_results. A signature without a domain or selector could not be
// evaluated, and SPF of the HELO name alone is not reported (RFC 9990 §3.1.1.13).
func (x *Writer) results(r *Record) {
	x.open(2, "auth_results")
	for _, s := range x.preferred(r) {
		x.open(3, "dkim")
		x.text(4, "domain", s.Domain)
		x.text(4, "selector", s.Selector)
		x.text(4, "result", known(s.Result, "none", dkimResults...))
		x.optional(4, "human_result", s.HumanResult)
		x.close(3, "dkim")
	}
	i := slices.IndexFunc(r.Senders, func(s Sender) bool { return s.Domain != "" && (s.Scope == "mfrom" || s.Scope == "") })
	if i >= 0 {
		s := r.Senders[i]
		x.open(3, "spf")
		x.text(4, "domain", s.Domain)
		x.optional(4, "scope", s.Scope)
		x.text(4, "result", known(s.Result, "none", spfResults...))
		x.optional(4, "human_result", s.HumanResult)
		x.close(3, "spf")
	}
	x.close(2, "auth_results")
}

// preferred returns the signatures to write, in the order of RFC 9990 §3.1.3. Related domains
// stand for aligned ones here: this package does not know organizational domains.
func (x *Writer) preferred(r *Record) []Signature {
	rank := func(s Signature) int {
		switch {
		case s.Result != "pass":
			return 3
		case s.Domain == r.HeaderFrom:
			return 0
		case within(s.Domain, x.policy.Domain) || within(r.HeaderFrom, s.Domain):
			return 1
		}
		return 2
	}
	var list []Signature
	for _, s := range r.Signatures {
		if s.Domain != "" && s.Selector != "" {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b Signature) int { return rank(a) - rank(b) })
	return list[:min(len(list), MaxWrittenSignatures)]
}

// within tells whether a domain is parent or lies below it.
func within(domain, parent string) bool {
	rest, ok := strings.CutSuffix(domain, parent)
	return ok && parent != "" && (rest == "" || strings.HasSuffix(rest, "."))
}

// The words of the schema.
var (
	policies     = []string{"none", "quarantine", "reject"}
	dispositions = []string{"none", "pass", "quarantine", "reject"}
	overrides    = []string{"local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder"}
	dkimResults  = []string{"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"}
	spfResults   = []string{"none", "pass", "fail", "softfail", "policy", "neutral", "temperror", "permerror"}
)

// known returns word if it is one of the words, else instead.
func known(word, instead string, words ...string) string {
	if slices.Contains(words, word) {
		return word
	}
	return instead
}

func (x *Writer) open(depth int, name string)  { x.indent(depth); x.raw("<" + name + ">\n") }
func (x *Writer) close(depth int, name string) { x.indent(depth); x.raw("</" + name + ">\n") }

func (x *Writer) optional(depth int, name, value string) {
	if value != "" {
		x.text(depth, name, value)
	}
}

// text writes an element with a text.
func (x *Writer) text(depth int, name, value string) {
	x.indent(depth)
	x.raw("<" + name + ">")
	// EscapeText replaces what XML does not allow, and reports no error but that of writing,
	// which out remembers.
	_ = xml.EscapeText(x.out, []byte(shortened(value)))
	x.raw("</" + name + ">\n")
}

// shortened cuts a long text between two characters.
func shortened(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText - len("...")
	for n > maxText-8 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

func (x *Writer) indent(depth int) { x.raw("        "[:depth]) }

// raw writes markup. out remembers the first error.
func (x *Writer) raw(s string) { _, _ = x.out.WriteString(s) }
