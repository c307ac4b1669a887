package traffic

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
	r := rowOf(c.tuple)
	r.Day, r.Tally = c.day, c.Tally
	return r
}
