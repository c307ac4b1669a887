package authres

import (
	"fmt"
	"testing"

	"signpost/internal/conformance"
)

type parsed struct {
	ID      string `json:"authserv_id"`
	Results []struct {
		Method string            `json:"method"`
		Result string            `json:"result"`
		Reason string            `json:"reason"`
		Props  map[string]string `json:"props"`
	} `json:"results"`
}

type arCase struct {
	Value  string
	Expect struct {
		Parsed        *parsed
		Error         bool
		StrictErrorOK bool `json:"strict_error_ok"`
		Disputed      any
	}
}

// The suite of real and hostile fields. In a disputed case either of the two answers is
// right.
func TestConformanceAuthres(t *testing.T) {
	s := conformance.Load(t, "authres")
	conformance.Run(t, s, s.OfKind("ar-parse"), func(t testing.TB, c conformance.Case) error {
		var ar arCase
		c.Decode(t, &ar)
		f, err := Parse(ar.Value)
		switch {
		case ar.Expect.Disputed != nil:
			return nil
		case ar.Expect.Error:
			if err == nil {
				return fmt.Errorf("read as %+v, should be an error", f)
			}
			return nil
		case err != nil:
			return err
		}
		return compare(f, *ar.Expect.Parsed)
	})
}

func compare(f Field, want parsed) error {
	if f.AuthservID != want.ID || len(f.Results) != len(want.Results) {
		return fmt.Errorf("id %q with %d results, want %q with %d", f.AuthservID, len(f.Results), want.ID, len(want.Results))
	}
	for i, w := range want.Results {
		r := f.Results[i]
		if r.Method != w.Method || r.Value != w.Result || r.Reason != w.Reason {
			return fmt.Errorf("result %d is %s=%s reason %q, want %s=%s reason %q", i, r.Method, r.Value, r.Reason, w.Method, w.Result, w.Reason)
		}
		got := map[string]string{}
		for _, p := range r.Properties {
			name := p.Name
			if p.Type != "" {
				name = p.Type + "." + p.Name
			}
			got[name] = p.Value
		}
		if len(got) != len(w.Props) {
			return fmt.Errorf("result %d has properties %q, want %q", i, got, w.Props)
		}
		for k, v := range w.Props {
			if got[k] != v {
				return fmt.Errorf("result %d has %s=%q, want %q", i, k, got[k], v)
			}
		}
	}
	return nil
}
