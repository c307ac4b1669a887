package traffic

import (
	"encoding/binary"
	"net/netip"
)

// counter is a row in memory, until it is written: its tuple takes a third of the memory of the fields,
// and most rows are known to the database, so that nothing but the key and the tally is needed.
type counter struct {
	key   key
	day   Day
	tuple string // Row.appendTo
	Tally
}

// newCounter keeps no text of r, which may be those of a message. t is its tuple, and k the key of that.
func newCounter(r *Row, t tuple, k key) *counter {
	return &counter{k, r.Day, string(t), r.Tally}
}

// counterOf is newCounter for a row that is not in memory.
func counterOf(r *Row) *counter {
	t := r.appendTo(nil)
	return newCounter(r, t, t.key())
}

// size is the memory of a counter in pending, in octets.
func (c *counter) size() int { return 128 + len(c.tuple) }

// row is the row that is counted. Its texts are parts of the tuple.
func (c *counter) row() *Row {
	f := fields(c.tuple)
	r := &Row{Day: c.day, Tally: c.Tally}
	f.number() // the day
	for _, text := range r.Policy.texts() {
		*text = f.text()
	}
	r.Policy.Testing = f.flag()
	for _, text := range r.texts() {
		*text = f.text()
	}
	source := netip.AddrFrom16([16]byte([]byte(f.next(16))))
	valid, is4 := f.flag(), f.flag()
	switch {
	case is4:
		r.Source = source.Unmap()
	case valid:
		r.Source = source
	}
	for _, flag := range r.flags() {
		*flag = f.flag()
	}
	if n := f.number(); n > 0 {
		r.DKIM = make([]Signature, n)
	}
	for i := range r.DKIM {
		r.DKIM[i] = Signature{f.text(), f.text(), f.text()}
	}
	for f != "" {
		r.Reasons = append(r.Reasons, Reason{f.text(), f.text()})
	}
	return r
}

// fields is the rest of a tuple.
type fields string

// next takes n octets.
func (f *fields) next(n int) string {
	text := string((*f)[:n])
	*f = (*f)[n:]
	return text
}

func (f *fields) number() int {
	var room [binary.MaxVarintLen64]byte
	value, n := binary.Uvarint(room[:copy(room[:], *f)])
	*f = (*f)[n:]
	return int(value)
}

func (f *fields) text() string { return f.next(f.number()) }

func (f *fields) flag() bool { return f.next(1) == "\x01" }
