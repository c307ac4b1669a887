package verifier

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/spf"
)

// records has what the records of DNS say. The same ones come again with each message of a
// domain, and what one says depends on its text alone (and on the configuration, which does
// not change within a generation), so nothing here is ever out of date.
type records struct {
	spf   *memo[*spf.Record]
	keys  *memo[*dkim.Key]
	dmarc *memo[*dmarc.Record]
}

func newRecords(cfg Config) records {
	return records{
		spf:   newMemo(spf.ParseRecord),
		keys:  newMemo(dkim.Options{MinRSABits: cfg.DKIM.MinRSABits}.Key),
		dmarc: newMemo(dmarc.ParseRecord),
	}
}

// The bounds of one memo. Strangers choose the records, and may send a new one with each
// message.
const (
	memoSets   = 2048    // of two texts
	memoOctets = 4 << 20 // in all
	memoLarge  = 16 << 10
	// memoOverhead is about what an entry takes beside its text and its value; memoFault is
	// the longest error.
	memoOverhead = 128
	memoFault    = 512
)

// memo remembers what parse makes of a text. A text has two places, by its hash. To find it
// there takes no lock. A new one displaces one that was not used since the last pass (the
// CLOCK algorithm, internal/clock, without its ring), so that texts that come once do not
// displace those in use. A text that would take more than memoLarge is parsed each time.
type memo[V interface{ Octets() int }] struct {
	hook  func(text string) (V, error) // get; a method value of its own for each message would be memory
	parse func(text string) (V, error)
	seed  maphash.Seed
	sets  [memoSets][2]atomic.Pointer[parsed[V]]

	mu     sync.Mutex // of those who change it
	octets int
	hand   int // the place from which the next one is taken that must go to make room
}

// parsed is one text and what it says. It does not change, but for the mark.
type parsed[V any] struct {
	text   string
	value  V
	err    error
	octets int
	used   atomic.Bool // since the last pass
}

func newMemo[V interface{ Octets() int }](parse func(text string) (V, error)) *memo[V] {
	m := &memo[V]{parse: parse, seed: maphash.MakeSeed()}
	m.hook = m.get
	return m
}

// get returns what parse returns. Any number of goroutines may call it, and share the value.
func (m *memo[V]) get(text string) (V, error) {
	set := &m.sets[maphash.String(m.seed, text)%memoSets]
	for i := range set {
		if p := set[i].Load(); p != nil && p.text == text {
			if !p.used.Load() { // most calls do not write, so that processors share the line
				p.used.Store(true)
			}
			return p.value, p.err
		}
	}
	p := &parsed[V]{text: text, octets: memoOverhead + len(text)}
	if p.value, p.err = m.parse(text); p.err != nil {
		var none V
		p.value = none
		p.octets += memoFault
	} else {
		p.octets += p.value.Octets()
	}
	if p.octets <= memoLarge {
		m.put(set, p)
	}
	return p.value, p.err
}

func (m *memo[V]) put(set *[2]atomic.Pointer[parsed[V]], p *parsed[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	place := &set[0]
	for i := range set {
		switch there := set[i].Load(); {
		case there == nil:
			place = &set[i]
		case there.text == p.text: // another goroutine was quicker
			return
		}
	}
	if place.Load() != nil {
		// Of two that were used, the first leaves, and the other one has to be used again.
		if kept := set[1].Load(); !kept.used.Swap(false) && set[0].Load().used.Swap(false) {
			place = &set[1]
		}
		m.forget(place)
	}
	place.Store(p)
	for m.octets += p.octets; m.octets > memoOctets; {
		m.forgetOne(p)
	}
}

// forgetOne makes room for the entry that has just been put in.
func (m *memo[V]) forgetOne(except *parsed[V]) {
	const places = 2 * memoSets
	for step := range 2*places + 1 {
		m.hand = (m.hand + 1) % places
		place := &m.sets[m.hand/2][m.hand%2]
		if p := place.Load(); p != nil && p != except && (!p.used.Swap(false) || step >= places) {
			m.forget(place)
			return
		}
	}
}

func (m *memo[V]) forget(place *atomic.Pointer[parsed[V]]) {
	m.octets -= place.Load().octets
	place.Store(nil)
}
