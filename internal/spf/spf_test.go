package spf

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"signpost/internal/dns"
)

func ExampleCheckHost() {
	zone := dns.NewZone()
	zone.AddTXT("example.com", "v=spf1 ip4:192.0.2.0/24 -all")
	out := CheckHost(context.Background(), zone, Query{
		Addr:   netip.MustParseAddr("198.51.100.7"),
		Helo:   "client.example.net",
		Sender: "user@example.com",
	})
	fmt.Println(out.Result, out.Identity, out.Domain, out.Mechanism)
	// Output: fail mailfrom example.com -all
}

func TestWithoutAnAddressThereIsNoneToCheck(t *testing.T) {
	out := CheckHost(context.Background(), zoneOf("v=spf1 +all"), Query{Sender: "user@example.com"})
	if out.Result != None || out.Domain != "example.com" || out.Reason == "" {
		t.Errorf("%+v", out)
	}
}

func TestAScopedAddressIsComparedWithoutItsZone(t *testing.T) {
	q := Query{Addr: netip.MustParseAddr("fe80::1%eth0"), Sender: "user@example.com"}
	if out := CheckHost(context.Background(), zoneOf("v=spf1 ip6:fe80::/10 -all"), q); out.Result != Pass {
		t.Errorf("%+v", out)
	}
}

func TestTheHELOIdentityIsCheckedByItself(t *testing.T) {
	z := zoneOf("v=spf1 -all")
	z.AddTXT("client.example.net", "v=spf1 exists:%{l}.%{o}.x.example -all")
	z.AddA("postmaster.client.example.net.x.example", client)
	q := Query{Addr: client, Helo: "client.example.net", Sender: "user@example.com"}
	helo, from := CheckHelo(context.Background(), z, q), CheckHost(context.Background(), z, q)
	if helo.Result != Pass || helo.Identity != IdentityHelo || helo.Domain != "client.example.net" {
		t.Errorf("HELO: %+v", helo)
	}
	if from.Result != Fail || from.Identity != IdentityMailFrom || from.Domain != "example.com" {
		t.Errorf("MAIL FROM: %+v", from)
	}
}

func TestAClientWithoutAHELONameHasNothingToCheck(t *testing.T) {
	out := CheckHost(context.Background(), zoneOf("v=spf1 +all"), Query{Addr: client})
	if out.Result != None || out.Identity != IdentityHelo || out.Reason != "the client gave no HELO name" {
		t.Errorf("%+v", out)
	}
}

func TestChecksBesideEachOtherGiveTheSame(t *testing.T) {
	z := zoneOf("v=spf1 include:inc.example.net ptr exists:%{ir}.%{l}.example.net -all exp=why.example.net")
	z.AddTXT("inc.example.net", "v=spf1 a:%{h} mx ?all")
	z.AddA("client.example.net", netip.MustParseAddr("198.51.100.1"))
	z.AddMX("inc.example.net", 10, "client.example.net")
	z.AddTXT("why.example.net", "%{i} is not %{d}'s, %{s}")
	want := checkExample(t, z, "user")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				if got := checkExample(t, z, "user"); got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
			}
		})
	}
	group.Wait()
	if want.Explanation != "192.0.2.1 is not example.com's, user@example.com" {
		t.Errorf("the record was meant to be evaluated to its end: %+v", want)
	}
}
