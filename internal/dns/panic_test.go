package dns_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

// A panic while a question is under way costs its askers an answer of ours, and neither the
// process nor the slot.
func TestAPanicInAQueryIsAFailureOfOurs(t *testing.T) {
	r := resolver(t, patience, 1, dnstest.Start(t, zone(t, everything)))
	var calls atomic.Int32
	r.SetNow(func() time.Time {
		if calls.Add(1) == 3 { // 1 is for the cache, 2 for the order of the servers
			panic("a reply that cannot be read")
		}
		return time.Now()
	})
	_, err := r.LookupTXT(context.Background(), "example.com")
	var failed *dns.Error
	if !errors.As(err, &failed) || !failed.Local() {
		t.Fatalf("calls: %d; error: %v", calls.Load(), err)
	}
	if n := r.UnderWay(); n != 0 {
		t.Errorf("%d slots are held", n)
	}
	if got, err := r.LookupTXT(context.Background(), "example.com"); err != nil || len(got) == 0 {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}
