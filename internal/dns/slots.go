package dns

import (
	"container/heap"
	"container/list"
	"net/netip"
	"sync"
)

// purpose is what a look-up is for. Each has slots of its own, so that look-ups of one
// never wait for those of another.
type purpose uint8

const (
	policy      purpose = iota // SPF and the author's DMARC record
	alignedKeys                // keys of signatures that could align with the author domain
	otherKeys                  // keys of all other signatures
	purposes
)

// messageShare is how many look-ups of one message may be under way, or wait for a slot
// among those of its client. Further ones wait behind them. So a hundred messages, as many
// as Postfix has at once by default, do not take all slots.
var messageShare = [purposes]int32{policy: 4, alignedKeys: 2, otherKeys: 2}

// slots bounds the look-ups that are under way, each of which holds one socket at most.
//
// What a client may have under way for one purpose shrinks as slots get scarce: where the
// part f of n slots is free it is n·f³, and at least one. So one client that wants all
// gets a third, and dozens of them, even if they come one after the other, leave slots
// free for clients that have none under way. Of those that wait, the one with the fewest
// under way is next.
type slots struct {
	launch func(*flight) // starts a flight that has a slot; it must not wait

	mu    sync.Mutex
	lanes [purposes]lane
}

// lane are the slots for one purpose. slots.mu guards it and what it refers to.
type lane struct {
	size, busy int
	accounts   map[netip.Prefix]*account // with look-ups under way or waiting
	waiting    accountHeap               // those with look-ups that wait
	came       uint64                    // counts accounts as they begin to wait
}

// account is what one client has under way for one purpose.
type account struct {
	busy  int
	queue list.List // of *ticket: the look-ups that wait, in their order
	since uint64    // when it began to wait
	index int       // in lane.waiting, or -1
}

// claim says for whom a look-up is and what for. The zero claim is for no message: it shares
// with all others of the kind.
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

// ticket is one asker's place in the queue for a slot. Several askers may wait for one
// flight, each with a ticket of its own; the first that gets a slot pays for all.
type ticket struct {
	claim    claim
	flight   *flight
	queue    *list.List // where it waits: its account's or its message's; nil: no longer
	at       *list.Element
	admitted bool // it counts towards its message's share
}

func (t *ticket) enter(queue *list.List) { t.queue, t.at = queue, queue.PushBack(t) }

func (t *ticket) quit() {
	t.queue.Remove(t.at)
	t.queue, t.at = nil, nil
}

func front(queue *list.List) *ticket { return queue.Front().Value.(*ticket) }

// newSlots divides so many slots: half for policies, a quarter each for keys.
func newSlots(size int, launch func(*flight)) *slots {
	s := &slots{launch: launch}
	keys := max(size/4, 1)
	for p, n := range [purposes]int{policy: max(size-2*keys, 1), alignedKeys: keys, otherKeys: keys} {
		s.lanes[p] = lane{size: n, accounts: map[netip.Prefix]*account{}}
	}
	return s
}

// request launches a flight if a slot is free for the claim, and otherwise returns a
// ticket, which the asker has to withdraw at the end. nil: the flight is under way.
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

// withdraw ends an asker's wait. It reports whether the asker still waited for a slot.
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

// begin gives a flight a slot at the claim's expense.
func (s *slots) begin(l *lane, a *account, f *flight, c claim) {
	l.busy++
	a.busy++
	f.launched, f.paid = true, c
	s.launch(f)
}

// dispatch gives the free slots to those that wait and may have one.
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
		l.settle(t.claim.client(), a) // somebody else pays
		s.leave(l, t.claim)
	}
}

// leave is for an admitted look-up that is over, or waits no longer: the next of its
// message takes its place. That one does not begin here: its account has to wait, or the
// caller dispatches.
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

// mayBegin reports whether a client may have one look-up more. That is easier the fewer
// it has: where the first of lane.waiting may not, none may.
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

// forget drops the account of a client that has nothing under way and nothing waiting.
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

// settle puts an account to its place among those that wait, or drops it.
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

// accountHeap has the account with the fewest look-ups under way first, and of equals
// the one that has waited longest. It implements heap.Interface.
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
