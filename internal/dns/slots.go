package dns

import (
	"container/heap"
	"container/list"
	"net/netip"
	"sync"
)

// purpose is the use of a look-up. Each purpose has its own slots, so that look-ups for
// one never wait for those for another.
type purpose uint8

const (
	policy      purpose = iota // SPF and the author's DMARC record
	alignedKeys                // keys of signatures that could align with the author domain
	otherKeys                  // keys of all other signatures
	purposes
)

// messageShare limits how many look-ups of one message may run, or wait for a slot
// among those of its client. Others wait behind them. So a hundred messages, Postfix's
// default number at once, do not take all slots.
var messageShare = [purposes]int32{policy: 4, alignedKeys: 2, otherKeys: 2}

// slots limits the concurrent look-ups; each holds one socket at most.
//
// The limit of one client for one purpose shrinks as slots get scarce: if the part f of
// n slots is free, it is n·f³, and at least one. So one client that wants all gets a
// third, and dozens of them, even in succession, leave slots free for clients without
// running look-ups. Of the waiting clients, the one with the fewest running look-ups is
// next.
type slots struct {
	launch func(*flight) // starts a flight that has a slot; it must not wait

	mu    sync.Mutex
	lanes [purposes]lane
}

// lane are the slots for one purpose. slots.mu guards it and the data that it refers
// to.
type lane struct {
	size, busy int
	accounts   map[netip.Prefix]*account // with look-ups under way or waiting
	waiting    accountHeap               // those with look-ups that wait
	came       uint64                    // counts accounts as they begin to wait
}

// account is the running look-ups of one client for one purpose.
type account struct {
	busy  int
	queue list.List // of *ticket: the look-ups that wait, in their order
	since uint64    // when its wait began
	index int       // in lane.waiting, or -1
}

// claim says for which message and purpose a look-up is. The zero claim is for no
// message: it shares with all others of the kind.
type claim struct {
	purpose purpose
	message *Message // nil: not for a message
}

func (c claim) client() netip.Prefix {
	if c.message == nil {
		return netip.Prefix{}
	}
	return c.message.client
}

// ticket is one caller's position in the queue for a slot. Several callers may wait for
// one flight, each with its own ticket; the first that gets a slot pays for all.
type ticket struct {
	claim    claim
	flight   *flight
	queue    *list.List // its queue: the account's or the message's; nil after its end
	at       *list.Element
	admitted bool // it counts towards its message's share
}

func (t *ticket) enter(queue *list.List) { t.queue, t.at = queue, queue.PushBack(t) }

func (t *ticket) quit() {
	t.queue.Remove(t.at)
	t.queue, t.at = nil, nil
}

func front(queue *list.List) *ticket { return queue.Front().Value.(*ticket) }

// newSlots divides n slots: half for policies, a quarter for each kind of keys.
func newSlots(size int, launch func(*flight)) *slots {
	s := &slots{launch: launch}
	keys := max(size/4, 1)
	for p, n := range [purposes]int{policy: max(size-2*keys, 1), alignedKeys: keys, otherKeys: keys} {
		s.lanes[p] = lane{size: n, accounts: map[netip.Prefix]*account{}}
	}
	return s
}

// request launches a flight if a slot is free for the claim. Otherwise it returns a
// ticket, which the caller has to withdraw at the end. nil: the flight is running.
func (s *slots) request(f *flight, c claim) *ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.launched {
		return nil
	}
	l := &s.lanes[c.purpose]
	a := l.account(c.client())
	full := c.message != nil && c.message.admitted[c.purpose] >= messageShare[c.purpose]
	if !full && a.queue.Len() == 0 && l.mayBegin(a) {
		c.message.admit(c.purpose)
		s.begin(l, a, f, c)
		return nil
	}
	t := &ticket{claim: c, flight: f}
	if !full {
		l.admit(a, t)
		return t
	}
	l.forget(c.client(), a)
	if c.message.backlog[c.purpose] == nil {
		c.message.backlog[c.purpose] = new(list.List)
	}
	t.enter(c.message.backlog[c.purpose])
	return t
}

// withdraw ends a caller's wait. It reports whether the caller still waited for a slot.
func (s *slots) withdraw(t *ticket) (waited bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waited = !t.flight.launched
	if t.queue == nil {
		return waited
	}
	t.quit()
	if t.admitted {
		c := t.claim
		l := &s.lanes[c.purpose]
		l.settle(c.client(), l.account(c.client()))
		s.leave(l, c)
	}
	return waited
}

// release ends the flight's hold of its slot.
func (s *slots) release(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := f.paid
	l := &s.lanes[c.purpose]
	a := l.account(c.client())
	l.busy--
	a.busy--
	l.settle(c.client(), a)
	s.leave(l, c)
	s.dispatch(l)
}

// begin gives a flight a slot and charges the claim.
func (s *slots) begin(l *lane, a *account, f *flight, c claim) {
	l.busy++
	a.busy++
	f.launched, f.paid = true, c
	s.launch(f)
}

// dispatch gives the free slots to the waiting look-ups that may have one.
func (s *slots) dispatch(l *lane) {
	for len(l.waiting) > 0 && l.mayBegin(l.waiting[0]) {
		a := l.waiting[0]
		t := front(&a.queue)
		t.quit()
		if !t.flight.launched {
			s.begin(l, a, t.flight, t.claim)
			l.settle(t.claim.client(), a)
			continue
		}
		l.settle(t.claim.client(), a) // another caller pays
		s.leave(l, t.claim)
	}
}

// leave ends an admitted look-up, running or waiting: the next one of its message
// replaces it. That one does not begin here: its account has to wait, or the caller
// dispatches.
func (s *slots) leave(l *lane, c claim) {
	m := c.message
	if m == nil {
		return
	}
	m.admitted[c.purpose]--
	for backlog := m.backlog[c.purpose]; backlog != nil && backlog.Len() > 0; {
		t := front(backlog)
		t.quit()
		if !t.flight.launched {
			l.admit(l.account(m.client), t)
			return
		}
	}
}

// mayBegin reports whether a client may have one more look-up. The fewer it has, the
// easier: if the first of lane.waiting may not, none may.
func (l *lane) mayBegin(a *account) bool {
	free := l.size - l.busy
	return a.busy*l.size*l.size < free*free*free
}

func (l *lane) account(client netip.Prefix) *account {
	a := l.accounts[client]
	if a == nil {
		a = &account{index: -1}
		l.accounts[client] = a
	}
	return a
}

// forget removes the account of a client without running or waiting look-ups.
func (l *lane) forget(client netip.Prefix, a *account) {
	if a.busy == 0 && a.queue.Len() == 0 {
		delete(l.accounts, client)
	}
}

// admit puts a ticket into its account's queue.
func (l *lane) admit(a *account, t *ticket) {
	t.claim.message.admit(t.claim.purpose)
	t.admitted = true
	t.enter(&a.queue)
	l.settle(t.claim.client(), a)
}

// settle moves an account to its position among the waiting ones, or removes it.
func (l *lane) settle(client netip.Prefix, a *account) {
	switch {
	case a.queue.Len() == 0:
		if a.index >= 0 {
			heap.Remove(&l.waiting, a.index)
		}
		l.forget(client, a)
	case a.index < 0:
		l.came++
		a.since = l.came
		heap.Push(&l.waiting, a)
	default:
		heap.Fix(&l.waiting, a.index)
	}
}

// accountHeap has the account with the fewest running look-ups first, and of equals the
// one that has waited longest. It implements heap.Interface.
type accountHeap []*account

func (h accountHeap) Len() int { return len(h) }

func (h accountHeap) Less(i, j int) bool {
	if h[i].busy != h[j].busy {
		return h[i].busy < h[j].busy
	}
	return h[i].since < h[j].since
}

func (h accountHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *accountHeap) Push(x any) {
	a := x.(*account)
	a.index = len(*h)
	*h = append(*h, a)
}

func (h *accountHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.index = -1
	return a
}
