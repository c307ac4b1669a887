package dkim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
)

// digestInfo precedes a SHA-256 hash in the signed octets: DER by RFC 8017 §9.2, note
// 1.
const digestInfo = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"

// verifyPKCS1v15 reports whether data is the signature of a hash (RFC 8017 §8.2.2).
//
// crypto/rsa protects secrets and is optimized for usual lengths: 4,096 bits take ten
// times as long as 2,048. Here everything is public, and the sender chooses the key, so
// longer keys are verified with math/big.
func verifyPKCS1v15(public *rsa.PublicKey, hash crypto.Hash, sum, data []byte) bool {
	if public.N.BitLen() <= usualRSABits || hash != crypto.SHA256 {
		return rsa.VerifyPKCS1v15(public, hash, sum, data) == nil
	}
	return verifyLongRSA(public, sum, data)
}

// verifyLongRSA compares the whole encoded message with the expected one, so it parses
// nothing. The modulus has at least 1,024 bits.
func verifyLongRSA(public *rsa.PublicKey, sum, data []byte) bool {
	signature := new(big.Int).SetBytes(data)
	if len(sum) != sha256.Size || len(data) != public.Size() || signature.Cmp(public.N) >= 0 {
		return false
	}
	// §9.2: 0, 1, octets of 255, 0, the name of the hash, the hash.
	want := make([]byte, 0, maxRSABits/8)
	want = append(want, 0, 1)
	for range len(data) - len(want) - 1 - len(digestInfo) - len(sum) {
		want = append(want, 0xff)
	}
	want = append(want, 0)
	want = append(want, digestInfo...)
	want = append(want, sum...)
	signed := signature.Exp(signature, big.NewInt(int64(public.E)), public.N)
	return signed.Cmp(new(big.Int).SetBytes(want)) == 0
}
