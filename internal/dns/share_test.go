package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

// silentBelow answers everything except names with this end.
func silentBelow(suffix string) dnstest.Behaviour {
	return func(_ string, q, m *wire.Msg) *wire.Msg {
		if strings.HasSuffix(strings.ToLower(q.Question[0].Name), suffix) {
			return nil
		}
		return m
	}
}

// failure is the result of a failed look-up for other callers.
type failure interface {
	error
	Local() bool
	Name() string
	Server() string
}

func asFailure(t *testing.T, err error) failure {
	t.Helper()
	var f failure
	if !errors.As(fmt.Errorf("wrapped: %w", err), &f) {
		t.Fatalf("the error %v says nothing of name, server and whose fault it is", err)
	}
	return f
}

// A look-up that has waited for a slot longer than its time limit still has its whole
// time.
func TestTheTimeOfALookupBeginsWithItsSlot(t *testing.T) {
	t.Parallel() // it waits for most of its time
	srv := dnstest.Serve(t, zone(t, everything))
	srv.Behave(silentBelow("silent.example."))
	r := resolver(t, slowTimeout, 1, srv.Addr) // twice that time for a look-up
	r.SetSlots(1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const before = 3
	for i := range before {
		go r.LookupTXT(ctx, fmt.Sprintf("%d.silent.example", i))
		until(t, func() bool { return r.Waiting() == i+1 })
	}
	if got, err := r.LookupTXT(ctx, "example.com"); err != nil || len(got) != 2 {
		t.Errorf("%q, %v", got, err)
	}
}

// Names of one client that get no answer do not delay another client's.
func TestAFloodOfOneClientLeavesSlotsToOthers(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	srv.Behave(silentBelow("silent.example."))
	r := resolver(t, patience, 1, srv.Addr)
	r.SetSlots(40)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 100 {
		junk := dns.ForMessage(r, netip.MustParseAddr("192.0.2.1"))
		for j, a := range []dns.Asker{junk.Policy, junk.AlignedKeys, junk.OtherKeys} {
			go a.LookupTXT(ctx, fmt.Sprintf("%d.%d.silent.example", i, j))
		}
	}
	until(t, func() bool { return r.Waiting() == 300 })
	honest := dns.ForMessage(r, netip.MustParseAddr("203.0.113.1"))
	for i, a := range []dns.Asker{honest.Policy, honest.AlignedKeys, honest.OtherKeys} {
		name := []string{"example.com", "raw.example.com", "odd na;me.example.com"}[i]
		if got, err := a.LookupTXT(ctx, name); err != nil || len(got) == 0 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// A flood that is cancelled leaves neither look-ups nor slots behind.
func TestAFloodThatIsBrokenOffLeavesNothing(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	srv.Behave(silentBelow("silent.example."))
	r := resolver(t, patience, 1, srv.Addr)
	r.SetSlots(4)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 100 {
			junk := dns.ForMessage(r, netip.MustParseAddr("192.0.2.1"))
			go junk.OtherKeys.LookupTXT(ctx, fmt.Sprintf("%d.silent.example", i%50))
		}
		until(t, func() bool { return r.Waiting() == 100 })
		cancel()
		until(t, func() bool { return r.Waiting() == 0 && r.UnderWay() == 0 })
	}
	honest := dns.ForMessage(r, netip.MustParseAddr("192.0.2.1"))
	if got, err := honest.OtherKeys.LookupTXT(t.Context(), "example.com"); err != nil || len(got) != 2 {
		t.Errorf("%q, %v", got, err)
	}
}

// A caller whose time ends before it gets a slot gets an error at once and leaves
// nothing behind.
func TestNoSlotIsALocalFailure(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	srv.Behave(silentBelow("silent.example."))
	r := resolver(t, patience, 1, srv.Addr)
	r.SetSlots(1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go r.LookupTXT(ctx, "silent.example")
	until(t, func() bool { return r.Waiting() == 1 })
	short, end := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := r.LookupTXT(short, "Example.com")
		failed <- err
	}()
	until(t, func() bool { return r.Waiting() == 2 })
	end()
	err := <-failed
	f := asFailure(t, err)
	if !f.Local() || f.Name() != "example.com" || f.Server() != "" || !strings.Contains(err.Error(), "too many") || !errors.Is(err, context.Canceled) {
		t.Errorf("local %v, name %q, server %q: %v", f.Local(), f.Name(), f.Server(), err)
	}
	cancel()
	if got, err := r.LookupTXT(t.Context(), "example.com"); err != nil || len(got) != 2 {
		t.Errorf("the failure was remembered: %q, %v", got, err)
	}
}

// The asker's deadline says nothing about DNS.
func TestTheAskersDeadlineIsALocalFailure(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	srv.Behave(dnstest.Drop)
	r := resolver(t, patience, 1, srv.Addr)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := r.LookupTXT(ctx, "example.com")
	if f := asFailure(t, err); !f.Local() {
		t.Errorf("%v is not local", err)
	}
}

// An answer of DNS, or its absence, is not a local failure, and the error names the
// server.
func TestFailuresOfDNSAreNotLocal(t *testing.T) {
	for name, behave := range map[string]dnstest.Behaviour{"silence": dnstest.Drop, "SERVFAIL": dnstest.Rcode(wire.RcodeServerFailure)} {
		srv := dnstest.Serve(t, zone(t, everything))
		srv.Behave(behave)
		r := resolver(t, 100*time.Millisecond, 1, srv.Addr)
		for range 2 { // the second time it is cached
			_, err := r.LookupTXT(t.Context(), "example.com")
			if f := asFailure(t, err); f.Local() || f.Server() != srv.Addr || f.Name() != "example.com" {
				t.Errorf("%s: local %v, name %q, server %q: %v", name, f.Local(), f.Name(), f.Server(), err)
			}
		}
	}
	_, err := zone(t, everything).LookupTXT(t.Context(), "sick.example.com")
	if f := asFailure(t, err); f.Local() || f.Server() != "" || f.Name() != "sick.example.com" {
		t.Errorf("of a zone: %v", err)
	}
}

// Without a descriptor for the socket no query was sent: it is a local failure, is not
// cached, and names no server.
func TestNoDescriptorIsALocalFailure(t *testing.T) {
	first, second := dnstest.Serve(t, zone(t, everything)), dnstest.Serve(t, zone(t, everything))
	r := resolver(t, patience, 3, first.Addr, second.Addr)
	if _, err := r.LookupTXT(t.Context(), "warm.example.com"); err != nil {
		t.Fatal(err)
	}
	give := takeDescriptors(t)
	_, err := r.LookupTXT(t.Context(), "example.com")
	give()
	if f := asFailure(t, err); !f.Local() || !errors.Is(err, syscall.EMFILE) {
		t.Errorf("local %v: %v", f.Local(), err)
	}
	if got, err := r.LookupTXT(t.Context(), "example.com"); err != nil || len(got) != 2 {
		t.Errorf("the failure was remembered: %q, %v", got, err)
	}
	if n := second.Queries("", ""); n != 0 {
		t.Errorf("the first server was blamed: the second had %d queries", n)
	}
}

// takeDescriptors leaves this process no descriptor until give is called.
func takeDescriptors(t *testing.T) (give func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0 // also if others close some of theirs
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAHitForAMessageAllocatesNothing(t *testing.T) {
	r := resolver(t, patience, 1, dnstest.Start(t, zone(t, everything)))
	m := dns.ForMessage(r, netip.MustParseAddr("192.0.2.1"))
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() { _, _ = m.Policy.LookupTXT(ctx, "example.com") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { m = dns.ForMessage(r, netip.MustParseAddr("192.0.2.1")) }); n > 1 {
		t.Errorf("%v allocations for a message", n)
	}
}
