package dmarc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"signpost/internal/message"
)

func FuzzParseRecord(f *testing.F) {
	f.Add("v=DMARC1; p=reject; sp=none; np=quarantine; adkim=s; aspf=r; t=y; psd=n; fo=1:d:s; rua=mailto:a@example.com!10m,https://example.com; ruf=mailto:b@example.com")
	f.Add("v=DMARC1; p=reject; sp=reject; mailto:report@example.com")
	f.Add("v=DMARC1; p=quarantine;;; fo=1; adkim=r; aspf=r")
	f.Add(" V = DMARC1 ;P=none;p=none")
	f.Add("v=DMARC1;rua=mailto:a%21b@[192.0.2.1]?x=y,::,!;p=")
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := ParseRecord(text)
		if (rec == nil) == (err == nil) {
			t.Fatalf("%q: record %v and error %v", text, rec, err)
		}
		version, _, _ := strings.Cut(text, ";")
		if isVersion(version) == errors.Is(err, ErrNotDMARC) {
			t.Fatalf("%q: error %v", text, err)
		}
		if rec != nil {
			checkRecord(t, text, rec)
		}
	})
}

// checkRecord checks the rules for every record.
func checkRecord(t *testing.T, text string, rec *Record) {
	policies := []Policy{None, Quarantine, Reject}
	optional := append([]Policy{""}, policies...)
	if !slices.Contains(policies, rec.P) || !slices.Contains(optional, rec.SP) || !slices.Contains(optional, rec.NP) {
		t.Errorf("%q: p=%q sp=%q np=%q", text, rec.P, rec.SP, rec.NP)
	}
	if rec.ADKIM != Relaxed && rec.ADKIM != Strict || rec.ASPF != Relaxed && rec.ASPF != Strict {
		t.Errorf("%q: adkim=%q aspf=%q", text, rec.ADKIM, rec.ASPF)
	}
	if len(rec.RUF) == 0 && rec.FO != "0" {
		t.Errorf("%q: fo=%q without ruf", text, rec.FO)
	}
	if rec.Raw != text || len(rec.Ignored) > maxIgnored {
		t.Errorf("%q: raw %q, ignored %q", text, rec.Raw, rec.Ignored)
	}
	for _, u := range slices.Concat(rec.RUA, rec.RUF) {
		again, ok := parseURI(u.Text)
		if !ok || again != u || strings.ContainsAny(u.Text, ",!; \t\r\n") {
			t.Errorf("%q: URI %q", text, u.Text)
		}
	}
	// A record written from the parsed values is the same record.
	if rec.Unusable != "" {
		return
	}
	again, err := ParseRecord(canonicalText(rec))
	if err != nil || again.P != rec.P || again.SP != rec.SP || again.NP != rec.NP || again.ADKIM != rec.ADKIM ||
		again.ASPF != rec.ASPF || again.FO != rec.FO || again.PSD != rec.PSD || again.Testing != rec.Testing ||
		!slices.Equal(again.RUA, rec.RUA) || !slices.Equal(again.RUF, rec.RUF) {
		t.Errorf("%q: written anew it is %+v, %v", text, again, err)
	}
}

func canonicalText(rec *Record) string {
	var b strings.Builder
	b.WriteString("v=DMARC1")
	tag := func(name, value string) {
		if value != "" {
			b.WriteString("; " + name + "=" + value)
		}
	}
	list := func(uris []URI) string {
		var texts []string
		for _, u := range uris {
			texts = append(texts, u.Text)
		}
		return strings.Join(texts, ",")
	}
	tag("p", string(rec.P))
	tag("sp", string(rec.SP))
	tag("np", string(rec.NP))
	tag("adkim", string(rec.ADKIM))
	tag("aspf", string(rec.ASPF))
	tag("fo", rec.FO)
	tag("psd", string(rec.PSD))
	tag("rua", list(rec.RUA))
	tag("ruf", list(rec.RUF))
	if rec.Testing {
		tag("t", "y")
	}
	return b.String()
}

// dice makes decisions from the fuzzer's octets.
type dice []byte

func (d *dice) roll(sides int) int {
	if len(*d) == 0 {
		return 0
	}
	n := int((*d)[0]) % sides
	*d = (*d)[1:]
	return n
}

func (d *dice) domain() string {
	labels := []string{"a", "b", "mail", "example", "com"}
	n := d.roll(12)
	parts := []string{[]string{"com", "example", "A", "xn--a", ""}[d.roll(5)]}
	for range n {
		parts = append([]string{labels[d.roll(len(labels))]}, parts...)
	}
	return strings.Join(parts, ".")
}

// FuzzEvaluate evaluates random messages with random small zones. The octets decide
// everything except the text of one record.
func FuzzEvaluate(f *testing.F) {
	f.Add([]byte{2, 0, 3, 1, 4, 2, 1, 3, 0, 0, 1, 1, 2, 0, 3, 1, 1, 1, 2, 0, 3, 1}, "v=DMARC1; p=none; np=reject; psd=y")
	f.Add([]byte{11, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3}, "v=DMARC1; p=reject; psd=n; t=y")
	f.Fuzz(func(t *testing.T, choices []byte, record string) {
		d := dice(choices)
		texts := []string{record, "v=DMARC1; p=reject; psd=y", "v=DMARC1; p=none; sp=quarantine; np=reject", "v=DMARC1; adkim=s",
			"v=DMARC1; p=quarantine; adkim=s; aspf=s; t=y", "v=DMARC1; p=reject; psd=n", "v=DMARC1; p=none; p=none", "x", "!"}
		zone := records{}
		author := d.domain()
		for range d.roll(6) {
			at := d.domain()
			if d.roll(2) == 0 {
				at = lastLabels(author, 1+d.roll(8))
			}
			zone["_dmarc."+at] = append(zone["_dmarc."+at], texts[d.roll(len(texts))])
		}
		if d.roll(3) == 0 {
			zone[author] = [][]string{nil, {"!"}}[d.roll(2)]
		}
		method := []Method{TreeWalk, TreeWalk, PSL}[d.roll(3)]
		var ids [2][]Identifier
		for i := range ids {
			for range d.roll(4) {
				domain := d.domain()
				if d.roll(2) == 0 {
					domain = "x." + lastLabels(author, 1+d.roll(8))
				}
				ids[i] = append(ids[i], Identifier{Domain: domain, Pass: d.roll(2) == 0, TempError: d.roll(2) == 0})
			}
		}
		r := &counting{Resolver: zone}
		discovery := Discover(context.Background(), r, author, method)
		if len(r.names) > maxQueries {
			t.Fatalf("discovery asked for %q", r.names)
		}
		ev := Evaluate(context.Background(), r, discovery, ids[0], ids[1])
		checkPromises(t, r, len(ids[0])+len(ids[1]))
		checkEvaluationPromises(t, ev, ids)
		if ev.Record != nil {
			checkPlainly(t, method, zone, ev, ids)
		}
	})
}

// checkPlainly compares the outcome with the rules without shortcuts: it finds and
// compares every organizational domain (§4.10.2). It skips cases in which that fails.
func checkPlainly(t *testing.T, method Method, zone records, ev Evaluation, ids [2][]Identifier) {
	org := func(domain string) string {
		found, err := OrganizationalDomain(context.Background(), zone, domain, method)
		if err != nil {
			return "?" + domain
		}
		return found
	}
	pass := false
	for i, mode := range []Mode{ev.Record.ASPF, ev.Record.ADKIM} {
		for _, id := range ids[i] {
			domain, ok := message.DomainToASCII(id.Domain)
			same := domain == ev.AuthorDomain || mode == Relaxed && org(domain) == org(ev.AuthorDomain)
			pass = pass || ok && id.Pass && same
		}
	}
	if pass != (ev.Result == Pass) {
		t.Errorf("%s for %s with %v and %v, by the plain rules pass is %v", ev.Result, ev.AuthorDomain, ids, zone, pass)
	}
}

// checkEvaluationPromises checks the rules for every evaluation.
func checkEvaluationPromises(t *testing.T, ev Evaluation, ids [2][]Identifier) {
	aligned := ev.SPFAligned != "" || ev.DKIMAligned != ""
	if aligned != (ev.Result == Pass) {
		t.Errorf("%s with %q and %q aligned", ev.Result, ev.SPFAligned, ev.DKIMAligned)
	}
	if ev.Policy != None && ev.Result != Fail {
		t.Errorf("%s asks for %s", ev.Result, ev.Policy)
	}
	if (ev.Result == Pass || ev.Result == Fail) && ev.Record == nil {
		t.Errorf("%s without a record", ev.Result)
	}
	if !slices.Contains([]Policy{None, Quarantine, Reject}, ev.Policy) || ev.Reason == "" {
		t.Errorf("policy %q, reason %q", ev.Policy, ev.Reason)
	}
	if ev.OrgDomain != "" && !within(ev.AuthorDomain, ev.OrgDomain) {
		t.Errorf("%s is the organizational domain of %s", ev.OrgDomain, ev.AuthorDomain)
	}
	for i, domain := range []string{ev.SPFAligned, ev.DKIMAligned} {
		proved := func(id Identifier) bool {
			ascii, ok := message.DomainToASCII(id.Domain)
			return id.Pass && ok && ascii == domain
		}
		if domain != "" && !slices.ContainsFunc(ids[i], proved) {
			t.Errorf("%q is aligned and none of %v passed", domain, ids[i])
		}
	}
}
