package dkim

import (
	"crypto/rsa"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// RSA public keys are read with cryptobyte and not with crypto/x509, which imports
// package net: this package does no I/O.

// rsaEncryption is the object identifier 1.2.840.113549.1.1.1 (RFC 8017 §A.1).
const rsaEncryption = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"

// parseRSA reads a key as SubjectPublicKeyInfo, the form that domains publish, or as
// RSAPublicKey, the form that §3.6.1 names. Erratum 3017 asks verifiers to accept both.
func parseRSA(octets []byte, minBits int) (*rsa.PublicKey, error) {
	outer := cryptobyte.String(octets)
	var key cryptobyte.String
	if !outer.ReadASN1(&key, asn1.SEQUENCE) || !outer.Empty() {
		return nil, errNotRSA
	}
	if key.PeekASN1Tag(asn1.SEQUENCE) {
		var algorithm, oid cryptobyte.String
		var bits []byte
		if !key.ReadASN1(&algorithm, asn1.SEQUENCE) || !algorithm.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) ||
			string(oid) != rsaEncryption || !key.ReadASN1BitStringAsBytes(&bits) || !key.Empty() {
			return nil, errNotRSA
		}
		inner := cryptobyte.String(bits)
		if !inner.ReadASN1(&key, asn1.SEQUENCE) || !inner.Empty() {
			return nil, errNotRSA
		}
	}
	var n, e []byte // without the leading zero octet
	if !key.ReadASN1Integer(&n) || !key.ReadASN1Integer(&e) || !key.Empty() {
		return nil, errNotRSA
	}
	return newRSA(n, e, minBits)
}

// newRSA checks the numbers before it computes with them.
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
	var key struct { // one allocation
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

// marshalRSA writes a key as SubjectPublicKeyInfo.
func marshalRSA(key *rsa.PublicKey) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(rsaEncryption)) })
			b.AddASN1NULL()
		})
		b.AddASN1(asn1.BIT_STRING, func(b *cryptobyte.Builder) {
			b.AddUint8(0) // unused bits
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(key.N)
				b.AddASN1Int64(int64(key.E))
			})
		})
	})
	return b.BytesOrPanic() // panics only for lengths beyond 32 bits
}
