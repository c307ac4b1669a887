package spf

import (
	"context"
	"net/netip"
	"testing"

	"signpost/internal/dns"
)

func TestCheckHostOfOneRecord(t *testing.T) {
	z := dns.NewZone()
	z.AddTXT("example.com", "v=spf1 ip4:192.0.2.0/24 a:mail.example.com -all")
	z.AddA("mail.example.com", netip.MustParseAddr("198.51.100.7"))
	for addr, want := range map[string]Result{
		"192.0.2.9":        Pass,
		"198.51.100.7":     Pass,
		"198.51.100.8":     Fail,
		"::ffff:192.0.2.9": Pass,
		"2001:db8::1":      Fail,
	} {
		q := Query{Addr: netip.MustParseAddr(addr), Helo: "h.example.net", Sender: "a@example.com"}
		if out := CheckHost(context.Background(), z, q); out.Result != want {
			t.Errorf("%s: %+v, want %s", addr, out, want)
		}
	}
}
