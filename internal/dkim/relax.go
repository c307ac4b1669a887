package dkim

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// The relaxed body is nearly always the body: in text, only the ends of lines and
// a rare double blank differ. So the work is to find where it differs, faster than
// the hash goes.

// reduce writes the relaxed form of p without its last two octets, which it only
// looks at, and returns its length. White space goes away where more of it or a
// line end follows, so nothing needs to be remembered. It does not branch: text
// that is indented at random would make it guess wrong all the time.
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

// unchangedRun returns how many octets at the beginning of p stand unchanged in
// the relaxed body, as far as their neighbours in p show: it stops at a tab, and
// at a blank that is followed by white space, a CR or the end of p.
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
	// shortRun is how long a run has to be to be worth the call that looks at
	// vectors.
	shortRun = 64
	// lookEvery and lookAt are for processors without. Encoded text has no white space
	// for long: from time to time it is worth a look whether that is so, which goes
	// faster than to look at the neighbours.
	lookEvery = 1 << 10
	lookAt    = 8 << 10
)

// longRun returns a part of the run at the beginning of p, as far as it is quickly
// found.
func longRun(p []byte) int {
	if hasAVX2 {
		return unchangedVector(p)
	}
	return withoutWSP(p[:min(len(p), lookAt)])
}

// withoutWSP returns how many octets at the beginning of p are no white space.
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

// stays looks at eight octets at once, and at their neighbours. The high bit of
// each octet is set unless it is a tab, or a blank with a control or a blank
// after it. (Some neighbours above 127 are taken for controls.)
func stays(here, next uint64) uint64 {
	h := here | high
	notTab := (h ^ ones*'\t') - ones
	notBlank := (h ^ ones*' ') - ones
	graphic := (next | high) - ones*(' '+1)
	return notTab&(notBlank|graphic) | here
}

// changes reports whether an octet does not simply stay before this neighbour.
func changes(c, next byte) bool {
	return c == '\t' || c == ' ' && (next == ' ' || next == '\t' || next == '\r')
}
