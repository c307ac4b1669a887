package dkim

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Most text is its own relaxed form: only line ends and an occasional double space
// differ. So the work is to find the differences faster than the hash runs.

// reduce writes the relaxed form of p without its last two octets, which it only
// examines, and returns its length. It drops white space that is followed by white
// space or a line end, so it keeps no state. It has no branches: randomly indented text
// would make the processor mispredict them.
func reduce(dst *[maxBlock]byte, p []byte) int {
	read, n := reduceVector(dst, p)
	p = p[read:]
	for ; len(p) >= 10; p = p[8:] {
		here := binary.LittleEndian.Uint64(p)
		next := binary.LittleEndian.Uint64(p[1:])
		tab := differ(here, '\t')
		stay := tab&differ(here, ' ') | differ(next, ' ')&differ(next, '\t')&
			(differ(next, '\r')|differ(binary.LittleEndian.Uint64(p[2:]), '\n'))
		stay >>= 7
		here ^= (^tab & high) >> 7 * ('\t' ^ ' ')
		for range 2 {
			dst[n&(maxBlock-1)] = byte(here)
			n += int(stay & 1)
			dst[n&(maxBlock-1)] = byte(here >> 8)
			n += int(stay >> 8 & 1)
			dst[n&(maxBlock-1)] = byte(here >> 16)
			n += int(stay >> 16 & 1)
			dst[n&(maxBlock-1)] = byte(here >> 24)
			n += int(stay >> 24 & 1)
			here >>= 32
			stay >>= 32
		}
	}
	for ; len(p) > 2; p = p[1:] {
		c := p[0]
		if isWSP(c) {
			if isWSP(p[1]) || p[1] == '\r' && p[2] == '\n' {
				continue
			}
			c = ' '
		}
		dst[n&(maxBlock-1)] = c
		n++
	}
	return n
}

// unchangedRun returns how many octets at the beginning of p are the same in the
// relaxed body, as far as p shows their neighbours. It stops at a tab, and at a space
// followed by white space, a CR or the end of p.
func unchangedRun(p []byte) int {
	i, look := 0, lookEvery
	if hasAVX2 {
		look = shortRun
	}
	for i+17 <= len(p) {
		q := (*[17]byte)(p[i:])
		first := stays(binary.LittleEndian.Uint64(q[:]), binary.LittleEndian.Uint64(q[1:]))
		second := stays(binary.LittleEndian.Uint64(q[8:]), binary.LittleEndian.Uint64(q[9:]))
		if first&second&high == high {
			if i += 16; i >= look {
				i += longRun(p[i:])
				look = i + lookEvery
			}
			continue
		}
		if first&high == high {
			i += 8
			first = second
		}
		i += bits.TrailingZeros64(^first&high) / 8
		if changes(p[i], p[i+1]) {
			return i
		}
		i++
	}
	for ; i+1 < len(p); i++ {
		if changes(p[i], p[i+1]) {
			return i
		}
	}
	if i < len(p) && isWSP(p[i]) {
		return i
	}
	return len(p)
}

const (
	// shortRun is the length from which a run is worth the call of the vector code.
	shortRun = 64
	// lookEvery and lookAt are for processors without it. Encoded text has no white
	// space for long stretches: an occasional search for white space is faster than
	// examining neighbours.
	lookEvery = 1 << 10
	lookAt    = 8 << 10
)

// longRun returns a part of the run at the beginning of p, as long as it is quick to
// find.
func longRun(p []byte) int {
	if hasAVX2 {
		return unchangedVector(p)
	}
	return withoutWSP(p[:min(len(p), lookAt)])
}

// withoutWSP returns how many octets at the beginning of p are not white space.
func withoutWSP(p []byte) int {
	for _, c := range []byte(" \t") {
		if n := bytes.IndexByte(p, c); n >= 0 {
			p = p[:n]
		}
	}
	return len(p)
}

const (
	ones = 0x0101010101010101
	high = 0x80 * ones
)

// stays examines eight octets and their neighbours at once. The high bit of each octet
// is set unless it is a tab, or a space followed by a control or a space. (Some
// neighbours above 127 count as controls.)
func stays(here, next uint64) uint64 {
	h := here | high
	notTab := (h ^ ones*'\t') - ones
	notBlank := (h ^ ones*' ') - ones
	graphic := (next | high) - ones*(' '+1)
	return notTab&(notBlank|graphic) | here
}

// changes reports whether an octet changes before this neighbour.
func changes(c, next byte) bool {
	return c == '\t' || c == ' ' && (next == ' ' || next == '\t' || next == '\r')
}
