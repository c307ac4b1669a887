package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"signpost/internal/spf"
)

// lookAtSPF checks the SPF records of the signing domains.
func lookAtSPF(ctx context.Context, h *Host) {
	from := h.sendingAddresses(ctx)
	each(ctx, h, "SPF records", h.Domains, func(ctx context.Context, domain string) {
		if h.lookAtSPFRecord(ctx, domain) {
			h.lookAtCoverage(ctx, domain, from)
		}
	})
	h.lookAtBounces(ctx, from)
}

// isSPF reports whether a text is an SPF record (RFC 7208 §4.5): one look-up of a name that has
// it alone gives something else than none.
func isSPF(ctx context.Context, text string) bool {
	out := spf.CheckHost(ctx, oneRecord{text}, spf.Query{Addr: nobody, Sender: "a@" + oneName, Helo: oneName})
	return out.Result != spf.None
}

var spfMistake = regexp.MustCompile(`(?i)^[\s"'\\]*(v\s*[=:]?\s*spf\s*1?[\s"'\\:;,]|v=spf|spf1\s|v=[\w.]+\s.*\s[-~?+]all["'\s]*$)`)

// meansSPF reports whether a text that is no SPF record was meant to be one. Records of Sender ID (spf2.0/…)
// are another thing.
func meansSPF(text string) bool { return len(text) <= maxMistake && spfMistake.MatchString(text) }

// maxMistake limits the texts that are looked at for mistakes.
const maxMistake = 4096

// oneRecord is a DNS with one text at oneName.
type oneRecord struct{ text string }

const oneName = "record.invalid"

func (o oneRecord) LookupTXT(_ context.Context, name string) ([]string, error) {
	if strings.TrimSuffix(name, ".") == oneName {
		return []string{o.text}, nil
	}
	return []string{"v=spf1 ?all"}, nil
}
func (oneRecord) LookupA(context.Context, string) ([]netip.Addr, error)    { return nil, nil }
func (oneRecord) LookupAAAA(context.Context, string) ([]netip.Addr, error) { return nil, nil }
func (oneRecord) LookupMX(context.Context, string) ([]string, error)       { return nil, nil }
func (oneRecord) LookupPTR(context.Context, netip.Addr) ([]string, error)  { return nil, nil }

// nobody is an address that no host has (RFC 1112 §4), and strangers are addresses of unrelated
// organizations.
var (
	nobody    = netip.MustParseAddr("240.0.0.1")
	strangers = []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("77.88.8.8"), netip.MustParseAddr("133.11.0.1"), netip.MustParseAddr("200.160.2.3")}
)

// lookAtSPFRecord judges the records themselves. It reports whether there is one that can be
// evaluated.
func (h *Host) lookAtSPFRecord(ctx context.Context, domain string) bool {
	usable, faulty := false, false
	h.judge(ctx, domain, domain, func(records []string) []fault {
		var found []string
		for _, r := range records {
			if isSPF(ctx, r) {
				found = append(found, r)
			}
		}
		faulty = faulty || len(found) > 1
		switch len(found) {
		case 0:
			if i := slices.IndexFunc(records, meansSPF); i >= 0 {
				return []fault{{id: "spf.syntax", text: "has no SPF record; one that was meant to be does not begin with v=spf1 and a blank: " + oneLine(records[i]),
					effect: "receivers ignore the record and see none", remedy: Remedy{Text: "Begin the record with v=spf1 and a blank, without quotation marks of its own in a web form."}}}
			}
			return []fault{{id: "spf.missing", text: "has no SPF record", remedy: publish("Publish one with all servers that send mail of the domain, such as:", txtRecord(domain, h.suggestedSPF(ctx)))}}
		case 1:
			usable = true
			return nil
		}
		return []fault{{id: "spf.several", text: fmt.Sprintf("has %d SPF records, one is allowed", len(found)),
			remedy: Remedy{Text: "Merge them into one record, and delete the others. These are there:", Lines: txtRecords(domain, found)}}}
	})
	return usable && !faulty && h.lookAtSPFResult(ctx, domain)
}

// lookAtSPFResult evaluates a record for strangers. It reports whether receivers can evaluate it.
func (h *Host) lookAtSPFResult(ctx context.Context, domain string) bool {
	out := h.checkSPF(ctx, domain, nobody)
	switch out.Result {
	case spf.TempError:
		h.undecided("the SPF record of "+domain, out.Reason)
		return false
	case spf.PermError:
		h.brokenSPF(domain, out)
		return false
	}
	h.lookAtOpenness(ctx, domain, out)
	return true
}

func (h *Host) brokenSPF(domain string, out spf.Outcome) {
	if out.Lookups >= spf.MaxLookups || out.VoidLookups > spf.MaxVoidLookups {
		h.find("spf.lookups", domain, fmt.Sprintf("the SPF record of %s: %s%s", domain, out.Reason, atTerm(out)),
			Remedy{Text: "Take out includes of services that do not send for you any more, and names that do not exist; write the addresses of your own servers as ip4: and ip6: in place of a and mx."})
		return
	}
	h.find("spf.syntax", domain, fmt.Sprintf("the SPF record of %s: %s%s", domain, out.Reason, atTerm(out)),
		Remedy{Text: "Correct this term of the record."})
}

func atTerm(out spf.Outcome) string {
	if out.Mechanism == "" {
		return ""
	}
	return ", at " + out.Mechanism
}

// suggestedSPF is a record with the servers that are known here: the MX hosts and our own
// addresses.
func (h *Host) suggestedSPF(ctx context.Context) string {
	record := "v=spf1 mx"
	for _, a := range h.sendingAddresses(ctx) {
		record += " " + spfTerm(a.addr)
	}
	return record + " ~all"
}

// closedSPF is the record of a domain with ~all at its end.
func (h *Host) closedSPF(ctx context.Context, domain string) string {
	texts, _ := h.views.truth(ctx, domain)
	for _, t := range texts {
		if !isSPF(ctx, t) {
			continue
		}
		terms := slices.DeleteFunc(strings.Fields(t), func(term string) bool {
			return slices.Contains([]string{"all", "+all", "?all"}, strings.ToLower(term))
		})
		if len(terms) > 1 {
			return strings.Join(append(terms, "~all"), " ")
		}
	}
	return h.suggestedSPF(ctx)
}

// lookAtOpenness finds records that pass strangers, or that never say that a host is not allowed.
func (h *Host) lookAtOpenness(ctx context.Context, domain string, out spf.Outcome) {
	remedy := publish("End the record with ~all or -all, and list your own servers, such as:", txtRecord(domain, h.suggestedSPF(ctx)))
	if out.Result == spf.Pass {
		h.find("spf.too-open", domain, fmt.Sprintf("the SPF record of %s passes every address, by %s", domain, out.Mechanism), remedy)
		return
	}
	passing := 0
	for _, addr := range strangers {
		if h.checkSPF(ctx, domain, addr).Result == spf.Pass {
			passing++
		}
	}
	switch {
	case passing > 1:
		h.find("spf.too-open", domain, fmt.Sprintf("the SPF record of %s passes addresses all over the Internet, such as %s", domain, strangers[0]), remedy)
	case out.Result == spf.Neutral:
		h.add(Finding{ID: "spf.too-open", Severity: Medium, Subject: domain, Finding: fmt.Sprintf("the SPF record of %s makes no statement about other hosts%s", domain, atTerm(out)),
			Consequence: "receivers learn nothing about forged mail from it", Remedy: publish("End the record with ~all:", txtRecord(domain, h.closedSPF(ctx, domain)))})
	}
}

// checkSPF evaluates SPF for mail of a domain from an address.
func (h *Host) checkSPF(ctx context.Context, domain string, from netip.Addr) spf.Outcome {
	return spf.CheckHost(ctx, h.evaluators(), spf.Query{Addr: from, Helo: domain, Sender: "postmaster@" + domain, Now: h.Now})
}

// lookAtCoverage checks whether SPF passes for our own addresses.
func (h *Host) lookAtCoverage(ctx context.Context, domain string, from []address) {
	for _, a := range from {
		out := h.checkSPF(ctx, domain, a.addr)
		if out.Result == spf.TempError {
			h.undecided("SPF of "+domain+" for "+a.addr.String(), out.Reason)
			continue
		}
		if out.Result != spf.Pass {
			h.find("spf.not-covering", domain, fmt.Sprintf("SPF of %s is %s for %s (%s)%s", domain, out.Result, a.addr, a.origin, atTerm(out)), coverRemedy(domain, a.addr))
		}
	}
}

func coverRemedy(domain string, addr netip.Addr) Remedy {
	return Remedy{Text: fmt.Sprintf("Put this term behind v=spf1 in the SPF record of %s:", domain), Lines: []string{spfTerm(addr)}}
}

// spfTerm is the term of a record for one address.
func spfTerm(addr netip.Addr) string {
	if addr.Is6() {
		return "ip6:" + addr.String()
	}
	return "ip4:" + addr.String()
}

// lookAtBounces checks SPF of the HELO name, which receivers use for mail with a null sender. A
// name without a record is no fault.
func (h *Host) lookAtBounces(ctx context.Context, from []address) {
	name := h.heloName(ctx)
	if name == "" || h.looksAt(name) {
		return
	}
	for _, a := range from {
		out := spf.CheckHelo(ctx, h.evaluators(), spf.Query{Addr: a.addr, Helo: name, Now: h.Now})
		if out.Result == spf.Fail || out.Result == spf.SoftFail || out.Result == spf.PermError {
			h.add(Finding{ID: "spf.not-covering", Subject: name, Finding: fmt.Sprintf("SPF of the HELO name %s is %s for %s (%s)%s", name, out.Result, a.addr, a.origin, atTerm(out)),
				Consequence: "bounces from this host, whose sender is null, fail SPF", Remedy: coverRemedy(name, a.addr)})
		}
	}
}
