package traffic

import (
	"sync"
	"time"

	"signpost/milter"
)

const (
	// flushRows is how many tuples are written at once without waiting for the second.
	flushRows = 10_000
	// maxPending and maxPendingBytes bound the tuples in memory while the database is slow.
	maxPending      = 20_000
	maxPendingBytes = 16 << 20
)

// pending is what was counted and is not yet in the database. The zero value is empty.
type pending struct {
	mu       sync.Mutex
	rows     map[key]*counter
	outbound map[key]*Outbound
	bytes    int
	folded   int64 // messages that were folded for want of memory
}

// scratch is the room for one message.
type scratch struct {
	tuple      tuple
	signatures []Signature
	reasons    []Reason
	text       []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// add counts a message. full says that so many tuples have come together that they should be written.
func (p *pending) add(d *milter.Decided, now time.Time, reports map[string]bool) (full bool) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	tally := Tally{1, now.Unix(), now.Unix()}
	if d.Outbound {
		o := Outbound{Day: DayOf(now), Tally: tally}
		text, ok := o.signed(d, s.text[:0])
		s.text = text
		if !ok {
			return false
		}
		return p.addOutbound(o, text, s)
	}
	r := Row{Day: DayOf(now), DKIM: s.signatures[:0], Reasons: s.reasons[:0], Tally: tally}
	if !r.judged(d) {
		return false
	}
	r.Optional = isReport(d.Header) || toAny(d.Envelope.Recipients, reports)
	s.signatures, s.reasons = r.DKIM[:0], r.Reasons[:0]
	return p.addRow(&r, s)
}

// addRow counts a row whose texts may be those of a message.
func (p *pending) addRow(r *Row, s *scratch) (full bool) {
	s.tuple = r.appendTo(s.tuple[:0])
	k := s.tuple.key()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isKnown(k, r) {
		return false
	}
	if p.isFull() {
		p.folded += r.Count
		without := r.folded(true)
		r = &without
		s.tuple = r.appendTo(s.tuple[:0])
		if k = s.tuple.key(); p.isKnown(k, r) {
			return true
		}
	}
	if p.rows == nil {
		p.rows = map[key]*counter{}
	}
	c := newCounter(r, s.tuple, k)
	p.rows[k] = c
	p.bytes += c.size()
	return p.count() >= flushRows
}

// isKnown adds to a row that is in memory.
func (p *pending) isKnown(k key, r *Row) bool {
	known := p.rows[k]
	if known != nil {
		known.Tally = known.plus(r.Tally)
	}
	return known != nil
}

func (p *pending) addOutbound(o Outbound, signatures []byte, s *scratch) (full bool) {
	s.tuple = o.appendSigned(s.tuple[:0], signatures)
	k := s.tuple.key()
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.outbound[k]; known != nil {
		known.Tally = known.plus(o.Tally)
		return false
	}
	o.Signatures = string(signatures)
	if p.isFull() {
		p.folded += o.Count
		o = o.folded()
		k = o.appendTo(s.tuple[:0]).key()
	}
	p.mergeOutbound(k, o)
	return p.count() >= flushRows
}

func (p *pending) mergeOutbound(k key, o Outbound) {
	if known := p.outbound[k]; known != nil {
		known.Tally = known.plus(o.Tally)
		return
	}
	if p.outbound == nil {
		p.outbound = map[key]*Outbound{}
	}
	o = o.keep()
	p.outbound[k] = &o
	p.bytes += 256 + len(o.Author) + len(o.Entry) + len(o.Unsigned) + len(o.Signatures)
}

func (p *pending) count() int { return len(p.rows) + len(p.outbound) }

func (p *pending) isFull() bool { return p.count() >= maxPending || p.bytes >= maxPendingBytes }

// take empties it.
func (p *pending) take() (rows map[key]*counter, outbound map[key]*Outbound, folded int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rows, outbound, folded = p.rows, p.outbound, p.folded
	p.rows, p.outbound, p.bytes, p.folded = nil, nil, 0, 0
	return rows, outbound, folded
}
