package dkim

// mark is a position in the canonical body at which the hash so far is needed.
type mark struct {
	limit   int64
	reached bool
	sum     [maxHashOctets]byte
}

// Mark requests the hash of the first limit octets of the canonical body (l= of a
// signature). It must be called before the first Write. A limit below 0 is never
// reached.
func (b *BodyHash) Mark(limit int64) {
	if limit < 0 {
		return
	}
	i := 0
	for i < len(b.marks) && b.marks[i].limit < limit {
		i++
	}
	if i < len(b.marks) && b.marks[i].limit == limit {
		return
	}
	b.marks = append(b.marks, mark{})
	copy(b.marks[i+1:], b.marks[i:])
	b.marks[i] = mark{limit: limit}
}

// At returns the hash of the first limit octets; false if the body is shorter or Mark
// was not called for this limit.
func (b *BodyHash) At(limit int64) ([]byte, bool) {
	for i := range b.marks {
		if m := &b.marks[i]; m.limit == limit && m.reached {
			return m.sum[:b.hash.Size()], true
		}
	}
	return nil, false
}

// write hashes p and records the hash at each mark in it.
func (b *BodyHash) write(p []byte) {
	for b.next < len(b.marks) && b.marks[b.next].limit-b.n < int64(len(p)) {
		n := b.marks[b.next].limit - b.n
		b.hash.Write(p[:n])
		b.n += n
		p = p[n:]
		b.mark()
	}
	length := int64(len(p))
	if hasSHA && len(p) >= leastShared {
		p = b.hashShared(b.hash, b.n, p)
	}
	b.hash.Write(p)
	b.n += length
}

// mark records the hash for marks at the current position.
func (b *BodyHash) mark() {
	if b.next < len(b.marks) && b.marks[b.next].limit == b.n {
		m := &b.marks[b.next]
		b.hash.Sum(m.sum[:0])
		m.reached = true
		b.next++
	}
}
