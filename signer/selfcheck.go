package signer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"signpost/internal/dkim"
	"signpost/internal/message"
)

// Limits of the self-check. It keeps at most selfCheckBody * selfChecksAtOnce octets of
// bodies.
const (
	selfCheckBody     = 256 << 10 // octets; a longer body is not checked
	selfChecksAtOnce  = 16        // further messages are not checked
	selfCheckTime     = 30 * time.Second
	selfCheckSilence  = time.Minute // between two alarms for one key
	maxSelfCheckEvery = 1 << 20
)

// selfCheck verifies new signatures as a receiver does, with the key from DNS. It works in
// the background and changes no message.
type selfCheck struct {
	every    int
	resolver dkim.Resolver
	log      *slog.Logger
	now      func() time.Time
	slots    chan struct{}
	count    atomic.Uint64

	mu       sync.Mutex
	reported map[string]time.Time // last alarm, by selector and domain
}

// SelfCheck starts to verify every n-th signed message, n being the configured self_check;
// 0 is none. Call it before the signer is in use.
func (s *Signer) SelfCheck(resolver dkim.Resolver, log *slog.Logger) {
	if s.cfg.SelfCheck == 0 {
		return
	}
	s.check = &selfCheck{
		every: s.cfg.SelfCheck, resolver: resolver, log: log, now: s.now,
		slots: make(chan struct{}, selfChecksAtOnce), reported: map[string]time.Time{},
	}
}

// sample is one message that will be checked. It frees its slot after the check, or when
// the message's context ends before.
type sample struct {
	check  *selfCheck
	keep   func() bool // stops the end of the context from freeing the slot
	header message.Header
	body   []byte
	tooBig bool
}

// newSample returns the sample of a message that is checked; nil for the others.
func (c *selfCheck) newSample(ctx context.Context, h message.Header) *sample {
	if c == nil || c.count.Add(1)%uint64(c.every) != 0 {
		return nil
	}
	select {
	case c.slots <- struct{}{}:
		return &sample{check: c, header: h, keep: context.AfterFunc(ctx, c.release)}
	default:
		return nil
	}
}

func (s *sample) write(p []byte) {
	if s == nil || s.tooBig {
		return
	}
	if len(s.body)+len(p) > selfCheckBody {
		s.tooBig, s.body = true, nil
		return
	}
	s.body = append(s.body, p...)
}

// release frees the slot.
func (c *selfCheck) release() { <-c.slots }

// begin checks the signatures in the background.
func (s *sample) begin(fields []message.Field, queueID string) {
	if s == nil || s.tooBig || !s.keep() {
		return
	}
	signed := make(message.Header, 0, len(fields)+len(s.header))
	for _, f := range fields {
		signed = append(signed, message.Field{Name: f.Name, Value: " " + f.Value})
	}
	signed = append(signed, s.header...)
	go func() {
		defer s.check.release()
		defer func() {
			if cause := recover(); cause != nil {
				s.check.log.Error("panic in the self-check; please report it", "queue", queueID, "panic", fmt.Sprint(cause))
			}
		}()
		s.check.verify(signed, len(fields), s.body, queueID)
	}()
}

// verify verifies the topmost signatures and reports failures.
func (c *selfCheck) verify(h message.Header, count int, body []byte, queueID string) {
	ctx, cancel := context.WithTimeout(context.Background(), selfCheckTime)
	defer cancel()
	v := dkim.NewVerification(h, dkim.Options{Now: c.now(), MaxSignatures: count})
	for i := range v.Keys() {
		v.LookupKey(ctx, i, c.resolver)
	}
	if v.NeedsBody() {
		_, _ = v.Write(body) // the error is in the results
	}
	for i, o := range v.Finish() {
		if i >= count {
			break
		}
		c.report(o, queueID)
	}
}

func (c *selfCheck) report(o dkim.Outcome, queueID string) {
	attrs := []any{"queue", queueID, "domain", o.Domain, "selector", o.Selector, "result", string(o.Result), "reason", o.Reason}
	switch o.Result {
	case dkim.Pass:
		c.log.Debug("self-check: a signature of ours verifies", attrs...)
		return
	case dkim.TempError:
		c.log.Debug("self-check: DNS did not answer", attrs...)
		return
	}
	name := o.Selector + " " + o.Domain
	c.mu.Lock()
	last, now := c.reported[name], c.now()
	again := last.IsZero() || now.Sub(last) >= selfCheckSilence
	if again {
		c.reported[name] = now
	}
	c.mu.Unlock()
	if again {
		c.log.Error("ALARM: a signature of ours does not verify", append(attrs,
			"remedy", fmt.Sprintf("compare the key with DNS: signpost keys check %s %s", o.Domain, o.Selector))...)
	}
}
