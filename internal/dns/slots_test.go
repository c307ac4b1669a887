package dns

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// bench is slots whose flights begin and end as the test says.
type bench struct {
	*slots
	began []*flight
}

func newBench(size int) *bench {
	b := &bench{}
	b.slots = newSlots(size, func(f *flight) { b.began = append(b.began, f) })
	return b
}

// from begins the look-ups of a message from a client.
func from(client string) *Message { return &Message{client: clientOf(netip.MustParseAddr(client))} }

// ask requests a slot for a new question and reports whether one was free.
func (b *bench) ask(m *Message, p purpose) (f *flight, t *ticket) {
	f = &flight{}
	return f, b.request(f, claim{p, m})
}

// flood requests more slots than there are, each for another message of the client.
func (b *bench) flood(client string, p purpose) {
	for range 2 * b.lanes[p].size {
		b.ask(from(client), p)
	}
}

func TestOneClientLeavesMostSlotsFree(t *testing.T) {
	b := newBench(maxInFlight)
	b.flood("192.0.2.1", policy)
	if l := b.lanes[policy]; l.busy < l.size/4 || l.busy > l.size/3 {
		t.Errorf("%d of %d slots", l.busy, l.size)
	}
}

func TestAClientThatHasNothingUnderWayDoesNotWait(t *testing.T) {
	b := newBench(maxInFlight)
	for i := range 80 {
		b.flood(fmt.Sprintf("192.0.2.%d", i), policy)
	}
	for _, m := range []*Message{from("203.0.113.1"), from("2001:db8::1"), nil} {
		if _, wait := b.ask(m, policy); wait != nil {
			t.Errorf("a client waits behind the flood of 80 others: %v", m)
		}
	}
}

// Addresses that one host can have are one client.
func TestTheAddressesOfAnIPv6NetworkAreOneClient(t *testing.T) {
	b := newBench(maxInFlight)
	l := &b.lanes[policy]
	for i := range l.size {
		b.ask(from(fmt.Sprintf("2001:db8:0:1::%x", i)), policy)
		b.ask(from("::ffff:192.0.2.1"), policy)
		b.ask(from("192.0.2.1"), policy)
	}
	if len(l.accounts) != 2 || l.busy > l.size*3/5 {
		t.Errorf("%d clients with %d of %d slots, want 2 with three fifths", len(l.accounts), l.busy, l.size)
	}
}

func TestLookupsOfOnePurposeDoNotWaitForAnother(t *testing.T) {
	for p := range purposes {
		b := newBench(maxInFlight)
		for other := range purposes {
			for i := range 200 {
				if other != p {
					b.flood(fmt.Sprintf("192.0.2.%d", i), other)
				}
			}
		}
		if _, wait := b.ask(from("192.0.2.1"), p); wait != nil {
			t.Errorf("purpose %d waits for others", p)
		}
	}
}

func TestAMessageHasItsShareAndThenItsNextOnes(t *testing.T) {
	b := newBench(maxInFlight)
	m, share := from("192.0.2.1"), int(messageShare[otherKeys])
	for range 3 * share {
		b.ask(m, otherKeys)
	}
	if len(b.began) != share {
		t.Fatalf("%d look-ups of one message are under way, want %d", len(b.began), share)
	}
	if _, wait := b.ask(from("192.0.2.1"), otherKeys); wait != nil {
		t.Error("another message of the client waits")
	}
	for i := range 3 * share {
		if i >= len(b.began) {
			t.Fatal("the next look-up does not begin")
		}
		b.release(b.began[i])
	}
}

// Postfix has a hundred sessions at once by default.
func TestAHundredMessagesOfManySignaturesLeaveSlotsFree(t *testing.T) {
	for _, clients := range []int{1, 4, 100} {
		b := newBench(maxInFlight)
		for i := range 100 {
			m := from(fmt.Sprintf("192.0.2.%d", i%clients))
			for range 8 {
				b.ask(m, policy)
				b.ask(m, alignedKeys)
				b.ask(m, otherKeys)
			}
		}
		for p := range purposes {
			if _, wait := b.ask(from("203.0.113.1"), p); wait != nil {
				t.Errorf("from %d clients: another one waits", clients)
			}
		}
	}
}

func TestOfThoseThatWaitTheOneWithTheFewestIsNext(t *testing.T) {
	b := newBench(12) // 6 for policies
	b.flood("192.0.2.1", policy)
	greedy := b.began[0]
	b.flood("192.0.2.2", policy)
	b.flood("192.0.2.3", policy)
	late, wait := b.ask(from("192.0.2.4"), policy)
	for i := 5; wait == nil; i++ {
		late, wait = b.ask(from(fmt.Sprintf("192.0.2.%d", i)), policy)
	}
	b.release(greedy)
	if !late.launched {
		t.Error("a client with look-ups under way was before the one without")
	}
}

// Two clients wait for the answer to one question: the first has no slot because it has
// too many look-ups, the second has a free one.
func TestAnAskerWithASlotDoesNotWaitForOneWithout(t *testing.T) {
	b := newBench(maxInFlight)
	b.flood("192.0.2.1", otherKeys)
	f, wait := b.ask(from("192.0.2.1"), otherKeys)
	if wait == nil {
		t.Fatal("the flood has slots left")
	}
	honest := from("203.0.113.1")
	if again := b.request(f, claim{policy, honest}); again != nil || !f.launched {
		t.Fatal("the second asker waits for the first one's turn")
	}
	if f.paid.message != honest {
		t.Error("another one pays")
	}
	b.withdraw(wait)
	b.release(f)
	if b.lanes[policy].busy != 0 || len(b.lanes[policy].accounts) != 0 {
		t.Error("the slot did not come back")
	}
}

// For every order of requests, withdrawals and ends: no slot is lost, no account waits
// that may begin, and nothing is kept of finished look-ups.
func TestSlotsAreNeverLost(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		b := newBench(4 + random.IntN(60))
		var messages []*Message
		for i := range 8 {
			messages = append(messages, from(fmt.Sprintf("192.0.2.%d", i/2)))
		}
		messages = append(messages, nil)
		var flights []*flight
		var tickets []*ticket
		ended := 0
		for range 400 {
			switch random.IntN(4) {
			case 0, 1:
				f := &flight{}
				if len(flights) > 0 && random.IntN(3) == 0 {
					f = flights[random.IntN(len(flights))]
				}
				flights = append(flights, f)
				m := messages[random.IntN(len(messages))]
				if w := b.request(f, claim{purpose(random.IntN(int(purposes))), m}); w != nil {
					tickets = append(tickets, w)
				}
			case 2:
				if len(tickets) > 0 {
					i := random.IntN(len(tickets))
					b.withdraw(tickets[i])
					tickets = append(tickets[:i], tickets[i+1:]...)
				}
			case 3:
				if ended < len(b.began) {
					b.release(b.began[ended])
					ended++
				}
			}
			b.holds(t, len(b.began)-ended)
		}
		for ; ended < len(b.began); ended++ {
			b.release(b.began[ended])
		}
		for _, w := range tickets {
			if b.withdraw(w) {
				t.Fatalf("seed %d: a look-up still waits although nothing is under way", seed)
			}
		}
		for i, m := range messages {
			if m != nil && m.admitted != [purposes]int32{} {
				t.Fatalf("seed %d: message %d counts %v look-ups", seed, i, m.admitted)
			}
		}
		for p := range b.lanes {
			if n := len(b.lanes[p].accounts); n != 0 {
				t.Fatalf("seed %d: %d accounts are left", seed, n)
			}
		}
	}
}

// holds checks the invariants.
func (b *bench) holds(t *testing.T, underWay int) {
	t.Helper()
	busy := 0
	for p := range b.lanes {
		l := &b.lanes[p]
		busy += l.busy
		if l.busy > l.size {
			t.Fatalf("%d of %d slots", l.busy, l.size)
		}
		for _, a := range l.waiting {
			if l.mayBegin(a) {
				t.Fatal("an account waits that might begin")
			}
		}
	}
	if busy != underWay {
		t.Fatalf("%d slots are taken, %d look-ups are under way", busy, underWay)
	}
}
