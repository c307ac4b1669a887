package daemon

import (
	"testing"
	"time"

	"signpost/internal/message"
	"signpost/milter"
)

// decidedMessages are a signed and a judged message as they are counted.
func decidedMessages() []milter.Decided {
	return []milter.Decided{
		{Outbound: true, Waited: time.Millisecond, Outcome: message.Outcome{
			Disposition: message.Accept, Signatures: []message.Signature{{Domain: "example.com", Selector: "s1", Algorithm: "rsa-sha256"}}, Fragile: "x",
		}},
		{Waited: 20 * time.Millisecond, Reason: milter.MessageTooBig, Outcome: message.Outcome{
			Disposition: message.Reject, Remove: []int{1}, Would: "reject", Sealed: "pass",
			Results: []message.Result{{Method: "spf", Value: "pass"}, {Method: "dkim", Value: "fail"}, {Method: "dkim", Value: "pass"}, {Method: "dmarc", Value: "pass"}},
		}},
	}
}

// Counting is on the way of every message.
func TestCountingAllocatesNothing(t *testing.T) {
	counts, all := newCounters(), decidedMessages()
	var v vitals
	n := testing.AllocsPerRun(1000, func() {
		for _, d := range all {
			counts.Decided(d)
			v.Decided(d)
		}
		counts.Refused(milter.NotAPeer)
	})
	if n != 0 {
		t.Errorf("%v allocations for two messages and a connection", n)
	}
}

func BenchmarkCounting(b *testing.B) {
	counts, all := newCounters(), decidedMessages()
	b.ReportAllocs()
	for b.Loop() {
		for _, d := range all {
			counts.Decided(d)
		}
	}
}
