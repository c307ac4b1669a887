package tail

import "encoding/binary"

// recent keeps the last records in a ring of octets that is allocated once. A record has
// its length in two octets before it.
type recent struct {
	ring  []byte
	first int // where the oldest record begins
	used  int // octets in use
	count int // records
	most  int // records at most
}

// octetsPerMessage is the share of the ring for a message; a usual one has less.
const octetsPerMessage = 512

// newRecent returns room for the last messages.
func newRecent(messages int) *recent {
	if messages <= 0 {
		return nil
	}
	return &recent{most: messages, ring: make([]byte, max(messages*octetsPerMessage, maxRecord+lengthOctets))}
}

const lengthOctets = 2

// add keeps a record, and drops as many of the oldest as make room for it. Records are at
// most maxRecord long.
func (r *recent) add(record []byte) {
	need := len(record) + lengthOctets
	for r.count >= r.most || r.used+need > len(r.ring) {
		r.drop()
	}
	var length [lengthOctets]byte
	binary.BigEndian.PutUint16(length[:], uint16(len(record)))
	r.write(length[:])
	r.write(record)
	r.count++
}

// write appends octets, which may go on at the front of the ring.
func (r *recent) write(p []byte) {
	at := (r.first + r.used) % len(r.ring)
	n := copy(r.ring[at:], p)
	copy(r.ring, p[n:])
	r.used += len(p)
}

// read returns n octets from a place relative to the oldest record.
func (r *recent) read(from, n int) []byte {
	p := make([]byte, 0, n)
	at := (r.first + from) % len(r.ring)
	p = append(p, r.ring[at:min(at+n, len(r.ring))]...)
	return append(p, r.ring[:n-len(p)]...)
}

// length is the length of the record at a place.
func (r *recent) length(at int) int {
	high := r.ring[(r.first+at)%len(r.ring)]
	low := r.ring[(r.first+at+1)%len(r.ring)]
	return int(high)<<8 | int(low)
}

func (r *recent) drop() {
	n := r.length(0) + lengthOctets
	r.first = (r.first + n) % len(r.ring)
	r.used -= n
	r.count--
}

// records returns copies of the records, the oldest first.
func (r *recent) records() [][]byte {
	all := make([][]byte, 0, r.count)
	for at := 0; at < r.used; {
		n := r.length(at)
		all = append(all, r.read(at+lengthOctets, n))
		at += lengthOctets + n
	}
	return all
}
