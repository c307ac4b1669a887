package doctor

import (
	"context"
	"fmt"
	"net/mail"
	"slices"
	"strings"

	"signpost/internal/dmarc"
	"signpost/internal/reports/outgoing"
	"signpost/keys"
	"signpost/signer"
)

// lookAtDMARC checks the policy records of the signing domains.
func lookAtDMARC(ctx context.Context, h *Host) {
	each(ctx, h, "DMARC records", h.Domains, func(ctx context.Context, domain string) { h.lookAtPolicy(ctx, domain) })
}

func (h *Host) lookAtPolicy(ctx context.Context, domain string) {
	d := dmarc.Discover(ctx, h.evaluators(), domain, h.Config.Verifier.DMARC.Discovery)
	if d.Err != nil && d.Record == nil {
		h.undecided("the DMARC record of "+domain, d.Err.Error())
		return
	}
	at := d.RecordDomain
	if at == "" {
		at = domain
	}
	subject := at
	h.judge(ctx, "_dmarc."+at, subject, func(records []string) []fault { return h.policyFaults(ctx, at, records) })
	h.lookAtDestinations(ctx, at)
	if at != domain { // a faulty record of its own, which the one above replaces
		h.judge(ctx, "_dmarc."+domain, domain, func(records []string) []fault {
			if f := dmarc.Select(domain, records).Fault(); f == "several" || f == "syntax" {
				return h.policyFaults(ctx, domain, records)
			}
			return nil
		})
	}
}

// policyFaults judges the texts at the name of a policy record.
func (h *Host) policyFaults(ctx context.Context, domain string, records []string) []fault {
	step := dmarc.Select(domain, records)
	fresh := txtRecord("_dmarc."+domain, "v=DMARC1; p=none; rua=mailto:postmaster@"+domain)
	switch step.Fault() {
	case "several":
		return []fault{{id: "dmarc.several", text: "has " + step.Problem, remedy: Remedy{Text: "Delete every DMARC record at this name but one. These are there:", Lines: txtRecords("_dmarc."+domain, records)}}}
	case "syntax":
		return []fault{{id: "dmarc.syntax", text: "has no valid record: " + step.Problem, remedy: publish("Replace it; begin with a policy that asks for reports alone:", fresh)}}
	}
	if step.Record == nil {
		f := fault{id: "dmarc.missing", text: "has no DMARC record", remedy: publish("Publish one that asks for reports alone to begin with; make the policy stricter when they show no failing mail of yours:", fresh)}
		if place := h.misplacedPolicy(ctx, domain); place != "" {
			f.text += "; there is one at " + place + ", where no receiver looks"
		}
		return []fault{f}
	}
	return recordedFaults(domain, step.Record)
}

// misplacedPolicy returns the wrong name of a policy record, or "".
func (h *Host) misplacedPolicy(ctx context.Context, domain string) string {
	for _, name := range []string{"_dmarc." + domain + "." + domain, domain, "dmarc." + domain} {
		texts, err := h.views.truth(ctx, name)
		if err == nil && dmarc.Select(domain, texts).Record != nil {
			return name
		}
	}
	return ""
}

// recordedFaults judges a record that is read.
func recordedFaults(domain string, r *dmarc.Record) []fault {
	var all []fault
	switch {
	case r.Unusable != "":
		all = append(all, fault{id: "dmarc.syntax", text: "cannot be used: " + r.Unusable, remedy: publish("Replace it; begin with a policy that asks for reports alone:", txtRecord("_dmarc."+domain, "v=DMARC1; p=none; rua=mailto:postmaster@"+domain))})
	case len(r.Mistakes) > 0:
		all = append(all, fault{id: "dmarc.syntax", severity: Medium, text: "has parts that receivers ignore: " + strings.Join(r.Mistakes, "; "),
			effect: "receivers act as if these parts were not there", remedy: Remedy{Text: "Correct these parts of the record:", Lines: []string{txtRecord("_dmarc."+domain, r.Raw)}}})
	}
	if weaker := weakerSubdomains(r); weaker != "" {
		all = append(all, fault{id: "dmarc.weaker-subdomains", text: "has p=" + string(r.P) + " and " + weaker,
			remedy: publish("Publish it without that tag, when all mail of subdomains passes:", txtRecord("_dmarc."+domain, withoutTags(r.Raw, "sp", "np")))})
	}
	if len(r.RUA) == 0 && r.Unusable == "" {
		all = append(all, fault{id: "dmarc.no-reports", text: "asks for no aggregate reports (no rua=)",
			remedy: publish("Add an address that you read:", txtRecord("_dmarc."+domain, strings.TrimRight(r.Raw, "; ")+"; rua=mailto:postmaster@"+domain))})
	}
	return all
}

func strictness(p dmarc.Policy) int {
	return slices.Index([]dmarc.Policy{dmarc.None, dmarc.Quarantine, dmarc.Reject}, p)
}

// weakerSubdomains returns the tag that makes the policy below a domain weaker than its own.
func weakerSubdomains(r *dmarc.Record) string {
	below := r.P
	if r.SP != "" {
		below = r.SP
	}
	switch {
	case strictness(below) < strictness(r.P):
		return "sp=" + string(r.SP)
	case r.NP != "" && strictness(r.NP) < strictness(below):
		return "np=" + string(r.NP)
	}
	return ""
}

// withoutTags returns the text of a record without some tags.
func withoutTags(record string, names ...string) string {
	var kept []string
	for part := range strings.SplitSeq(record, ";") {
		name, _, _ := strings.Cut(part, "=")
		if !slices.Contains(names, strings.ToLower(strings.TrimSpace(name))) {
			kept = append(kept, part)
		}
	}
	return strings.TrimSpace(strings.Join(kept, ";"))
}

// lookAtDestinations finds report addresses in other organizations that do not want the reports
// (RFC 9990 §4), as our own reports ask.
func (h *Host) lookAtDestinations(ctx context.Context, domain string) {
	directory := outgoing.NewDirectory(h.evaluators(), h.Config.Verifier.DMARC.Discovery)
	for _, d := range directory.Consent(ctx, domain).Destinations {
		switch {
		case d.External == "":
		case d.Err != nil:
			h.undecided("whether reports about "+domain+" are wanted at "+d.Address, d.Err.Error())
		case d.Refused:
			h.find("dmarc.external-unauthorized", domain, fmt.Sprintf("_dmarc.%s sends reports to %s, and %s", domain, d.URI, d.Problem),
				publish("The owner of "+d.Address[strings.LastIndexByte(d.Address, '@')+1:]+" has to publish this; else take the address out:", txtRecord(d.External, "v=DMARC1")))
		}
	}
}

// txtRecord is a TXT record as a line of a zone file, for any text.
func txtRecord(name, text string) string {
	const most = 255 // octets of a character-string (RFC 1035 §3.3)
	var parts []string
	for rest := text; rest != "" || parts == nil; {
		n := min(len(rest), most)
		parts = append(parts, `"`+escaped(rest[:n])+`"`)
		rest = rest[n:]
	}
	value := strings.Join(parts, " ")
	if len(parts) > 1 {
		value = "( " + value + " )"
	}
	return name + ". 3600 IN TXT " + value
}

// escaped writes a character-string for a zone file (RFC 1035 §5.1).
func escaped(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func txtRecords(name string, texts []string) []string {
	var lines []string
	for _, t := range texts {
		lines = append(lines, txtRecord(name, t))
	}
	return lines
}

// lookAtAlignment checks whether d= of each entry is aligned with its author domain.
func lookAtAlignment(ctx context.Context, h *Host) {
	each(ctx, h, "the alignment of signatures", h.Config.Signer.Domains, func(ctx context.Context, e signer.Domain) {
		author := authorOf(e.Domain)
		switch {
		case e.Domain == keys.AnyDomain && e.SDID != "":
			h.find("signature.not-aligned", "*", fmt.Sprintf("the entry * signs the mail of every other domain with d=%s", e.SDID),
				Remedy{Text: "In signer.domains, sign for each domain with d= of its own. The record of the key has to be published at each:",
					Lines: []string{fmt.Sprintf("- {domain: \"*\", selectors: [SELECTOR], keys_of: %s}", e.SDID)}})
		case author == "":
		case e.SDID != "":
			h.lookAtOneAlignment(ctx, e, author, e.SDID)
		case e.Subdomains:
			h.lookAtOneAlignment(ctx, e, "subdomain."+author, author)
		}
	})
}

// authorOf is an author domain that an entry signs for; "" if none is certain.
func authorOf(name string) string {
	if a, err := mail.ParseAddress(name); err == nil {
		name = a.Address
	}
	name = name[strings.LastIndexByte(name, '@')+1:]
	if name == keys.AnyDomain {
		return ""
	}
	return strings.ToLower(strings.ReplaceAll(name, "*", "subdomain"))
}

func (h *Host) lookAtOneAlignment(ctx context.Context, e signer.Domain, author, sdid string) {
	r := h.evaluators()
	d := dmarc.Discover(ctx, r, author, h.Config.Verifier.DMARC.Discovery)
	if d.Record == nil {
		if d.Err == nil && h.organization(ctx, author) != h.organization(ctx, sdid) {
			h.notAligned(e, author, sdid, "they belong to different organizations")
		}
		return
	}
	ev := dmarc.Evaluate(ctx, r, d, nil, []dmarc.Identifier{{Domain: strings.ToLower(sdid), Pass: true}})
	if ev.Result != dmarc.Fail {
		return
	}
	why := "they belong to different organizations"
	if d.Record.ADKIM == dmarc.Strict {
		why = "the record at _dmarc." + d.RecordDomain + " has adkim=s"
	}
	h.notAligned(e, author, sdid, why)
}

func (h *Host) notAligned(e signer.Domain, author, sdid, why string) {
	entry := fmt.Sprintf("- {domain: %q, selectors: [SELECTOR], keys_of: %s}", e.Domain, sdid)
	severity := High
	if e.Subdomains && e.SDID == "" { // there may be no such mail
		severity = Medium
		entry = fmt.Sprintf("- {domain: \"*.%s\", selectors: [SELECTOR], keys_of: %s}", authorOf(e.Domain), sdid)
	}
	h.add(Finding{ID: "signature.not-aligned", Severity: severity, Subject: e.Domain, Finding: fmt.Sprintf("mail of %s is signed with d=%s, and %s", author, sdid, why),
		Remedy: Remedy{Text: "In " + h.configName() + ", sign with d= of the author domain, and publish the key's record there. In place of the entry, for a key of " + sdid + ":", Lines: []string{entry}}})
}
