package status

import (
	"sync"
	"time"

	"signpost/internal/message"
)

const minutes = 60

// Counts counts messages by minute, for the last hour and since the start. Its methods may be
// called by many goroutines; the zero value is ready.
type Counts struct {
	mu    sync.Mutex
	slots [minutes]slot
	since Hour
}

type slot struct {
	minute int64 // since 1970; the slot holds the counts of this one
	counts Hour
}

// Origin is how a message came to Postfix; other MTAs do not tell.
type Origin uint8

const (
	UnknownOrigin Origin = iota
	FromClient           // by SMTP
	FromHost             // by the sendmail command, or from Postfix itself
)

// Count counts a message. It allocates nothing.
func (c *Counts) Count(now time.Time, outbound bool, origin Origin, o *message.Outcome) {
	one := outcomes(outbound, origin, o)
	minute := now.Unix() / 60
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.slots[uint64(minute)%minutes]
	if s.minute != minute {
		*s = slot{minute: minute}
	}
	if outbound {
		s.counts.Outbound.add(one)
		c.since.Outbound.add(one)
	} else {
		s.counts.Inbound.add(one)
		c.since.Inbound.add(one)
	}
}

func outcomes(outbound bool, origin Origin, o *message.Outcome) outcomeCounts {
	is := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return outcomeCounts{
		Messages:    1,
		Accepted:    is(o.Disposition == message.Accept),
		Held:        is(o.Disposition == message.Quarantine),
		Rejected:    is(o.Disposition == message.Reject),
		Deferred:    is(o.Disposition == message.Tempfail),
		Signed:      is(outbound && len(o.Signatures) > 0),
		Unsigned:    is(o.Unsigned != ""),
		WouldRefuse: is(o.Would != ""),
		Failures:    is(o.Failure != ""),
		Forged:      len(o.Remove),
		Local:       is(origin == FromHost),
		SMTP:        is(origin == FromClient),
	}
}

// LastHour returns the counts of this minute and the 59 before.
func (c *Counts) LastHour(now time.Time) Hour {
	minute := now.Unix() / 60
	c.mu.Lock()
	defer c.mu.Unlock()
	var sum Hour
	for _, s := range c.slots {
		if s.minute > minute-minutes && s.minute <= minute {
			sum.Inbound.add(s.counts.Inbound)
			sum.Outbound.add(s.counts.Outbound)
		}
	}
	return sum
}

// SinceStart returns the counts of all messages.
func (c *Counts) SinceStart() Hour {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since
}
