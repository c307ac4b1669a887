package signer

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signpost/internal/message"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

// lateDNS has no record, and says so late; an hour is never.
type lateDNS struct{ after map[string]time.Duration }

func (lateDNS) String() string { return "late" }

func (lateDNS) Acquire(context.Context) (done func(), err error) { return func() {}, nil }

func (d lateDNS) LookupTXT(ctx context.Context, name string) ([]string, error) {
	select {
	case <-time.After(d.after[name]):
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// starts is the signer of a daemon that has just started, and what makes a reload of
// the same configuration.
func starts(t *testing.T, yaml string, dns lateDNS) (s *Signer, reload func()) {
	t.Helper()
	s, store := newSigner(t, yaml)
	w := lifecycle.NewTracker(filepath.Join(t.TempDir(), "none"), time.Now)
	begin := func() *lifecycle.Spec {
		plan := &lifecycle.Spec{Config: keys.Defaults(), Store: store, Listed: s.cfg.Listed(store.Refs()), Require: true, Servers: []lifecycle.Server{dns}}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		w.Begin(ctx, plan, slog.New(slog.DiscardHandler))
		return plan
	}
	return New(s.cfg, s.table.Index, &begin().Active, s.now), func() { begin() }
}

const waitingYAML = "on_error: unsigned\ndomains:\n  - {domain: example.com, selectors: [ed1]}\n  - {domain: alice@example.com, selectors: [alice1]}\n"

func TestAnAddressAndItsDomainAreWaitedForTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := starts(t, waitingYAML, lateDNS{map[string]time.Duration{
			"alice1._domainkey.example.com": 4 * time.Second, "ed1._domainkey.example.com": time.Hour,
		}})
		begun := time.Now()
		out := sign(s, message.Envelope{}, header(t, letter))
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if noteOf(out, "selectors") != "ed1" || !strings.Contains(noteOf(out, "not_as_listed"), "alice1 does not sign yet") {
			t.Errorf("outcome %+v", out)
		}
	})
}

func TestAMessageThatWaitedInVainNeverLeavesUnsigned(t *testing.T) {
	late := lateDNS{map[string]time.Duration{"alice1._domainkey.example.com": time.Second}}
	comesAgain := func(t *testing.T, out message.Outcome, why string) {
		t.Helper()
		if out.Disposition != message.Tempfail || len(out.Insert) != 0 || !strings.Contains(noteOf(out, "error"), why) {
			t.Errorf("outcome %+v, want 451 because %s", out, why)
		}
	}
	t.Run("its time ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, _ := starts(t, waitingYAML, late)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			tx := s.Sign(ctx, message.Envelope{})
			tx.Header(message.Envelope{}, header(t, letter))
			comesAgain(t, tx.End(), "before DNS answered")
			// The look-up went on without it, and the next one has its answer.
			if out := sign(s, message.Envelope{}, header(t, letter)); out.Disposition != message.Accept || noteOf(out, "unsigned") == "" {
				t.Errorf("the next message: %+v", out)
			}
		})
	})
	t.Run("the configuration is replaced", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, reload := starts(t, waitingYAML, late)
			outcome := make(chan message.Outcome, 1)
			go func() { outcome <- sign(s, message.Envelope{}, header(t, letter)) }()
			synctest.Wait()
			reload()
			comesAgain(t, <-outcome, "the configuration was replaced")
		})
	})
}
