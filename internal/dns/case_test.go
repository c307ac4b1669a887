package dns_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

// questions records a server's questions as written.
type questions struct {
	mu    sync.Mutex
	names map[string][]string // by transport
}

// noting makes the server behave as b, or normally, and records its questions.
func (n *questions) noting(b dnstest.Behaviour) dnstest.Behaviour {
	return func(network string, q, m *wire.Msg) *wire.Msg {
		n.mu.Lock()
		if n.names == nil {
			n.names = map[string][]string{}
		}
		n.names[network] = append(n.names[network], q.Question[0].Name)
		n.mu.Unlock()
		if b == nil {
			return m
		}
		return b(network, q, m)
	}
}

// mixed counts the questions over UDP that had capitals, and those over TCP.
func (n *questions) mixed() (udp, mixed, tcp int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range n.names["udp"] {
		if name != strings.ToLower(name) {
			mixed++
		}
	}
	return len(n.names["udp"]), mixed, len(n.names["tcp"])
}

// longName has so many letters that a random case is practically never uniform.
func longName(i int) string { return fmt.Sprintf("a-name-of-thirty-letters-or-more-%d.example.com", i) }

// texts looks up names of a zone, each with its number, and fails if one has no answer.
func texts(t *testing.T, r *dns.Resolver, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if got, err := r.LookupTXT(context.Background(), longName(i)); err != nil || strings.Join(got, "|") != fmt.Sprint(i) {
			t.Errorf("%d: %q, %v", i, got, err)
		}
	}
}

func longZone() *dns.Zone {
	z := dns.NewZone()
	for i := range 20 {
		z.AddTXT(longName(i), fmt.Sprint(i))
	}
	return z
}

func distant(t *testing.T, timeout time.Duration, tries int, addr string) *dns.Resolver {
	t.Helper()
	r := resolver(t, timeout, tries, addr)
	r.Distant()
	return r
}

func TestQuestionsHaveLettersOfRandomCase(t *testing.T) {
	srv, asked := dnstest.Serve(t, longZone()), &questions{}
	srv.Behave(asked.noting(nil))
	texts(t, distant(t, patience, 1, srv.Addr), 0, 8)
	if udp, mixed, tcp := asked.mixed(); udp != 8 || mixed != 8 || tcp != 0 {
		t.Errorf("%d questions, %d of them mixed, %d over TCP", udp, mixed, tcp)
	}
}

func TestAServerOfThisMachineIsAskedInLowerCase(t *testing.T) {
	srv, asked := dnstest.Serve(t, longZone()), &questions{}
	srv.Behave(asked.noting(dnstest.RandomCase))
	texts(t, resolver(t, patience, 1, srv.Addr), 0, 8)
	if udp, mixed, tcp := asked.mixed(); udp != 8 || mixed != 0 || tcp != 0 {
		t.Errorf("%d questions, %d of them mixed, %d over TCP", udp, mixed, tcp)
	}
}

// A server that changes the case costs one question over TCP, and then none for an
// hour.
func TestAServerThatChangesTheCaseIsLearned(t *testing.T) {
	for name, behave := range map[string]dnstest.Behaviour{"always lower": dnstest.LowerCase, "random": dnstest.RandomCase} {
		t.Run(name, func(t *testing.T) {
			srv, asked := dnstest.Serve(t, longZone()), &questions{}
			srv.Behave(asked.noting(behave))
			r := distant(t, patience, 1, srv.Addr)
			var c clock
			r.SetNow(c.now)
			texts(t, r, 0, 8)
			if udp, mixed, tcp := asked.mixed(); udp != 8 || mixed != 1 || tcp != 1 {
				t.Errorf("%d questions, %d of them mixed, %d over TCP", udp, mixed, tcp)
			}
			c.advance(dns.PlainTime)
			srv.Behave(asked.noting(nil)) // it keeps the case now
			texts(t, r, 8, 12)
			if udp, mixed, tcp := asked.mixed(); udp != 12 || mixed != 5 || tcp != 1 {
				t.Errorf("an hour later: %d questions, %d of them mixed, %d over TCP", udp, mixed, tcp)
			}
		})
	}
}

// A server that kept the case and then changes it is not a failure either.
func TestAServerThatBeginsToChangeTheCaseIsNoFailure(t *testing.T) {
	t.Parallel() // it waits for most of its time
	srv := dnstest.Serve(t, longZone())
	r := distant(t, slowTimeout, 1, srv.Addr)
	texts(t, r, 0, 4)
	for i, b := range []dnstest.Behaviour{dnstest.LowerCase, dnstest.RandomCase, nil, dnstest.LowerCase} {
		srv.Behave(b)
		texts(t, r, 4+4*i, 8+4*i)
	}
}

// Without TCP, it is asked again in lower case over UDP.
func TestAServerThatChangesTheCaseAndHasNoTCPIsNoFailure(t *testing.T) {
	for _, kept := range []int{0, 1} { // number of replies in the right case before
		t.Run(fmt.Sprint(kept), func(t *testing.T) {
			t.Parallel()
			var count atomic.Int32
			addr := rawServer(t, func(q []byte, send func([]byte), _ net.Addr) {
				n := int(count.Add(1))
				send(reply(t, q, func(m *wire.Msg) {
					if n > kept {
						m.Question[0].Name = strings.ToUpper(m.Question[0].Name)
					}
				}))
			})
			r := distant(t, slowTimeout, 2, addr)
			for i := range 6 {
				if got, err := r.LookupTXT(context.Background(), longName(i)); err != nil || strings.Join(got, "|") != "right" {
					t.Errorf("%d: %q, %v", i, got, err)
				}
			}
		})
	}
}

// To forge a reply, guessing id and port is not enough: the case must match too.
func TestAForgedReplyInOtherCaseIsNotBelieved(t *testing.T) {
	t.Run("of a server that is known to keep it", func(t *testing.T) {
		var count atomic.Int32
		addr := rawServer(t, func(q []byte, send func([]byte), _ net.Addr) {
			if count.Add(1) > 1 {
				send(reply(t, q, func(m *wire.Msg) {
					m.Question[0].Name = strings.ToLower(m.Question[0].Name)
					m.Answer[0].(*wire.TXT).Txt = []string{"evil"}
				}))
			}
			send(reply(t, q, right))
		})
		r := distant(t, patience, 1, addr)
		for i := range 6 {
			if got, err := r.LookupTXT(context.Background(), longName(i)); err != nil || strings.Join(got, "|") != "right" {
				t.Errorf("%d: %q, %v", i, got, err)
			}
		}
		if n := count.Load(); n != 6 {
			t.Errorf("6 look-ups made %d queries", n)
		}
	})
	t.Run("of a server that nothing is known of", func(t *testing.T) {
		srv, asked := dnstest.Serve(t, longZone()), &questions{}
		srv.Behave(asked.noting(func(network string, _, m *wire.Msg) *wire.Msg {
			if network == "udp" {
				m.Question[0].Name = strings.ToLower(m.Question[0].Name)
				m.Answer[0].(*wire.TXT).Txt = []string{"evil"}
			}
			return m
		}))
		r := distant(t, patience, 1, srv.Addr)
		texts(t, r, 0, 1)
		srv.Behave(asked.noting(nil))
		texts(t, r, 1, 3)
		if udp, mixed, _ := asked.mixed(); udp != 3 || mixed != 3 {
			t.Errorf("%d questions, %d of them mixed: the forger had the server asked in lower case", udp, mixed)
		}
	})
}

// Servers that fail or do not answer for capitals are asked in lower case.
func TestCapitalsThatAreNotAnsweredAreNoFailure(t *testing.T) {
	for name, fail := range map[string]dnstest.Behaviour{"SERVFAIL": dnstest.Rcode(wire.RcodeServerFailure), "silence": dnstest.Drop} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := dnstest.Serve(t, longZone())
			srv.Behave(func(network string, q, m *wire.Msg) *wire.Msg {
				if q.Question[0].Name != strings.ToLower(q.Question[0].Name) {
					return fail(network, q, m)
				}
				return m
			})
			texts(t, distant(t, slowTimeout, 3, srv.Addr), 0, 2)
		})
	}
}

// Names with escaped octets are compared as sent.
func TestMixedCaseOfAnyName(t *testing.T) {
	srv, asked := dnstest.Serve(t, zone(t, everything)), &questions{}
	srv.Behave(asked.noting(nil))
	r := distant(t, patience, 1, srv.Addr)
	if got, err := r.LookupTXT(context.Background(), "odd na;me.example.com"); err != nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
	if _, _, tcp := asked.mixed(); tcp != 0 {
		t.Error("the reply was taken for one in other case")
	}
}
