package tlsrpt

import (
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"signpost/internal/reports/refusal"
)

const plain = `{
  "organization-name": "Receiver of Mail", "contact-info": "tls@receiver.example", "report-id": "2026-11-01@receiver.example",
  "date-range": {"start-datetime": "2026-11-01T00:00:00Z", "end-datetime": "2026-11-01T23:59:59Z"},
  "policies": [{
    "policy": {"policy-type": "sts", "policy-string": ["version: STSv1", "mode: testing"], "policy-domain": "Sender.Example", "mx-host": ["mx.sender.example"]},
    "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 303},
    "failure-details": [
      {"result-type": "certificate-expired", "sending-mta-ip": "2001:db8::1", "receiving-mx-hostname": "mx1.sender.example", "receiving-ip": "192.0.2.1", "failed-session-count": 100},
      {"result-type": "starttls-not-supported", "failed-session-count": 203, "additional-information": null, "failure-reason-code": "X509_V_ERR"}]
  }]
}`

func changed(t *testing.T, pairs ...string) string {
	t.Helper()
	s := plain
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(s, pairs[i]) {
			t.Fatalf("no %q", pairs[i])
		}
		s = strings.ReplaceAll(s, pairs[i], pairs[i+1])
	}
	return s
}

func TestAReportIsRead(t *testing.T) {
	r, err := Read(strings.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	p := r.Policies[0]
	if r.OrgName != "Receiver of Mail" || r.End.Sub(r.Begin) != 24*time.Hour-time.Second || p.Domain != "sender.example" || p.Type != "sts" ||
		p.Succeeded != 5326 || p.Failed != 303 || len(p.Failures) != 2 || p.Failures[0].Sender.String() != "2001:db8::1" || p.Failures[1].Count != 203 {
		t.Errorf("%+v", r)
	}
}

func TestOddReportsAreRead(t *testing.T) {
	for name, in := range map[string]string{
		"contact is null":             changed(t, `"tls@receiver.example"`, "null"),
		"no organization":             changed(t, `"Receiver of Mail"`, `""`),
		"no addresses and hosts":      changed(t, `"sending-mta-ip": "2001:db8::1", "receiving-mx-hostname": "mx1.sender.example", "receiving-ip": "192.0.2.1", `, ""),
		"policy-string is text":       changed(t, `["version: STSv1", "mode: testing"]`, `"version: STSv1"`, `["mx.sender.example"]`, `"mx.sender.example"`),
		"counts are text":             changed(t, `5326`, `"5326"`, `: 303`, `: "303"`),
		"a mark, spaces and a rest":   "\xef\xbb\xbf \n" + plain + "\x00\x00garbage",
		"seconds":                     changed(t, `"2026-11-01T00:00:00Z"`, "1793491200", `"2026-11-01T23:59:59Z"`, `"1793577599"`),
		"a fraction and a zone":       changed(t, `00:00:00Z`, "02:00:00.000+02:00"),
		"no zone":                     changed(t, `00:00:00Z`, "00:00:00", "23:59:59Z", "23:59:59"),
		"broken UTF-8":                changed(t, "Receiver of Mail", "R\xe9ception"),
		"an address that is none":     changed(t, "2001:db8::1", "unknown"),
		"a policy without its domain": changed(t, `"policies": [`, `"policies": [{"policy": {"policy-type": "no-policy-found"}}, null, `),
		"unknown members":             changed(t, `"policies"`, `"x": {"y": [1]}, "policies"`),
	} {
		r, err := Read(strings.NewReader(in))
		if err != nil || len(r.Policies) != 1 || r.Policies[0].Failed != 303 || r.Begin.Unix() != 1793491200 || r.End.Unix() != 1793577599 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestAnEmptyListOfPoliciesIsAReportOfNoSession(t *testing.T) {
	text := `{"organization-name":"Receiver","date-range":{"start-datetime":"2026-11-01T00:00:00Z","end-datetime":"2026-11-01T23:59:59Z"},"report-id":"1","policies":[]}`
	r, err := Read(strings.NewReader(text))
	if err != nil || r.OrgName != "Receiver" || len(r.Policies) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, other := range []string{`null`, `[{"policy":{}}]`} {
		if _, err := Read(strings.NewReader(strings.Replace(text, "[]", other, 1))); refusal.Of(err) == nil || refusal.Of(err).Reason != refusal.NoDomain {
			t.Errorf("policies %s: %v", other, err)
		}
	}
}

func TestWhatIsNoReportIsRefused(t *testing.T) {
	for in, want := range map[string]refusal.Reason{
		"":                                       refusal.Truncated,
		plain[:200]:                              refusal.Truncated,
		"{}":                                     refusal.NoReport,
		`{"a": 1}`:                               refusal.NoReport,
		`{"policies": 3}`:                        refusal.Malformed,
		"{policies}":                             refusal.Malformed,
		strings.Repeat("[", 20_000):              refusal.Malformed,
		`{"a":` + strings.Repeat("[", 20_000):    refusal.Malformed,
		`{"a":"` + strings.Repeat("a", MaxBytes): refusal.TooBig,
		changed(t, "Sender.Example", ""):         refusal.NoDomain,
		changed(t, "Receiver of Mail", "", "tls@receiver.example", ""): refusal.NoReporter,
		changed(t, "2026-11-01T23", "2026-10-01T23"):                   refusal.BadPeriod,
		changed(t, "date-range", "dates"):                              refusal.BadPeriod,
		changed(t, `[{`, `[`+strings.Repeat(`{},`, maxPolicies)+`{`):   refusal.TooManyRecords,
		changed(t, `[
`, `[`+strings.Repeat(`{},`, maxFailures)): refusal.TooManyRecords,
	} {
		_, err := Read(strings.NewReader(in))
		if e := refusal.Of(err); e == nil || e.Reason != want {
			t.Errorf("%.60s: %v, want %s", in, err, want.ID)
		}
	}
}

func TestAnErrorOfTheInputStays(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Read(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// PostgreSQL stores no text that is not UTF-8.
func TestLongTextsAreCutBetweenCharacters(t *testing.T) {
	for n := range 4 {
		long := strings.Repeat("a", n) + strings.Repeat("€", 1000)
		r, err := Read(strings.NewReader(`{"organization-name": "` + long + `", "report-id": "` + long + `", "contact-info": "` + long + `",
			"date-range": {"start-datetime": "2026-11-01T00:00:00Z", "end-datetime": "2026-11-01T23:59:59Z"},
			"policies": [{"policy": {"policy-type": "` + long + `", "policy-domain": "` + long + `"}, "failure-details": [{"result-type": "` + long + `",
				"receiving-mx-hostname": "` + long + `", "receiving-mx-helo": "` + long + `", "additional-information": "` + long + `", "failure-reason-code": "` + long + `"}]}]}`))
		if err != nil {
			t.Fatal(err)
		}
		f := r.Policies[0].Failures[0]
		for _, text := range []string{r.OrgName, r.ReportID, r.Policies[0].Type, r.Policies[0].Domain, f.ResultType, f.MXHost, f.Helo, f.Info, f.ReasonCode} {
			if !utf8.ValidString(text) || len(text) < 250 {
				t.Errorf("%d octets: …%q", len(text), text[max(0, len(text)-6):])
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte(`{"policies":[{"policy":{"policy-domain":"a"}}],"date-range":{"start-datetime":1,"end-datetime":"2"},"contact-info":"@b"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Read(strings.NewReader(string(data)))
		if err != nil {
			if refusal.Of(err).Reason == refusal.NotStored {
				t.Fatalf("an error that is no refusal: %v", err)
			}
			return
		}
		out, _ := json.Marshal(r)
		domains := ""
		for _, p := range r.Policies {
			domains += p.Domain
		}
		if r.OrgName == "" || r.End.Before(r.Begin) || strings.ContainsAny(r.OrgName+r.ReportID+domains, "\x00\n\r") || !utf8.ValidString(r.OrgName+r.ReportID+domains) {
			t.Fatalf("%s", out)
		}
	})
}

func TestOneElementWithoutItsList(t *testing.T) {
	r, err := Read(strings.NewReader(`{"organization-name": "a", "date-range": {"start-datetime": "2026-11-01T00:00:00Z", "end-datetime": "2026-11-01T23:59:59Z"},
		"policies": {"policy": {"policy-domain": "example.com"}, "summary": {"total-failure-session-count": 2},
		"failure-details": {"result-type": "starttls-not-supported", "failed-session-count": 2}}}`))
	if err != nil || len(r.Policies) != 1 || len(r.Policies[0].Failures) != 1 || r.Policies[0].Failures[0].Count != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A list of nothing takes three octets for each element, and a few kilobytes in gzip. It must not become hundreds of megabytes.
func TestALongListTakesLittleMemory(t *testing.T) {
	const head = `{"organization-name":"x","date-range":{"start-datetime":"2026-01-01T00:00:00Z","end-datetime":"2026-01-02T00:00:00Z"},"policies":[`
	many := strings.Repeat("{},", 2_600_000)
	for name, in := range map[string]string{
		"policies":                 head + many + "{}]}",
		"failures":                 head + `{"policy":{"policy-domain":"a.example"},"failure-details":[` + many + "{}]}]}",
		"failures of all policies": head + strings.Repeat(`{"failure-details":[`+many[:9_000*3]+"{}]},", 280) + "{}]}",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Read(strings.NewReader(in))
		runtime.ReadMemStats(&after)
		if e := refusal.Of(err); e == nil || e.Reason != refusal.TooManyRecords {
			t.Errorf("%s: %v", name, err)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 80<<20 {
			t.Errorf("%s: %d MB were taken", name, taken>>20)
		}
	}
}
