package aggregate

import (
	"slices"
	"strings"

	"signpost/internal/reports/refusal"
)

// An element is one that a report may have, with what its start, its value and its end do.
// An element with set has a value; the others have children.
type element struct {
	names    []string // the first is the RFC's
	children []element
	start    func(*reader)
	set      func(*reader, string)
	end      func(*reader) error
}

func (e *element) isValue() bool { return e.set != nil }

func (e *element) named(name string) bool { return slices.Contains(e.names, name) }

// child returns the child of this name, or nil.
func (e *element) child(name string) *element {
	for i := range e.children {
		if e.children[i].named(name) {
			return &e.children[i]
		}
	}
	return nil
}

func group(name string, children ...element) element {
	return element{names: []string{name}, children: children}
}

func value(set func(*reader, string), names ...string) element {
	return element{names: names, set: set}
}

// root has both kinds of reports, RFC 7489's and RFC 9990's (appendix A of both).
var root = group("feedback",
	value(func(r *reader, s string) { r.report.Version = s }, "version"),
	metadata, policy, record)

var metadata = element{names: []string{"report_metadata"}, start: func(r *reader) { r.sawMeta = true }, children: []element{
	value(func(r *reader, s string) { r.report.Metadata.OrgName = s }, "org_name"),
	value(func(r *reader, s string) { r.report.Metadata.Email = s }, "email"),
	value(func(r *reader, s string) { r.report.Metadata.ExtraContact = s }, "extra_contact_info"),
	value(func(r *reader, s string) { r.report.Metadata.ReportID = s }, "report_id"),
	group("date_range",
		value(func(r *reader, s string) { r.begin = s }, "begin"),
		value(func(r *reader, s string) { r.end = s }, "end")),
	value(func(r *reader, s string) { r.report.Metadata.addError(s) }, "error"),
	value(func(r *reader, s string) { r.report.Metadata.Generator = s }, "generator"),
}}

// addError adds to the errors: RFC 7489 allows several.
func (m *Metadata) addError(s string) {
	if m.Error != "" && s != "" {
		m.Error += "; "
	}
	m.Error = clean(m.Error + s)
}

// policy counts once: in a second one, of reporters that send two, nothing is read.
var policy = element{names: []string{"policy_published"}, children: []element{
	ofPolicy(func(p *Policy, s string) { p.Domain = strings.TrimPrefix(domain(s), "_dmarc.") }, "domain"),
	ofPolicy(func(p *Policy, s string) { p.P = word(s) }, "p"),
	ofPolicy(func(p *Policy, s string) { p.SP = word(s) }, "sp"),
	ofPolicy(func(p *Policy, s string) { p.NP = word(s) }, "np"),
	ofPolicy(func(p *Policy, s string) { p.ADKIM = word(s) }, "adkim"),
	ofPolicy(func(p *Policy, s string) { p.ASPF = word(s) }, "aspf"),
	ofPolicy(func(p *Policy, s string) { p.FO = word(s) }, "fo"),
	ofPolicy(func(p *Policy, s string) { p.Testing = word(s) }, "testing", "t"), // t: Mail::DMARC
	ofPolicy(func(p *Policy, s string) { p.DiscoveryMethod = word(s) }, "discovery_method"),
	ofPolicy(func(p *Policy, s string) { p.Pct = word(s) }, "pct"),
	ofPolicy(func(*Policy, string) {}, "psd"), // Mail::DMARC
}, end: func(r *reader) error { r.sawPolicy = true; return nil }}

func ofPolicy(set func(*Policy, string), names ...string) element {
	return value(func(r *reader, s string) {
		if !r.sawPolicy {
			set(&r.report.Policy, s)
		}
	}, names...)
}

var record = element{names: []string{"record"}, children: []element{
	group("row",
		ofRecord(func(m *Record, s string) { m.SourceIP = address(s) }, "source_ip"),
		value(func(r *reader, s string) { r.record.Count, r.count = count(s) }, "count"),
		group("policy_evaluated",
			ofRecord(func(m *Record, s string) { m.Disposition = disposition(s) }, "disposition"),
			ofRecord(func(m *Record, s string) { m.DKIM = passOrFail(s) }, "dkim"),
			ofRecord(func(m *Record, s string) { m.SPF = passOrFail(s) }, "spf"),
			element{names: []string{"reason"}, start: startReason, children: []element{
				ofRecord(func(m *Record, s string) { last(m.Reasons).Type = reasonType(s) }, "type"),
				ofRecord(func(m *Record, s string) { last(m.Reasons).Comment = s }, "comment"),
			}})),
	element{names: []string{"identifiers", "identities"}, children: []element{
		ofRecord(func(m *Record, s string) { m.HeaderFrom = domain(s) }, "header_from"),
		ofRecord(func(m *Record, s string) { m.EnvelopeFrom = domain(s) }, "envelope_from"),
		ofRecord(func(m *Record, s string) { m.EnvelopeTo = domain(s) }, "envelope_to"),
	}},
	group("auth_results",
		element{names: []string{"dkim"}, start: startSignature, children: []element{
			ofRecord(func(m *Record, s string) { last(m.Signatures).Domain = domain(s) }, "domain"),
			ofRecord(func(m *Record, s string) { last(m.Signatures).Selector = domain(s) }, "selector"),
			ofRecord(func(m *Record, s string) { last(m.Signatures).Result = result(s) }, "result"),
			ofRecord(func(m *Record, s string) { last(m.Signatures).HumanResult = s }, "human_result"),
		}},
		element{names: []string{"spf"}, start: startSender, children: []element{
			ofRecord(func(m *Record, s string) { last(m.Senders).Domain = domain(s) }, "domain"),
			ofRecord(func(m *Record, s string) { last(m.Senders).Scope = word(s) }, "scope"),
			ofRecord(func(m *Record, s string) { last(m.Senders).Result = result(s) }, "result"),
			ofRecord(func(m *Record, s string) { last(m.Senders).HumanResult = s }, "human_result"),
		}}),
}, end: endRecord}

func ofRecord(set func(*Record, string), names ...string) element {
	return value(func(r *reader, s string) { set(&r.record, s) }, names...)
}

// maxResults is how many reasons, signatures and SPF results of one record are kept (RFC 9990
// §3.1.3: 100 signatures); further ones replace the last.
const maxResults = 100

func startReason(r *reader) {
	r.record.Reasons = grown(r.record.Reasons, Reason{Type: "other"})
}

func startSignature(r *reader) { r.record.Signatures = grown(r.record.Signatures, Signature{}) }

func startSender(r *reader) { r.record.Senders = grown(r.record.Senders, Sender{}) }

func grown[T any](list []T, one T) []T {
	if len(list) == maxResults {
		list = list[:maxResults-1]
	}
	return append(list, one)
}

func last[T any](list []T) *T { return &list[len(list)-1] }

// endRecord passes the record, unless it says nothing: some have no address or no count.
func endRecord(r *reader) error {
	m := &r.record
	skip := !m.SourceIP.IsValid() || !r.count
	if r.records++; r.records > MaxRecords {
		return refusal.TooManyRecords.With("more than %d", MaxRecords)
	}
	if skip {
		r.report.Skipped++
	} else {
		m.DKIM, m.SPF, m.Disposition = orElse(m.DKIM, "fail"), orElse(m.SPF, "fail"), orElse(m.Disposition, "none")
		m.Senders = slices.DeleteFunc(m.Senders, func(s Sender) bool { return s.Domain == "" && s.Result == "" })
		m.Signatures = slices.DeleteFunc(m.Signatures, func(s Signature) bool { return s.Domain == "" })
		if err := r.each(m); err != nil {
			return err
		}
	}
	r.record = Record{Reasons: m.Reasons[:0], Signatures: m.Signatures[:0], Senders: m.Senders[:0]}
	r.count = false
	return nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
