package milter

import "testing"

func TestTheEnvelopeIsAskedForWhileLookupsWait(t *testing.T) {
	var e earlyEnvelope
	e.init()
	if !e.worthwhile() {
		t.Error("the first connection does not deliver its envelope early")
	}
	messages := func(n, waits int) {
		for i := range n {
			e.note(waits > 0 && i%waits == 0)
		}
	}
	messages(100, 0)
	if e.worthwhile() {
		t.Error("early after 100 messages that did not wait for DNS")
	}
	e.note(true)
	if e.worthwhile() {
		t.Error("early after one message that waited")
	}
	messages(100, 4)
	if !e.worthwhile() {
		t.Error("not early while one message in four waits")
	}
	messages(1000, 30)
	e.note(false)
	if e.worthwhile() {
		t.Error("early while one message in thirty waits")
	}
	messages(1000, 1)
	if e.waited.Load() > allMessages {
		t.Errorf("the share is %d, more than all", e.waited.Load())
	}
}
