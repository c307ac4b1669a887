package dns_test

import (
	"net/netip"
	"testing"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

// What is in the cache is answered at once. What is not is not asked for, and a caller can tell that an
// answer was missing even where a check has made something of the error.
func TestCachedAnswersAreThoseOfTheCacheAlone(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	r := resolver(t, patience, 1, srv.Addr)
	m := dns.ForMessage(r, netip.MustParseAddr("192.0.2.1"))
	if got, err := m.Cached.LookupTXT(t.Context(), "example.com"); err == nil || got != nil {
		t.Fatalf("from an empty cache: %q, %v", got, err)
	}
	asFailure(t, func() error { _, err := m.Cached.Exists(t.Context(), "example.com"); return err }())
	if m.Cached.EndRun() || !m.Cached.EndRun() {
		t.Error("EndRun does not tell of the missing answers once")
	}
	if n := srv.Queries("example.com", "TXT") + srv.Queries("example.com", "A"); n > 0 {
		t.Errorf("%d queries", n)
	}
	want, err := m.Policy.LookupTXT(t.Context(), "example.com")
	if err != nil || len(want) != 2 {
		t.Fatalf("%q, %v", want, err)
	}
	if exists, err := m.Policy.Exists(t.Context(), "nothing.example.com"); exists || err != nil {
		t.Fatal(exists, err)
	}
	got, err := m.Cached.LookupTXT(t.Context(), "Example.COM.")
	if err != nil || len(got) != len(want) {
		t.Errorf("%q, %v", got, err)
	}
	if exists, err := m.Cached.Exists(t.Context(), "nothing.example.com"); exists || err != nil {
		t.Errorf("a name that does not exist: %v, %v", exists, err)
	}
	if _, err := m.Cached.LookupTXT(t.Context(), "not..a.name"); err != nil {
		t.Errorf("what is no name: %v", err)
	}
	if !m.Cached.EndRun() {
		t.Error("missed an answer that was there")
	}
}

// After a missing answer, all others are missing too, until the end of the run.
func TestCachedAnswersEndWithTheFirstThatIsMissing(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	m := dns.ForMessage(resolver(t, patience, 1, srv.Addr), netip.Addr{})
	if _, err := m.Policy.LookupTXT(t.Context(), "example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Cached.LookupTXT(t.Context(), "example.org"); err == nil {
		t.Fatal("example.org is not in the cache")
	}
	if _, err := m.Cached.LookupTXT(t.Context(), "example.com"); err == nil {
		t.Error("an answer after one that was missing")
	}
	if m.Cached.EndRun() {
		t.Error("not missed")
	}
	if _, err := m.Cached.LookupTXT(t.Context(), "example.com"); err != nil || !m.Cached.EndRun() {
		t.Error("still missing after EndRun:", err)
	}
}

func TestAZoneMissesNothing(t *testing.T) {
	m := dns.ForMessage(zone(t, everything), netip.Addr{})
	if got, err := m.Cached.LookupTXT(t.Context(), "example.com"); err != nil || len(got) != 2 || !m.Cached.EndRun() {
		t.Error(got, err)
	}
}
