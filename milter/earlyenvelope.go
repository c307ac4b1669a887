package milter

import "sync/atomic"

// earlyEnvelope decides whether MTAs are asked to wait for an answer at MAIL. Postfix holds back all commands
// that need no answer (milter8_event). The answer makes it deliver the envelope while the client is still
// talking, so that look-ups such as SPF's begin sooner. That is worth a round trip while they have to wait for
// DNS, and nothing while their answers come from the cache. So it follows the recent messages.
type earlyEnvelope struct {
	waited atomic.Uint32 // share of recent messages whose look-ups waited for DNS; 1<<16 is all of them
}

// A message counts for 1/16 of the share. The envelope is asked for while one message in eight waits.
const (
	allMessages  = 1 << 16
	earlyShare   = allMessages / 8
	messageShare = 16
)

func (e *earlyEnvelope) init() { e.waited.Store(allMessages) }

// worthwhile reports whether the next connection should deliver its envelopes early.
func (e *earlyEnvelope) worthwhile() bool { return e.waited.Load() > earlyShare }

// note counts a message. An update that is lost to another goroutine's does not matter.
func (e *earlyEnvelope) note(waited bool) {
	share := e.waited.Load()
	next := share - share/messageShare
	if waited {
		next += allMessages / messageShare
	}
	if next != share {
		e.waited.Store(next)
	}
}
