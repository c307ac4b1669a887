package dkim

import "math/bits"

// These functions process eight octets at a time, as a little-endian word.

// word returns the first eight octets of s.
func word(s string) uint64 {
	return uint64(halfWord(s)) | uint64(halfWord(s[4:]))<<32
}

// halfWord returns the first four octets of s.
func halfWord(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// lowerWord converts the ASCII letters in w to lower case.
func lowerWord(w uint64) uint64 {
	fromA := (w &^ high) + ones*(0x80-'A')
	afterZ := (w &^ high) + ones*(0x80-'Z'-1)
	return w | (fromA&^afterZ&^w&high)>>2
}

// differ sets the high bit of each octet of w that is not c; c is below 128. The other
// bits are undefined.
func differ(w uint64, c byte) uint64 {
	w ^= ones * uint64(c)
	return w&^high + ones*0x7f | w
}

// runOf returns how many octets at the beginning of s are not below least, which is at
// most 128.
func runOf(s string, least byte) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := word(s[i:])
		if enough := ((w | high) - ones*uint64(least) | w) & high; enough != high {
			return i + bits.TrailingZeros64(^enough&high)/8
		}
	}
	for i < len(s) && s[i] >= least {
		i++
	}
	return i
}
