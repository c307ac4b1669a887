package dkim

import (
	"encoding"
	"encoding/binary"
	"hash"
	"runtime"
	"sync"
)

// Each step of SHA-256 needs the one before, so the processor's instructions for it mostly wait for each other. Hashing
// two bodies in turns, block by block, takes no longer than hashing one. Under load there are two: a body with a long
// run lets other goroutines go on, and the first of them with a long run, too, hashes both.

const (
	// leastShared is the shortest run, in octets, that is offered or shared. It is worth more than a turn of the
	// scheduler.
	leastShared = 4 << 10
	// mostShared limits the time in which the scheduler cannot interrupt.
	mostShared = 64 << 10
	// longestPause limits how many runs are not offered after an offer in vain.
	longestPause = 63
	shaBlock     = 64
)

// sharedRuns is where the bodies of the process meet.
var sharedRuns meeting

// meeting lets runs be hashed two at a time. Its methods may be called concurrently.
type meeting struct {
	mu      sync.Mutex
	offered *sharedRun
	pause   int // so many runs are not offered after the last offer, which was in vain
	left    int // as many of these are still to come
}

// sharedRun is the state of one body's hash, and whole blocks to be hashed.
type sharedRun struct {
	state [8]uint32
	rest  []byte
	taken chan struct{} // has room for one; another goroutine has hashed a part
}

// hash hashes a part of r.rest and leaves what no other body has shared.
func (m *meeting) hash(r *sharedRun) {
	for len(r.rest) >= leastShared {
		m.mu.Lock()
		if other := m.offered; other != nil {
			m.offered, m.pause, m.left = nil, 0, 0
			m.mu.Unlock()
			r.hashWith(other)
			other.taken <- struct{}{}
			continue
		}
		if m.left > 0 {
			m.left--
			m.mu.Unlock()
			return
		}
		m.offered = r
		m.mu.Unlock()
		if !m.await(r) {
			return
		}
	}
}

// await lets all goroutines go on that can, and reports whether one of them has hashed a part of r, which is offered.
func (m *meeting) await(r *sharedRun) bool {
	runtime.Gosched()
	m.mu.Lock()
	if m.offered == r {
		m.offered = nil
		m.pause = min(2*m.pause+1, longestPause)
		m.left = m.pause
		m.mu.Unlock()
		return false
	}
	m.mu.Unlock()
	<-r.taken
	return true
}

// hashWith hashes as much as both have.
func (r *sharedRun) hashWith(other *sharedRun) {
	for n := min(len(r.rest), len(other.rest)); n > 0; {
		part := min(n, mostShared)
		sha256Blocks2(&r.state, &other.state, &r.rest[0], &other.rest[0], part/shaBlock)
		r.rest, other.rest = r.rest[part:], other.rest[part:]
		n -= part
	}
}

// sha256State is what crypto/sha256 lets others do with the state of its hash.
type sha256State interface {
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// The encoded state: a name, eight words, the octets of a block that is not complete, how many octets there were.
const (
	sha256Name   = "sha\x03"
	sha256Octets = len(sha256Name) + 8*4 + shaBlock + 8
)

// hashShared hashes the first octets of p, perhaps together with another body's, and returns the rest. hashed is how
// many octets h has hashed before.
func (room *bodyRoom) hashShared(h hash.Hash, hashed int64, p []byte) []byte {
	s, ok := h.(sha256State)
	if !ok {
		return p
	}
	if part := int(hashed % shaBlock); part > 0 {
		h.Write(p[:shaBlock-part])
		hashed += int64(shaBlock - part)
		p = p[shaBlock-part:]
	}
	encoded, err := s.AppendBinary(room.encoded[:0])
	if err != nil || len(encoded) != sha256Octets || string(encoded[:len(sha256Name)]) != sha256Name {
		return p
	}
	r := &room.shared
	words := encoded[len(sha256Name):]
	for i := range r.state {
		r.state[i] = binary.BigEndian.Uint32(words[4*i:])
	}
	whole := len(p) - len(p)%shaBlock
	r.rest = p[:whole]
	sharedRuns.hash(r)
	done := whole - len(r.rest)
	r.rest = nil
	if done == 0 {
		return p
	}
	for i, w := range r.state {
		binary.BigEndian.PutUint32(words[4*i:], w)
	}
	binary.BigEndian.PutUint64(encoded[sha256Octets-8:], uint64(hashed)+uint64(done))
	if err := s.UnmarshalBinary(encoded); err != nil {
		panic(err) // it has encoded the same
	}
	return p[done:]
}
