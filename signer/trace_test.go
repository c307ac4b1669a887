package signer

import (
	"net/netip"
	"reflect"
	"testing"

	"signpost/internal/message"
)

// The trace changes no decision, and without one
// nothing is put into words.
func TestATraceChangesNothing(t *testing.T) {
	s, _ := newSigner(t, "domains:\n  - domain: example.com\n    selectors: [ed1]\n    subdomains: true\n")
	for _, from := range []string{"a@example.com", "a@x.example.com", "a@other.example", "no address"} {
		h := header(t, "From: "+from+"\n")
		env := message.Envelope{ClientAddr: netip.MustParseAddr("127.0.0.1")}
		var trace message.Trace
		ours, why := s.ExplainOutbound(env, &trace)
		if again, whyAgain := s.Outbound(env); ours != again || why != whyAgain {
			t.Errorf("ours is %v, %q with a trace and %v, %q without", ours, why, again, whyAgain)
		}
		tx := s.Explain(t.Context(), env, &trace)
		if tx.Header(env, h) {
			tx.Body([]byte(testBody))
		}
		with, without := tx.End(), sign(s, env, h)
		if with.Trace != &trace || without.Trace != nil {
			t.Errorf("%s: the outcomes have the traces %v and %v", from, with.Trace, without.Trace)
		}
		if with.Trace = nil; !reflect.DeepEqual(with, without) {
			t.Errorf("%s: with a trace %+v, without %+v", from, with, without)
		}
		if len(trace.Steps) < 5 {
			t.Errorf("%s: the trace has only %+v", from, trace.Steps)
		}
	}
}

func TestWithoutATraceChoosingAKeyAllocatesNextToNothing(t *testing.T) {
	s, _ := newSigner(t, "domains:\n  - domain: example.com\n    selectors: [ed1]\n    subdomains: true\n")
	author := header(t, "From: a@a.b.c.d.example.com\n").Author()
	if n := testing.AllocsPerRun(100, func() { s.table.find(author, s.table.now, nil) }); n > 1 {
		t.Errorf("%v allocations, of which one is the rule's name for the log", n)
	}
}
