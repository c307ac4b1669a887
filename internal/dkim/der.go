package dkim

import (
	"crypto/rsa"
	"math/big"
)

// The two forms of an RSA public key in ASN.1 DER are read and written here by
// hand: it takes a page, nothing is copied before its size is known to be
// acceptable, and crypto/x509 would bring half of the network library along.

const (
	derInteger   = 0x02
	derBitString = 0x03
	derOID       = 0x06
	derSequence  = 0x30
)

// rsaEncryption is the object identifier 1.2.840.113549.1.1.1 (RFC 8017 §A.1).
const rsaEncryption = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"

// der reads elements one after the other. It only ever moves forward, and once
// something does not fit, everything after it is empty.
type der struct {
	rest []byte
	bad  bool
}

// element returns the content of the next element, which must have the tag.
func (d *der) element(tag byte) []byte {
	if d.bad || len(d.rest) < 2 || d.rest[0] != tag {
		d.bad = true
		return nil
	}
	n, body := int(d.rest[1]), d.rest[2:]
	if n >= 0x80 {
		octets := n & 0x7f
		// 65,535 octets are far more than any key that is accepted.
		if octets == 0 || octets > 2 || octets > len(body) {
			d.bad = true
			return nil
		}
		n = 0
		for _, c := range body[:octets] {
			n = n<<8 | int(c)
		}
		body = body[octets:]
	}
	if n > len(body) {
		d.bad = true
		return nil
	}
	d.rest = body[n:]
	return body[:n]
}

// is reports whether the next element has the tag.
func (d *der) is(tag byte) bool { return !d.bad && len(d.rest) > 0 && d.rest[0] == tag }

// positive returns the octets of an INTEGER greater than zero, without the leading
// zero octet.
func (d *der) positive() []byte {
	n := d.element(derInteger)
	if len(n) == 0 || n[0] >= 0x80 {
		d.bad = true
		return nil
	}
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	return n
}

// parseRSA reads a key as SubjectPublicKeyInfo, which everybody publishes, or as
// RSAPublicKey, which §3.6.1 names (erratum 3017 asks to accept both).
func parseRSA(octets []byte, minBits int) (*rsa.PublicKey, error) {
	outer := der{rest: octets}
	key := der{rest: outer.element(derSequence)}
	if outer.bad || len(outer.rest) > 0 {
		return nil, errNotRSA
	}
	if key.is(derSequence) {
		algorithm := der{rest: key.element(derSequence)}
		if string(algorithm.element(derOID)) != rsaEncryption {
			return nil, errNotRSA
		}
		bits := key.element(derBitString)
		if key.bad || len(key.rest) > 0 || len(bits) == 0 || bits[0] != 0 {
			return nil, errNotRSA
		}
		inner := der{rest: bits[1:]}
		key = der{rest: inner.element(derSequence)}
		if inner.bad || len(inner.rest) > 0 {
			return nil, errNotRSA
		}
	}
	n, e := key.positive(), key.positive()
	if key.bad || len(key.rest) > 0 {
		return nil, errNotRSA
	}
	return newRSA(n, e, minBits)
}

// newRSA judges the numbers before any arithmetic is done with them.
func newRSA(n, e []byte, minBits int) (*rsa.PublicKey, error) {
	if len(n) == 0 || n[len(n)-1]&1 == 0 {
		return nil, errNotRSA
	}
	if len(n) > maxRSABits/8 {
		return nil, errKeyTooLong
	}
	exponent := uint64(0)
	for _, c := range e[:min(len(e), 5)] {
		exponent = exponent<<8 | uint64(c)
	}
	limit := uint64(maxExponent)
	if len(n) > usualRSABits/8 {
		limit = maxLongExponent
	}
	if exponent < 3 || exponent > limit || exponent&1 == 0 {
		return nil, errExponent
	}
	var key struct { // one piece of memory
		rsa.PublicKey
		modulus big.Int
	}
	key.N, key.E = key.modulus.SetBytes(n), int(exponent)
	// RFC 8301 §3.2
	if key.N.BitLen() < minBits {
		return nil, errKeyTooShort
	}
	return &key.PublicKey, nil
}

// appendDER writes an element.
func appendDER(dst []byte, tag byte, content []byte) []byte {
	dst = append(dst, tag)
	switch n := len(content); {
	case n < 0x80:
		dst = append(dst, byte(n))
	case n < 0x100:
		dst = append(dst, 0x81, byte(n))
	default:
		dst = append(dst, 0x82, byte(n>>8), byte(n))
	}
	return append(dst, content...)
}

// marshalRSA writes a key as SubjectPublicKeyInfo.
func marshalRSA(key *rsa.PublicKey) []byte {
	integer := func(n *big.Int) []byte {
		octets := n.Bytes()
		if len(octets) == 0 || octets[0] >= 0x80 {
			octets = append([]byte{0}, octets...)
		}
		return appendDER(nil, derInteger, octets)
	}
	numbers := append(integer(key.N), integer(big.NewInt(int64(key.E)))...)
	bits := append([]byte{0}, appendDER(nil, derSequence, numbers)...)
	algorithm := append(appendDER(nil, derOID, []byte(rsaEncryption)), 0x05, 0x00) // NULL
	info := append(appendDER(nil, derSequence, algorithm), appendDER(nil, derBitString, bits)...)
	return appendDER(nil, derSequence, info)
}
