package verifier_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"signpost/internal/authres"
	"signpost/internal/conformance"
	"signpost/verifier"
)

// The suites of whole messages, through the milter and the verifier. A case is run
// in monitor mode, where every message is delivered with a field that holds all
// results, and in enforce mode, where it shows what is done.
func TestSuitesOfWholeMessages(t *testing.T) {
	for _, name := range []string{"attacks-2026b", "field-inbound"} {
		t.Run(name, func(t *testing.T) {
			s := conformance.Load(t, name)
			conformance.Run(t, s, s.OfKind("eval", "attack"), func(t testing.TB, c conformance.Case) error {
				return checkMessage(t, s, c)
			})
		})
	}
}

// want is what a case expects of the pipeline.
type want struct {
	SPF   *accepted
	DKIM  []wantSignature
	DMARC *struct {
		accepted
		Policy     string
		HeaderFrom string   `json:"header_from"`
		MustNot    []string `json:"must_not"`
		Domain     string
	}
	Overall         *accepted `json:"dkim_overall"`
	Action, Enforce *accepted
	MustNotAssert   []struct{ Method, Result, Domain string } `json:"ar_must_not_assert"`
}

type accepted struct{ Accept []string }

type wantSignature struct {
	accepted
	D, S, A string
}

func checkMessage(t testing.TB, s *conformance.Suite, c conformance.Case) error {
	t.Helper()
	var in struct {
		Expect   want
		Settings settings
	}
	c.Decode(t, &in)
	zone := s.Zone(t, c)
	var wrong []error
	for _, mode := range []verifier.Mode{verifier.Monitor, verifier.Enforce} {
		p := newPipeline(t, zone, mode, in.Settings, c.Now)
		first := p.send(t, c, s.MessageBytes(t, c))
		if second := p.send(t, c, s.MessageBytes(t, c)); second.String() != first.String() {
			wrong = append(wrong, fmt.Errorf("%s: the second message on the connection: %s, the first: %s", mode, second, first))
		}
		if err := errors.Join(in.Expect.compare(first, mode)...); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w\n%s", mode, err, first))
		}
	}
	return errors.Join(wrong...)
}

func (w want) compare(got delivery, mode verifier.Mode) []error {
	var wrong []error
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if w.Action != nil && !got.isOneOf(w.Action.Accept) {
		bad("%s, want %v", got.what(), w.Action.Accept)
	}
	if w.Enforce != nil && mode == verifier.Enforce && !got.isOneOf(w.Enforce.Accept) {
		bad("%s, want %v", got.what(), w.Enforce.Accept)
	}
	for _, m := range w.MustNotAssert {
		for _, r := range got.of(m.Method) {
			if r.Value == m.Result && slices.ContainsFunc(r.Properties, func(p authres.Property) bool { return concerns(p.Value, m.Domain) }) {
				bad("the field asserts %s=%s for %s", m.Method, m.Result, m.Domain)
			}
		}
	}
	if d := w.DMARC; d != nil {
		for _, r := range got.of("dmarc") {
			if slices.Contains(d.MustNot, r.Value) && concerns(property(r, "header", "from"), d.Domain) {
				bad("dmarc=%s for %s", r.Value, d.Domain)
			}
		}
	}
	if mode == verifier.Monitor {
		// Every message is delivered, so that all results can be read.
		wrong = append(wrong, w.results(got)...)
	}
	return wrong
}

// results compares what the field says of each method.
func (w want) results(got delivery) []error {
	var wrong []error
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if !got.delivered {
		bad("not delivered")
		return wrong
	}
	one := func(method string, want *accepted) authres.Result {
		results := got.of(method)
		if want == nil || len(want.Accept) == 0 {
			return authres.Result{}
		}
		if len(results) != 1 || !slices.Contains(want.Accept, results[0].Value) {
			bad("%s is %v, want one of %v", method, results, want.Accept)
			return authres.Result{}
		}
		return results[0]
	}
	one("spf", w.SPF)
	if d := w.DMARC; d != nil {
		r := one("dmarc", &d.accepted)
		if d.HeaderFrom != "" && property(r, "header", "from") != d.HeaderFrom {
			bad("dmarc is for %q, want %q", property(r, "header", "from"), d.HeaderFrom)
		}
		if d.Policy != "" && property(r, "policy", "dmarc") != d.Policy {
			bad("the policy is %q, want %q", property(r, "policy", "dmarc"), d.Policy)
		}
	}
	signatures := got.of("dkim")
	if w.Overall != nil && !slices.ContainsFunc(signatures, func(r authres.Result) bool { return slices.Contains(w.Overall.Accept, r.Value) }) {
		bad("dkim is %v, want one of %v among them", signatures, w.Overall.Accept)
	}
	if len(w.DKIM) > 0 && len(w.DKIM) != len(signatures) {
		bad("%d signatures, want %d", len(signatures), len(w.DKIM))
		return wrong
	}
	for i, d := range w.DKIM {
		r := signatures[i]
		if !slices.Contains(d.Accept, r.Value) {
			bad("signature %d is %s (%s), want one of %v", i, r.Value, r.Reason, d.Accept)
		}
		// Under a key that is marked as a test there is no result but none.
		if r.Value != "none" && (property(r, "header", "d") != d.D || property(r, "header", "s") != cmp.Or(d.S, property(r, "header", "s"))) {
			bad("signature %d is of %s, want %s %s", i, r.Properties, d.D, d.S)
		}
	}
	return wrong
}

// concerns says that a property's value is a domain, or an address in it, or below it.
func concerns(value, domain string) bool {
	value = strings.ToLower(value[strings.LastIndexByte(value, '@')+1:])
	return value == domain || strings.HasSuffix(value, "."+domain)
}

func property(r authres.Result, ptype, name string) string {
	for _, p := range r.Properties {
		if p.Type == ptype && p.Name == name {
			return p.Value
		}
	}
	return ""
}
