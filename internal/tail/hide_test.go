package tail

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"signpost/internal/message"
	"signpost/milter"
)

func query0(t *testing.T, text string) url.Values {
	t.Helper()
	q, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestLocalPartsAreHidden(t *testing.T) {
	h := hider{
		env:    &message.Envelope{Sender: "bounce-77@list.example", AuthAuthen: "alice"},
		author: &message.Author{Addresses: []message.Address{{Local: "bob smith", Domain: "example.com"}, {Local: `q"uote`, Domain: "example.com"}}},
	}
	for text, want := range map[string]string{
		"": "",
		"spf: fail for list.example and no DMARC record":         "spf: fail for list.example and no DMARC record",
		"signer.domains news@example.com":                        "signer.domains ***@example.com",
		"to <a@b.example>, c@d.example; (e@f.example)":           "to <***@b.example>, ***@d.example; (***@f.example)",
		"bob smith@example.com":                                  "***@example.com",
		`addresses ["bob smith@example.com" "x@example.com"]`:    `addresses ["***@example.com" "***@example.com"]`,
		`addresses ["q\"uote@example.com"]`:                      `addresses ["***@example.com"]`,
		`"a b"@example.com`:                                      `***@example.com`,
		`it may be *@example.org {{login}} "*@{{login_domain}}"`: `it may be *@example.org {{login}} "*@{{login_domain}}"`,
		"logged in as alice":                                     "logged in as ***",
		`login "alice" by "PLAIN"`:                               `login "***" by "PLAIN"`,
		"looking up bounce-77._spf.list.example: timeout":        "looking up ***._spf.list.example: timeout",
		"looking up BOUNCE-77._spf.list.example: timeout":        "looking up ***._spf.list.example: timeout",
		"a.bounce-77.x":                                          "a.***.x",
		"unbounce-77.x bounce-77.":                               "unbounce-77.x bounce-77.",
		"ü@example.com and a.b+c=d@e.example":                    "***@example.com and ***@e.example",
		"user%other@relay.example@gateway.example":               "***@***@gateway.example",
	} {
		if got := h.text(text); got != want {
			t.Errorf("%s becomes\n%s, want\n%s", text, got, want)
		}
	}
	h.off = true
	if got := h.text("news@example.com"); got != "news@example.com" {
		t.Errorf("with local parts shown: %s", got)
	}
}

func TestLocalPartsAreShownWhereConfigured(t *testing.T) {
	d := refused()
	e, _ := decode(encode(nil, &d, time.Now(), true))
	if e.Sender != "alice.secret@bounce.example" || strings.Join(e.To, " ") != "bob@dest.example carol@dest.example dave@other.example" {
		t.Errorf("%q, %q", e.Sender, e.To)
	}
}

// Whatever a message contains, its record can be read again, fits, and has none of the
// local parts.
func FuzzRecord(f *testing.F) {
	f.Add("alice.secret", "example.com", "550 of <alice.secret@example.com>", 3)
	f.Add("a b", "x.example", `"a b"@x.example`, 20)
	f.Add("\x1b[31m", "\xff.example", strings.Repeat("@", 2000), 40)
	f.Fuzz(func(t *testing.T, local, domain, text string, n int) {
		n = max(0, n%50)
		d := milter.Decided{
			Rule: text, Envelope: &message.Envelope{Sender: local + "@" + domain, QueueID: text, Helo: domain, ClientName: text},
			Outcome: message.Outcome{
				Author: &message.Author{Domains: []string{domain, text}, Addresses: []message.Address{{Local: local, Domain: domain}}},
				Reply:  message.Reply{Code: 550, Enhanced: "5.7.1", Text: text}, Rule: text, Failure: text,
			},
		}
		for range n {
			d.Envelope.Recipients = append(d.Envelope.Recipients, local+"@"+domain)
			d.Outcome.Log = append(d.Outcome.Log, message.Note{Key: "k", Value: local + "@" + domain})
			d.Outcome.Results = append(d.Outcome.Results, message.Result{Method: "dkim", Value: "pass", Domain: domain, Selector: text})
		}
		record := encode(nil, &d, time.Now(), false)
		if len(record) > maxRecord {
			t.Fatalf("a record of %d octets", len(record))
		}
		e, err := decode(record)
		if err != nil {
			t.Fatal(err)
		}
		for _, note := range e.Notes {
			if len(local) > 3 && !strings.Contains(hidden, local) && !strings.Contains(domain, local) && strings.Contains(note.Value, local+"@") {
				t.Errorf("the local part %q stands in %q", local, note.Value)
			}
		}
		if _, err := json.Marshal(e); err != nil {
			t.Error(err)
		}
	})
}

// A record that is damaged is an error and no panic.
func FuzzDecode(f *testing.F) {
	d := refused()
	f.Add(encode(nil, &d, time.Now(), false))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = decode(b) })
}
