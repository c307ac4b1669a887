package signer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"signpost/internal/dns"
	"signpost/internal/message"
	"signpost/keys"
)

// silentDNS does not answer.
type silentDNS struct{}

func (silentDNS) LookupTXT(context.Context, string) ([]string, error) {
	return nil, errors.New("no answer")
}

func TestTheSelfCheckAlarmsWhereASignatureDoesNotVerify(t *testing.T) {
	const yaml = "self_check: 1\ndomains:\n  - domain: example.com\n    selectors: [ed1, ed2]\n"
	for _, c := range []struct {
		name    string
		records func(*keys.Store) *dns.Zone
		want    []string // one line each
	}{
		{"DNS has the keys", func(s *keys.Store) *dns.Zone {
			z := dns.NewZone()
			for _, k := range s.Keys() {
				z.AddTXT(k.RecordName(), k.Record())
			}
			return z
		}, nil},
		{"DNS has another key for one", func(s *keys.Store) *dns.Zone {
			z := dns.NewZone()
			for _, k := range s.Keys() {
				z.AddTXT(k.RecordName(), s.Keys()[0].Record())
			}
			return z
		}, []string{"selector=ed2 result=fail"}},
		{"DNS has none", func(*keys.Store) *dns.Zone { return dns.NewZone() }, []string{"selector=ed1 result=permerror", "selector=ed2 result=permerror"}},
		{"DNS does not answer", func(*keys.Store) *dns.Zone { return nil }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, store := newSigner(t, yaml)
			h := header(t, letter)
			zone := c.records(store)
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				logger := slog.New(slog.NewTextHandler(&log, nil))
				if zone != nil {
					s.SelfCheck(zone, logger)
				} else {
					s.SelfCheck(silentDNS{}, logger)
				}
				for range 3 { // told once
					if out := sign(s, message.Envelope{QueueID: "4abc"}, h); len(out.Insert) != 2 {
						t.Fatalf("the outcome is %+v", out)
					}
				}
				synctest.Wait()
				lines := strings.Split(strings.TrimSpace(log.String()), "\n")
				if len(c.want) == 0 {
					lines = lines[1:]
					if log.Len() > 0 {
						t.Errorf("the log says %s", &log)
					}
				}
				if len(lines) != len(c.want) {
					t.Fatalf("the log says %s", &log)
				}
				all := log.String()
				for _, want := range c.want {
					if !strings.Contains(all, want) || !strings.Contains(all, "level=ERROR") || !strings.Contains(all, "queue=4abc") ||
						!strings.Contains(all, "signpost keys check example.com ed") {
						t.Errorf("the log lacks %q: %s", want, all)
					}
				}
			})
		})
	}
}

func TestTheSelfCheckTakesEveryNthMessageAndHoldsLittle(t *testing.T) {
	s, _ := newSigner(t, "self_check: 3\ndomains:\n  - domain: example.com\n    selectors: [ed1]\n")
	h := header(t, letter)
	synctest.Test(t, func(t *testing.T) {
		s.SelfCheck(dns.NewZone(), slog.New(slog.DiscardHandler))
		taken := 0
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 * (selfChecksAtOnce + 5) {
			tx := s.Sign(ctx, message.Envelope{}).(*Signing)
			tx.Header(message.Envelope{}, h)
			if tx.sample != nil {
				taken++
				tx.Body(make([]byte, selfCheckBody))
				tx.Body([]byte("x"))
				if tx.sample.body != nil {
					t.Error("a body that is too long is held")
				}
			}
		}
		if taken != selfChecksAtOnce {
			t.Errorf("%d messages were taken at once, want %d", taken, selfChecksAtOnce)
		}
		cancel() // all of them are given up
		synctest.Wait()
		if n := len(s.check.slots); n != 0 {
			t.Errorf("%d places are lost", n)
		}
		for range 9 {
			tx := s.Sign(t.Context(), message.Envelope{}).(*Signing)
			tx.Header(message.Envelope{}, h)
			tx.End()
		}
		synctest.Wait()
		if n := len(s.check.slots); n != 0 {
			t.Errorf("%d places are lost after checks", n)
		}
	})
}

func TestWithoutASelfCheckNothingIsHeld(t *testing.T) {
	s, _ := newSigner(t, "domains:\n  - domain: example.com\n    selectors: [ed1]\n")
	s.SelfCheck(dns.NewZone(), slog.New(slog.DiscardHandler))
	tx := s.Sign(t.Context(), message.Envelope{}).(*Signing)
	tx.Header(message.Envelope{}, header(t, letter))
	if s.check != nil || tx.sample != nil {
		t.Error("a message is held without a check")
	}
}
