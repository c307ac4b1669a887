package dmarc

import (
	"context"
	"strings"
	"testing"
	"unicode/utf8"
)

// A TXT record that is almost a DMARC record does not count, and the reason names it
// and its mistake.
func TestTheReasonNamesARecordThatMissesBeingOne(t *testing.T) {
	for text, want := range map[string]string{
		`v=DMARC1, p=reject`: `"," stands where a semicolon should, after v=DMARC1`,
		`v=DMARC1: p=reject`: `":" stands where a semicolon should`,
		`v=DMARC1. p=reject`: `"." stands where a semicolon should`,
		`v=DMARC1 p=reject`:  `no semicolon after v=DMARC1`,
		`v=DMARC1p=reject`:   `no semicolon after v=DMARC1`,
		"v=DMARC1" + strings.Repeat(" ", maxNearMiss-len("v=DMARC1")) + "p=reject":  `no semicolon after v=DMARC1`,
		"v=" + strings.Repeat(" ", maxNearMiss-len("v=DMARC1")) + "DMARC1 p=reject": `no semicolon after v=DMARC1`,
		`v=DMARC1\; p=reject\;`:               `a backslash before the semicolon`,
		`"v=DMARC1; p=reject"`:                `in quotation marks`,
		`'v=DMARC1; p=reject'`:                `in quotation marks`,
		`“v=DMARC1; p=reject”`:                `in quotation marks`,
		`\"v=DMARC1; p=reject\"`:              `in quotation marks`,
		`"v=DMARC1;" "p=reject"`:              `in quotation marks`,
		`v="DMARC1"; p=reject`:                `in quotation marks`,
		`v=dmarc1; p=reject`:                  `"dmarc1" is to be written DMARC1, in upper case`,
		`V=Dmarc1;p=none`:                     `"Dmarc1" is to be written DMARC1, in upper case`,
		`v=dmarc1, p=reject`:                  `in upper case`,
		"\u00a0v=DMARC1; p=reject":            `does not begin with v=DMARC1`,
		"\ufeffv=DMARC1; p=reject":            `does not begin with v=DMARC1`,
		`; v=DMARC1; p=reject`:                `does not begin with v=DMARC1`,
		`p=reject; v=DMARC1`:                  `does not begin with v=DMARC1`,
		`_dmarc IN TXT v=DMARC1; p=reject`:    `does not begin with v=DMARC1`,
		`TXT=v=DMARC1; p=reject`:              `does not begin with v=DMARC1`,
		`DMARC1; p=reject`:                    `does not begin with v=DMARC1`,
		`=DMARC1; p=reject`:                   `does not begin with v=DMARC1`,
		`v:DMARC1; p=reject`:                  `no "=" between v and DMARC1`,
		`v DMARC1; p=reject`:                  `no "=" between v and DMARC1`,
		`v-DMARC1; p=reject`:                  `no "=" between v and DMARC1`,
		`v==DMARC1; p=reject`:                 `the version is "=DMARC1", not DMARC1`,
		`v=DMARC; p=reject`:                   `the version is "DMARC", not DMARC1`,
		`v=DMARC2; p=reject`:                  `the version is "DMARC2", not DMARC1`,
		`v=DMARC 1; p=reject`:                 `the version is "DMARC 1", not DMARC1`,
		`v=DMARC1.0; p=reject`:                `"." stands where a semicolon should`,
		`v=DMARC10; p=reject`:                 `the version is "DMARC10", not DMARC1`,
		"v=DMARC1\uff1bp=reject":              `"\uff1b" stands where a semicolon should`,
		"v=DMARC1\u200b; p=reject":            `"\u200b" stands where a semicolon should`,
		"v=D\u041cARC1; p=reject":             `the version is "D\u041cARC1", not DMARC1`,
		`v=DKIM1; p=reject`:                   `the version is "DKIM1", not DMARC1`,
		`p=reject; rua=mailto:a@example.com`:  `has no v=DMARC1`,
		`v=; p=quarantine`:                    `the version is "", not DMARC1`,
		`v=DMARC1` + strings.Repeat(" ", 300): ``, // a valid beginning
		`v=DMARC1`:                            ``, // a record without a policy
		`v=spf1 -all`:                         ``,
		`v=DKIM1; k=rsa; p=MIGf`:              ``,
		`google-site-verification=dmarc`:      ``,
		`some text`:                           ``,
		``:                                    ``,
	} {
		zone := records{"_dmarc.example.com": {"v=spf1 -all", text}}
		d := Discover(context.Background(), zone, "example.com", TreeWalk)
		if want == "" {
			if strings.Contains(d.Reason, "misses") {
				t.Errorf("%q: %s", text, d.Reason)
			}
			continue
		}
		if !strings.Contains(d.Reason, "no DMARC record for example.com: a TXT record at _dmarc.example.com misses being one: ") || !strings.Contains(d.Reason, want) {
			t.Errorf("%q: the reason is %q, want %q in it", text, d.Reason, want)
		}
		ev := Evaluate(context.Background(), zone, d, nil, nil)
		if ev.Result != None || !ev.Flawed {
			t.Errorf("%q: %s, flawed %v", text, ev.Result, ev.Flawed)
		}
	}
}

// If a record applies, the reason does not mention faulty ones found before it.
func TestARecordThatAppliesIsNotExplainedAway(t *testing.T) {
	zone := records{"_dmarc.a.example.com": {"v=dmarc1; p=none"}, "_dmarc.example.com": {"v=DMARC1; p=reject"}}
	d := Discover(context.Background(), zone, "a.example.com", TreeWalk)
	ev := Evaluate(context.Background(), zone, d, nil, nil)
	if ev.Result != Fail || ev.Policy != Reject || ev.Flawed || strings.Contains(ev.Reason, "misses") {
		t.Errorf("%+v", ev)
	}
	if steps := d.Steps(); !strings.Contains(steps[0].Problem, "upper case") {
		t.Errorf("steps %+v", steps)
	}
}

// pct= is not a tag of RFC 9989: the policy holds for every message, and the reason
// says so.
func TestPctIsNamedAsIgnored(t *testing.T) {
	zone := records{"_dmarc.example.com": {"v=DMARC1; p=reject; Pct = 10"}}
	d := Discover(context.Background(), zone, "example.com", TreeWalk)
	ev := Evaluate(context.Background(), zone, d, nil, nil)
	if ev.Policy != Reject || !strings.Contains(ev.Reason, `"pct=10" of the record is ignored`) {
		t.Errorf("%+v", ev)
	}
	if got := strings.Join(d.Record.Ignored, "\n"); !strings.Contains(got, "pct=10") || !strings.Contains(got, "RFC 9989") {
		t.Errorf("ignored: %s", got)
	}
}

func FuzzNearMiss(f *testing.F) {
	for _, seed := range []string{`v=DMARC1, p=reject`, `"v=dmarc1"`, `v`, `p=reject`, "\xff\xfev=DMARC1", `“`, `\"`, "v=DMARC1" + strings.Repeat(" ", maxNearMiss) + "p"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := nearMiss(text)
		if len(got) > 400 || (utf8.ValidString(text) && !utf8.ValidString(got)) {
			t.Errorf("%q: %q", text, got)
		}
		if _, err := ParseRecord(text); err == nil && got != "" {
			t.Errorf("%q is a record and misses being one: %q", text, got)
		}
	})
}
