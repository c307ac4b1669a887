package verifier

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/dns"
	"signpost/internal/message"
)

func from(addr string) message.Envelope {
	return message.Envelope{ClientAddr: netip.MustParseAddr(addr)}
}

func TestClientsThatAreAllPrivateAreWarnedOfOnce(t *testing.T) {
	private := []string{"10.0.0.1", "172.17.0.1", "192.168.1.1", "127.0.0.1", "::1", "fd00::1", "fe80::1", "100.64.0.1", "::ffff:10.0.0.1", "169.254.1.1"}
	login := from("192.0.2.1")
	login.AuthAuthen = "alice"
	for _, tt := range []struct {
		name  string
		every []message.Envelope // one after the other, again and again
		want  int
	}{
		{"private ones alone", []message.Envelope{from("10.0.0.1")}, 1},
		{"a public one now and then", []message.Envelope{from("10.0.0.1"), from("10.0.0.1"), from("192.0.2.1")}, 0},
		{"a public one of IPv6 now and then", []message.Envelope{from("fd00::1"), from("2001:db8::1")}, 0},
		{"public ones that logged in say nothing", []message.Envelope{from("10.0.0.1"), login}, 1},
		{"no address says nothing", []message.Envelope{{}}, 0},
		{"no address between private ones", []message.Envelope{{}, from("10.0.0.1")}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			warnings := 0
			h := hiddenClients{warn: func(string, ...any) { warnings++ }}
			for i := range 10 * hiddenAfter {
				h.saw(tt.every[i%len(tt.every)])
			}
			if warnings != tt.want {
				t.Errorf("%d warnings, want %d", warnings, tt.want)
			}
		})
	}
	for _, addr := range private {
		if !isPrivate(netip.MustParseAddr(addr)) {
			t.Errorf("%s is not private", addr)
		}
	}
	for _, addr := range []string{"192.0.2.1", "8.8.8.8", "100.128.0.1", "2001:db8::1", "172.32.0.1"} {
		if isPrivate(netip.MustParseAddr(addr)) {
			t.Errorf("%s is private", addr)
		}
	}
}

func TestTheWarningOfHiddenClientsComesOnceForAllGoroutines(t *testing.T) {
	var warnings atomic.Int32
	h := hiddenClients{warn: func(string, ...any) { warnings.Add(1) }}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 * hiddenAfter {
				h.saw(from("10.0.0.1"))
			}
		})
	}
	all.Wait()
	if n := warnings.Load(); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

// A client without an address is not one that its domain has no record for.
func TestAClientWithoutAnAddressIsSPFNoneWithTheReason(t *testing.T) {
	z := dns.NewZone()
	z.AddTXT("example.com", "v=spf1 -all")
	v := New(Defaults(), z, "mx.receiver.example", func() time.Time { return caseTime })
	for _, sender := range []string{"alice@example.com", ""} {
		env := message.Envelope{Sender: sender}
		tx := v.Verify(context.Background(), env)
		tx.Header(env, message.Header{{Name: "From", Value: " alice@example.com"}})
		out := tx.End()
		if field := unfolded(out.Insert[0].Value); !strings.Contains(field, `spf=none reason="the client's address is not known"`) {
			t.Errorf("%q: %s", sender, field)
		}
	}
}

// In enforce mode the first who is refused is often a host of one's own.
func TestARefusedMessageWithAFromOfOursSaysWhatToDo(t *testing.T) {
	z := dns.NewZone()
	for _, domain := range []string{"ours.example", "theirs.example"} {
		z.AddTXT("_dmarc."+domain, "v=DMARC1; p=reject")
	}
	z.AddTXT("_dmarc.none.ours.example", "v=DMARC1; p=none")
	own := func(domain string) bool { return strings.HasSuffix("."+domain, ".ours.example") }
	const want = "this From is yours; if the client is too, add it to signer.ours (From domain ours.example, client 203.0.113.66)"
	for _, tt := range []struct {
		from string
		mode Mode
		own  func(string) bool
		want string
	}{
		{"alice@ours.example", Enforce, own, want},
		{"alice@ours.example", Monitor, own, want},
		{"alice@ours.example", Enforce, nil, ""},
		{"alice@theirs.example", Enforce, own, ""},
		{"alice@none.ours.example", Enforce, own, ""},
	} {
		cfg := Defaults()
		cfg.Mode = tt.mode
		v := New(cfg, z, "mx.receiver.example", func() time.Time { return caseTime }).WithOwnDomains(tt.own)
		env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66"), Sender: "x@elsewhere.example"}
		tx := v.Verify(context.Background(), env)
		tx.Header(env, message.Header{{Name: "From", Value: " " + tt.from}})
		got := ""
		for _, n := range tx.End().Log {
			if n.Key == "remedy" {
				got = n.Value
			}
		}
		if got != tt.want {
			t.Errorf("%s, %s: %q, want %q", tt.from, tt.mode, got, tt.want)
		}
	}
}
