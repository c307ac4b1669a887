package daemon

import (
	"strings"
	"testing"
	"time"

	"signpost/internal/message"
)

// A field that claims to be ours (RFC 8601 §5) is removed from mail that we sign
// too, and no signature covers a field that is removed.
func TestForgedResultsAreRemovedFromMailThatWeSign(t *testing.T) {
	h := newHouse(t)
	h.replace("require_published: true", "require_published: false")
	g, err := Load(h.config, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	header := message.Header{
		{Name: "Authentication-Results", Value: " other.example; dkim=pass"},
		{Name: "Authentication-Results", Value: " mx.example.com; dmarc=pass"},
		{Name: "BIMI-Location", Value: " v=BIMI1; l=https://example.org/logo.svg"},
		{Name: "From", Value: " a@example.com"},
	}
	env := message.Envelope{AuthAuthen: "alice", MTAName: "mx.example.net"}
	out := decide(g.Handlers().Signer.Sign(t.Context(), env), env, header, "hello\r\n")
	if len(out.Insert) != 2 || len(out.Remove) != 2 || out.Remove[0] != 1 || out.Remove[1] != 2 || note(out, "removed") != "2 fields that claim to be ours" {
		t.Fatalf("outcome %+v, want two signatures, and fields 1 and 2 removed", out)
	}
	for _, f := range out.Insert {
		if strings.Contains(strings.ToLower(f.Value), "bimi-location") {
			t.Errorf("a removed field is signed: %s", f.Value)
		}
	}
	// Mail that is not signed has none either.
	header[3].Value = " a@else.test"
	out = decide(g.Handlers().Signer.Sign(t.Context(), env), env, header, "hello\r\n")
	if out.Unsigned == "" || len(out.Remove) != 2 {
		t.Errorf("outcome %+v, want no signature, and two fields removed", out)
	}
}
