package dkim

import (
	"bytes"
	"hash/maphash"
	"math/bits"

	"signpost/internal/message"
)

// single are the fields that a message may have once (RFC 5322 §3.6; the MIME fields by
// RFC 2045 §3), in the order in which they are reported.
var single = [...]string{
	"from", "sender", "reply-to", "to", "cc", "bcc", "date", "message-id", "in-reply-to", "references",
	"subject", "mime-version", "content-type", "content-transfer-encoding",
}

// onlyOnce is how many of them are in RFC 5322 §3.6.
const onlyOnce = 11

// seeds are random, so that a sender cannot choose field names that share a bucket.
var seeds = func() [2]uint64 {
	seed := maphash.MakeSeed()
	return [2]uint64{maphash.String(seed, "a"), maphash.String(seed, "b")}
}()

// fieldIndex finds a header's fields by name in constant time. So the cost of a
// signature is linear in the length of the header, for any h=.
type fieldIndex struct {
	header message.Header
	// buckets hold group numbers plus one. A group is the fields of one name; its
	// number is the index of the lowest of them.
	buckets []int32
	stamps  []int32 // group → part of its name's hash; few other names share it
	chain   []int32 // group → the next one in its bucket, plus one
	above   []int32 // field → the next one of its name above it, plus one
	// cursor is, for each group, the next field to be signed, plus one.
	cursor []int32
	double []double   // the single fields that the header has more than once
	room   [160]int32 // memory for all of these if the header is short
}

type double struct {
	name  string
	group int32
}

// fill builds the index for a header.
func (x *fieldIndex) fill(h message.Header) {
	n := len(h)
	size := 1 << bits.Len(uint(n))
	*x = fieldIndex{header: h}
	memory := x.room[:]
	if size+4*n > len(memory) {
		memory = make([]int32, size+4*n)
	}
	x.buckets, x.chain = memory[:size], memory[size:size+n]
	x.above, x.cursor = memory[size+n:size+2*n], memory[size+2*n:size+3*n]
	x.stamps = memory[size+3*n : size+4*n]
	last := x.cursor // group → its highest field so far, plus one
	for i := n - 1; i >= 0; i-- {
		name := trimWSP(h[i].Name)
		sum := nameSum(name)
		g := x.group(sum, name)
		if g < 0 {
			g = int32(i)
			bucket := x.bucket(sum)
			x.chain[g], x.stamps[g] = *bucket, stamp(sum)
			*bucket = g + 1
		} else {
			x.above[last[g]-1] = int32(i) + 1
		}
		last[g] = int32(i) + 1
	}
	for _, name := range single {
		if g := x.find(name); g >= 0 && x.above[g] != 0 {
			x.double = append(x.double, double{name, g})
		}
	}
}

// nameSum returns the hash of a name. It ignores case.
func nameSum(name string) uint64 {
	sum := uint64(len(name))
	for ; len(name) > 16; name = name[16:] {
		sum = mix(sum, word(name), word(name[8:]))
	}
	var first, last uint64
	switch n := len(name); {
	case n >= 8:
		first, last = word(name), word(name[n-8:])
	case n >= 4:
		first = uint64(halfWord(name)) | uint64(halfWord(name[n-4:]))<<32
	case n > 0:
		first = uint64(name[0]) | uint64(name[n/2])<<8 | uint64(name[n-1])<<16
	}
	return mix(sum, first, last)
}

// bucket returns the bucket of a hash.
func (x *fieldIndex) bucket(sum uint64) *int32 { return &x.buckets[sum&uint64(len(x.buckets)-1)] }

func stamp(sum uint64) int32 { return int32(sum >> 32) }

// mix adds 16 octets of a name to a hash.
func mix(sum, first, last uint64) uint64 {
	hi, lo := bits.Mul64(lowerWord(first)^seeds[0], lowerWord(last)^seeds[1]^sum)
	return hi ^ lo
}

// group finds the fields of a name in their bucket; -1 if there are no such fields.
func (x *fieldIndex) group(sum uint64, name string) int32 {
	for g := *x.bucket(sum); g != 0; g = x.chain[g-1] {
		if x.stamps[g-1] != stamp(sum) {
			continue
		}
		if other := trimWSP(x.header[g-1].Name); other == name || message.EqualFold(other, name) {
			return g - 1
		}
	}
	return -1
}

func (x *fieldIndex) find(name string) int32 { return x.group(nameSum(name), name) }

// count returns how many fields have the name.
func (x *fieldIndex) count(name string) int {
	n := 0
	for i := x.find(name) + 1; i != 0; i = x.above[i-1] {
		n++
	}
	return n
}

// restart begins the selection for the next signature.
func (x *fieldIndex) restart() {
	for g := range x.cursor {
		x.cursor[g] = int32(g) + 1
	}
}

// take selects the next field of a name, from the bottom up (§5.4.2). It returns false
// when no field is left. §3.5: a signature never covers its own field; own is the index
// of that field, -1 if it is not in the header.
func (x *fieldIndex) take(name string, own int) (message.Field, bool) {
	g := x.find(name)
	if g < 0 {
		return message.Field{}, false
	}
	i := x.cursor[g]
	if i-1 == int32(own) && i != 0 {
		i = x.above[i-1]
	}
	if i == 0 {
		x.cursor[g] = 0
		return message.Field{}, false
	}
	x.cursor[g] = x.above[i-1]
	return x.header[i-1], true
}

// uncovered names the single fields with an unselected copy that differs from the
// topmost selected one. An identical copy shows a reader nothing unsigned (§8.15). Two
// copies are identical if either gives a valid signature; c is the signature's header
// canonicalization.
func (x *fieldIndex) uncovered(c Canonicalization) []string {
	var names []string
	for _, d := range x.double {
		if at := x.cursor[d.group]; at != 0 && at != d.group+1 && x.differs(d.group, at, c) {
			names = append(names, d.name)
		}
	}
	return names
}

// differs compares the fields of a group from at (plus one) upwards with the one below
// them.
func (x *fieldIndex) differs(group, at int32, c Canonicalization) bool {
	signed := group + 1
	for x.above[signed-1] != at {
		signed = x.above[signed-1]
	}
	value := x.header[signed-1].Value
	var canonical, other []byte
	for ; at != 0; at = x.above[at-1] {
		copied := x.header[at-1].Value
		switch {
		case copied == value:
			continue
		case c != Relaxed:
			return true
		case canonical == nil:
			canonical = appendRelaxed(make([]byte, 0, len(value)), value)
		}
		if other = appendRelaxed(other[:0], copied); !bytes.Equal(canonical, other) {
			return true
		}
	}
	return false
}
