package dkim

import (
	"encoding/binary"
	"math/bits"
)

// The relaxed body is nearly always the body: in text, only the ends of lines and
// a rare double blank differ. So the work is to find where it differs, faster than
// the hash goes.

// What reduce has to know of an octet: what it becomes, and its class above that.
const (
	classBlank = 1 << (8 + iota)
	classCR
	classLF
)

var octets = func() (table [256]uint16) {
	for c := range table {
		table[c] = uint16(c)
	}
	table[' '] |= classBlank
	table['\t'] = ' ' | classBlank
	table['\r'] |= classCR
	table['\n'] |= classLF
	return table
}()

// reduce writes the relaxed form of p without its last two octets, which it only
// looks at, and returns its length. White space goes away where more of it or a
// line end follows, so nothing needs to be remembered. It does not branch: text
// that is indented at random would make it guess wrong all the time.
func reduce(dst *[maxBlock]byte, p []byte) int {
	n := 0
	here, next := octets[p[0]], octets[p[1]]
	for _, c := range p[2:] {
		after := octets[c]
		dst[n&(maxBlock-1)] = byte(here)
		lineEnd := next & (after >> 1) & classCR >> 1
		drop := here & (next | lineEnd) & classBlank >> 8
		n += int(1 - drop)
		here, next = next, after
	}
	return n
}

// unchangedRun returns how many octets at the beginning of p stand unchanged in
// the relaxed body, as far as their neighbours in p show: it stops at a tab, and
// at a blank that is followed by white space, a CR or the end of p.
func unchangedRun(p []byte) int {
	i := 0
	for i+17 <= len(p) {
		q := (*[17]byte)(p[i:])
		first := stays(binary.LittleEndian.Uint64(q[:]), binary.LittleEndian.Uint64(q[1:]))
		second := stays(binary.LittleEndian.Uint64(q[8:]), binary.LittleEndian.Uint64(q[9:]))
		if first&second&high == high {
			i += 16
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
