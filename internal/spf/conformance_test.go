package spf

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"signpost/internal/conformance"
)

// TestPublishedSuites runs the published suites whole. Of the answers that
// a case accepts, the RFC 7208 suite names the best first; we give that one.
func TestPublishedSuites(t *testing.T) {
	for _, run := range []struct {
		suite string
		best  bool
	}{
		{"spf-rfc7208", true},
		{"spf-rfc4408", false},
	} {
		t.Run(run.suite, func(t *testing.T) {
			s := conformance.Load(t, run.suite)
			conformance.Run(t, s, s.OfKind("spf"), func(t testing.TB, c conformance.Case) error {
				return checkCase(t, s, c, run.best)
			})
		})
	}
}

func checkCase(t testing.TB, s *conformance.Suite, c conformance.Case, best bool) error {
	var want struct {
		SPF struct {
			Result      Result
			Accept      []Result
			Explanation *string
		}
	}
	if err := json.Unmarshal(c.Expect, &want); err != nil {
		return err
	}
	q := Query{
		Addr:     netip.MustParseAddr(c.IP),
		Helo:     c.Helo,
		Sender:   *c.MailFrom,
		Receiver: "receiver.example.net",
		Now:      time.Unix(1_700_000_000, 0),
		Explain:  true,
	}
	out := CheckHost(context.Background(), s.Zone(t, c), q)
	if err := checkInvariants(out, q); err != nil {
		return err
	}
	ok := slices.Contains(want.SPF.Accept, out.Result)
	if best {
		ok = out.Result == want.SPF.Result
	}
	if !ok {
		return fmt.Errorf("%+v, want %s, accepted %v", out, want.SPF.Result, want.SPF.Accept)
	}
	if text := want.SPF.Explanation; text != nil {
		if *text == "DEFAULT" {
			*text = "" // the caller may choose the words
		}
		if out.Explanation != *text {
			return fmt.Errorf("explanation %q, want %q", out.Explanation, *text)
		}
	}
	return nil
}

// checkInvariants checks the rules that hold for every outcome.
func checkInvariants(out Outcome, q Query) error {
	results := []Result{None, Neutral, Pass, Fail, SoftFail, TempError, PermError}
	switch {
	case !slices.Contains(results, out.Result):
		return fmt.Errorf("%q is no result", out.Result)
	case out.Lookups > MaxLookups:
		return fmt.Errorf("%d look-ups", out.Lookups)
	case out.VoidLookups > MaxVoidLookups+1, out.VoidLookups > MaxVoidLookups && out.Result != PermError:
		return fmt.Errorf("%d void look-ups and %s", out.VoidLookups, out.Result)
	case out.Explanation != "" && (out.Result != Fail || !q.Explain):
		return fmt.Errorf("a %s is explained: %q", out.Result, out.Explanation)
	case len(out.Explanation) > maxExplanation, len(out.Mechanism) > maxQuote+3, len(out.Reason) > 2000:
		return fmt.Errorf("a text is too long: %+v", out)
	case out.Result == None && out.Mechanism != "", (out.Result == Pass || out.Result == Fail || out.Result == SoftFail) && out.Mechanism == "":
		return fmt.Errorf("%s by mechanism %q", out.Result, out.Mechanism)
	case out.Reason == "" && (out.Result == None || out.Result == TempError || out.Result == PermError):
		return fmt.Errorf("%s without a reason", out.Result)
	case out.Domain == "" && out.Result != None:
		return fmt.Errorf("%s without a domain", out.Result)
	}
	for _, text := range []string{out.Domain, out.Mechanism, out.Reason, out.Explanation} {
		for _, c := range []byte(text) {
			if c < ' ' || c > '~' {
				return fmt.Errorf("%q is not printable ASCII", text)
			}
		}
	}
	return nil
}
