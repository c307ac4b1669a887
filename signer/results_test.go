package signer

import (
	"testing"

	"signpost/internal/message"
)

// Results of checks are added to mail that goes on, signed or not, and to no mail that is
// refused.
func TestResultsOfChecksAreAddedToMailThatGoesOn(t *testing.T) {
	s, _ := newSigner(t, "domains: [{domain: example.com, selectors: [s]}]\nrequire_published: false\n")
	s = s.WithResults(func(env message.Envelope, _ *message.Trace) message.Outcome {
		return message.Outcome{
			Insert: []message.Field{{Name: "Authentication-Results", Value: "mx; auth=pass"}}, Log: []message.Note{{Key: "auth", Value: env.AuthAuthen}},
			Results: []message.Result{{Method: "auth", Value: "pass"}},
		}
	})
	env := message.Envelope{AuthAuthen: "alice"}
	for from, fields := range map[string]int{"a@example.com": 2, "a@elsewhere.example": 1} {
		out := sign(s, env, header(t, "From: "+from+"\n"))
		if len(out.Insert) != fields || out.Insert[0].Name != "Authentication-Results" || len(out.Signatures) != fields-1 || noteOf(out, "auth") != "alice" || len(out.Results) != 1 {
			t.Errorf("%s: %+v", from, out)
		}
	}
	tx := s.Sign(t.Context(), env)
	tx.Header(env, header(t, "From: a@example.com\n"))
	tx.Cut() // a failure of ours: 451
	if out := tx.End(); out.Disposition != message.Tempfail || len(out.Insert)+len(out.Results) > 0 || noteOf(out, "auth") != "" {
		t.Errorf("refused: %+v", out)
	}
}
