package verifier

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/authres"
	"signpost/internal/dns"
	"signpost/internal/message"
)

// iprevZone has one client whose only name leads back to it.
const iprevZone = "10.2.0.192.in-addr.arpa. PTR mail.example.com.\nmail.example.com. A 192.0.2.10\n"

func parsedZone(t *testing.T, text string) *dns.Zone {
	t.Helper()
	z, err := dns.ParseZone(strings.NewReader(text), "zone")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// askingForNames tells when an address was asked for, and counts the names asked for.
type askingForNames struct {
	*dns.Zone
	reverse chan netip.Addr
	forward atomic.Int32
	names   []string
}

func (a *askingForNames) LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	a.reverse <- addr
	if a.names != nil {
		return a.names, nil
	}
	return a.Zone.LookupPTR(ctx, addr)
}

func (a *askingForNames) LookupA(ctx context.Context, name string) ([]netip.Addr, error) {
	a.forward.Add(1)
	return a.Zone.LookupA(ctx, name)
}

// The look-ups run while the message arrives: they have begun before the header is there.
func TestIPRevStartsAtMailFrom(t *testing.T) {
	a := &askingForNames{Zone: parsedZone(t, iprevZone), reverse: make(chan netip.Addr)}
	cfg := Defaults()
	cfg.IPRev = true
	env := message.Envelope{ClientAddr: netip.MustParseAddr("192.0.2.10"), Helo: "h.example", Sender: "a@example.com"}
	v := New(cfg, dns.NewZone(), "mx", time.Now).WithSharing(func(netip.Addr) Lookups { return Lookups{Policy: a} })
	tx := v.Explain(context.Background(), env, nil)
	if got := <-a.reverse; got != env.ClientAddr {
		t.Errorf("asked for %v", got)
	}
	tx.Header(env, message.Header{{Name: "From", Value: " a@example.com"}})
	r, err := tx.Judge()
	if err != nil {
		t.Fatal(err)
	}
	if got := of(r.Findings, authres.MethodIPRev); len(got) != 1 || got[0].Value != "pass" || got[0].Domain != "mail.example.com" {
		t.Errorf("found %+v", got)
	}
}

func TestIPRevAsksForTenNamesAtMost(t *testing.T) {
	a := &askingForNames{Zone: parsedZone(t, iprevZone), reverse: make(chan netip.Addr, 1)}
	for i := range 1000 {
		a.names = append(a.names, fmt.Sprintf("n%d.example.com.", i))
	}
	a.names = append(a.names, "mail.example.com.")
	f := queryIPRev(context.Background(), a, Config{}, message.Envelope{ClientAddr: netip.MustParseAddr("192.0.2.10")})
	if n := a.forward.Load(); f.Value != "fail" || n != 10 {
		t.Errorf("%s after %d names", f.Value, n)
	}
}

func TestIPRevAsksNothingOfAClientWithoutAPublicAddress(t *testing.T) {
	for _, addr := range []string{"", "10.0.0.1", "127.0.0.1", "::1", "fe80::1%eth0", "fd00::1", "169.254.0.1", "100.64.0.1", "::ffff:192.168.0.1"} {
		env := message.Envelope{}
		if addr != "" {
			env.ClientAddr = netip.MustParseAddr(addr)
		}
		if f := queryIPRev(context.Background(), nil, Config{}, env); f.Value != "" || !strings.HasPrefix(f.Reason, "not checked") {
			t.Errorf("%q: %+v", addr, f)
		}
	}
}

// waiting answers nothing until the context ends.
type waiting struct{ *dns.Zone }

func (waiting) LookupPTR(ctx context.Context, _ netip.Addr) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestIPRevEndsWithItsMessage(t *testing.T) {
	ctx, end := context.WithCancel(context.Background())
	end()
	f := queryIPRev(ctx, waiting{dns.NewZone()}, Config{}, message.Envelope{ClientAddr: netip.MustParseAddr("192.0.2.10")})
	if f.Value != "temperror" || f.Public != unanswered {
		t.Errorf("%+v", f)
	}
}

// What is told of iprev: the trace and the JSON of verify, and the field can be read.
func TestIPRevIsReported(t *testing.T) {
	cfg := Defaults()
	cfg.IPRev = true
	env := message.Envelope{ClientAddr: netip.MustParseAddr("192.0.2.10"), Helo: "h.example", Sender: "a@example.com", MTAName: "mx.receiver.example"}
	var trace message.Trace
	tx := New(cfg, parsedZone(t, iprevZone), "mx", time.Now).Explain(context.Background(), env, &trace)
	tx.Header(env, message.Header{{Name: "From", Value: " a@example.com"}})
	r, err := tx.Judge()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(r.Report())
	if want := `"iprev":{"result":"pass","address":"192.0.2.10","name":"mail.example.com"}`; err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%v, the report lacks %s: %s", err, want, text)
	}
	step := message.Step{Rule: "iprev", Compared: "client 192.0.2.10, name mail.example.com", Result: "pass"}
	if found := fmt.Sprintf("%+v", trace.Steps); !strings.Contains(found, fmt.Sprintf("%+v", step)) {
		t.Errorf("no step %+v in %s", step, found)
	}
	f, err := authres.Parse(r.Field().Value)
	if err != nil {
		t.Fatal(err)
	}
	last := f.Results[len(f.Results)-1]
	if want := (authres.Property{Type: "policy", Name: "iprev", Value: "192.0.2.10"}); last.Method != "iprev" || len(last.Properties) != 1 || last.Properties[0] != want {
		t.Errorf("read %+v", last)
	}
}
