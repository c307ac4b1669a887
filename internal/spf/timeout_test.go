package spf

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slow answers every question after a delay, or when the context ends.
type slow struct {
	Resolver
	after time.Duration
}

func (s slow) wait(ctx context.Context) error {
	select {
	case <-time.After(s.after):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("look up: %w", ctx.Err())
	}
}

func (s slow) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.Resolver.LookupTXT(ctx, name)
}

func (s slow) LookupA(ctx context.Context, name string) ([]netip.Addr, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.Resolver.LookupA(ctx, name)
}

func (s slow) LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.Resolver.LookupPTR(ctx, addr)
}

func TestACheckThatTakesTwentySecondsIsTemperror(t *testing.T) {
	for _, record := range []string{
		"v=spf1 a a a a a -all",
		"v=spf1 exists:example.com -all",
		"v=spf1 include:example.com -all",
		"v=spf1 redirect=example.com",
		"v=spf1 a a a ptr -all", // an error in ptr is no match, but here it ends the check
	} {
		synctest.Test(t, func(t *testing.T) {
			z := zoneOf(record)
			z.AddA("example.com", netip.MustParseAddr("198.51.100.1"))
			start := time.Now()
			after := 4500 * time.Millisecond
			if strings.Contains(record, "exists") {
				after = time.Minute
			}
			out := checkExample(t, slow{z, after}, "user")
			if took := time.Since(start); out.Result != TempError || took != Timeout {
				t.Errorf("%s: %+v after %v", record, out, took)
			}
			if !strings.Contains(out.Reason, "longer than 20s") {
				t.Error(out.Reason)
			}
		})
	}
}

func TestACheckThatTakesLessIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zoneOf("v=spf1 a -all")
		z.AddA("example.com", client)
		if out := checkExample(t, slow{z, 9 * time.Second}, "user"); out.Result != Pass {
			t.Errorf("%+v", out)
		}
	})
}

func TestACallersContextEndsTheCheck(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// A resolver that ignores its context is not asked again.
	r := &recorder{Resolver: deaf{zoneOf("v=spf1 a mx -all")}}
	out := CheckHost(ctx, r, Query{Addr: client, Sender: "user@example.com"})
	if out.Result != TempError || len(r.asked) != 1 {
		t.Errorf("%+v asked %v", out, r.asked)
	}
}

// deaf answers even after its context has ended.
type deaf struct{ Resolver }

func (d deaf) LookupTXT(_ context.Context, name string) ([]string, error) {
	return d.Resolver.LookupTXT(context.Background(), name)
}
