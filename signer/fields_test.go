package signer

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"signpost/internal/config"
	"signpost/internal/dkim"
	"signpost/internal/message"
)

// RFC 5322 §3.6.2, RFC 6376 §B.2.3: a list that distributes a message unchanged adds
// these fields and nothing else.
func TestAListThatOnlyAddsItsOwnFieldsLeavesTheSignatureValid(t *testing.T) {
	s, store := newSigner(t, "domains:\n  - domain: example.com\n    selectors: [ed1]\n")
	h := header(t, letter)
	out := sign(s, message.Envelope{}, h)
	added := message.Header{}
	for _, name := range []string{"Received", "Sender", "List-Id", "List-Post", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Archive",
		"List-Help", "List-Owner", "List-Subscribe", "Precedence", "Errors-To", "X-Mailing-List", "Resent-From", "Resent-Date"} {
		added = append(added, message.Field{Name: name, Value: " list@lists.example"})
	}
	if o := verify(t, store, out, append(added, h...)); o[0].Result != dkim.Pass {
		t.Errorf("%s (%s)", o[0].Result, o[0].Reason)
	}
}

func TestASenderThatIsPresentIsSigned(t *testing.T) {
	s, store := newSigner(t, "domains:\n  - domain: example.com\n    selectors: [ed1]\n")
	h := header(t, "Sender: office@example.com\n"+letter)
	out := sign(s, message.Envelope{}, h)
	if o := verify(t, store, out, h); o[0].Result != dkim.Pass {
		t.Fatalf("%s (%s)", o[0].Result, o[0].Reason)
	}
	changed := slices.Clone(h)
	changed[0].Value = " eve@evil.example"
	if o := verify(t, store, out, changed); o[0].Result == dkim.Pass {
		t.Error("the signature still passes with another Sender")
	}
}

func TestSignerFieldsChangeTheDefaults(t *testing.T) {
	h := header(t, "From: a@example.com\nReply-To: a@example.com\nX-Foo: 1\nx-foo: 2\nFeedback-ID: 3\n")
	for _, c := range []struct {
		name   string
		fields Fields
		want   string // the names of h=, but for those that the defaults oversign where absent
	}{
		{"the defaults", Fields{}, "From From Reply-To Reply-To Feedback-ID"},
		{"one more, as often as it is present", Fields{Sign: []string{"+X-Foo"}}, "From From Reply-To Reply-To Feedback-ID X-Foo X-Foo"},
		{"one less", Fields{Sign: []string{"-feedback-id"}}, "From From Reply-To Reply-To"},
		{"what is not signed is not oversigned", Fields{Sign: []string{"-Reply-To"}}, "From From Feedback-ID"},
		{"signed and not oversigned", Fields{Oversign: []string{"-Reply-To"}}, "From From Reply-To Feedback-ID"},
		{"oversigned and so signed", Fields{Oversign: []string{"+X-Foo", "+Feedback-ID"}}, "From From Reply-To Reply-To Feedback-ID Feedback-ID X-Foo X-Foo X-Foo"},
		{"oversigned where absent", Fields{Oversign: []string{"+Sender"}}, "From From Reply-To Reply-To Sender Feedback-ID"},
		{"what is there already", Fields{Sign: []string{"+From", "+Subject"}, Oversign: []string{"+from"}}, "From From Reply-To Reply-To Feedback-ID"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.fields.validate(func(path, problem string) { t.Errorf("%s: %s", path, problem) })
			var got []string
			for _, name := range signedNames(c.fields.covered(), h) {
				if !slices.Contains([]string{"To", "Cc", "Subject", "Date", "Content-Type"}, name) {
					got = append(got, name)
				}
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("h= has %s, want %s", s, c.want)
			}
		})
	}
	if len(Fields{}.covered()) != len(defaultFields) {
		t.Error("the defaults were changed")
	}
}

func TestMistakesInSignerFieldsAreToldByLine(t *testing.T) {
	for _, c := range []struct{ list, change, want string }{
		{"sign", `"-From"`, "From must be signed"},
		{"sign", `"-FROM"`, "From must be signed"},
		{"oversign", `"-From"`, "a second From could be added"},
		{"sign", `"+Received"`, "each hop adds one"},
		{"sign", `"+return-path"`, "each delivery replaces it"},
		{"oversign", `"+DKIM-Signature"`, "would break"},
		{"sign", `"+Authentication-Results"`, "receivers remove and add it"},
		{"sign", `"+ARC-Seal"`, "ARC hop"},
		{"sign", `"+Bcc"`, "removed before delivery"},
		{"sign", `X-Foo`, "write +NAME"},
		{"sign", `""`, "write +NAME"},
		{"sign", `"+"`, "not the name of a header field"},
		{"sign", `"+X Foo"`, "not the name of a header field"},
		{"sign", `"+X-Foo:"`, "not the name of a header field"},
		{"sign", `"+X;b=x"`, "not the name of a header field"},
		{"sign", `"+Süß"`, "not the name of a header field"},
		{"sign", `"+` + strings.Repeat("x", 77) + `"`, "not the name of a header field"},
		{"sign", `"-X-Foo"`, "not among the defaults"},
		{"oversign", `"-Sender"`, "not among the defaults"},
		{"sign", `"+X-Foo", "+x-foo"`, "named twice"},
		{"sign", `"+To", "-to"`, "named twice"},
	} {
		t.Run(c.list+" "+c.change, func(t *testing.T) {
			cfg := Defaults()
			src := config.Decode("test.yaml", []byte("fields:\n  "+c.list+": ["+c.change+"]\n"), &cfg)
			cfg.Validate(src.Bad)
			err := src.Err()
			if err == nil || !strings.Contains(err.Error(), c.want) || !regexp.MustCompile(`^test\.yaml:2:[0-9]+: fields\.`+c.list+`\[`).MatchString(err.Error()) {
				t.Errorf("%v, want %q at line 2", err, c.want)
			}
		})
	}
	contradiction := Fields{Sign: []string{"-Reply-To"}, Oversign: []string{"+reply-to"}}
	told := 0
	contradiction.validate(func(path, problem string) {
		if told++; path != "fields.oversign[0]" || !strings.Contains(problem, "leave one of the two out") {
			t.Errorf("%s: %s", path, problem)
		}
	})
	if told != 1 {
		t.Errorf("the contradiction is told %d times", told)
	}
}

func TestExplainShowsTheChangedFields(t *testing.T) {
	s, _ := newSigner(t, "fields: {sign: [+X-Foo], oversign: [-Reply-To]}\ndomains:\n  - domain: example.com\n    selectors: [ed1]\n")
	var trace message.Trace
	tx := s.Explain(t.Context(), message.Envelope{}, &trace)
	tx.Header(message.Envelope{}, header(t, letter+"X-Foo: 1\n"))
	for _, step := range trace.Steps {
		if step.Rule == "fields covered" {
			if !strings.Contains(step.Compared, "signer.fields sign: +X-Foo; oversign: -Reply-To") || !strings.HasSuffix(step.Result, ":X-Foo") {
				t.Errorf("%+v", step)
			}
			return
		}
	}
	t.Error("no step tells the fields")
}

func TestNoSignatureCoversWhatLaterHopsChange(t *testing.T) {
	for _, name := range []string{"Received", "Return-Path", "authentication-results", "ARC-Seal", "Received-SPF", "X-Signpost-Disposition",
		"BIMI-Location", "bimi-indicator", "BIMI-Logo-Preference"} {
		for path, fields := range map[string]Fields{"fields.sign[0]": {Sign: []string{"+" + name}}, "fields.oversign[0]": {Oversign: []string{"+" + name}}} {
			var found []string
			fields.validate(func(path, problem string) { found = append(found, path+" "+problem) })
			if len(found) != 1 || !strings.HasPrefix(found[0], path) || !strings.Contains(found[0], "would break") {
				t.Errorf("%s: %q", name, found)
			}
		}
	}
}
