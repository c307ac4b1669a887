package openssl

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
)

// Verify reports that a PKCS #1 v1.5 signature over a hash is certainly valid. False
// means that crypto/rsa has to judge: the library handles SHA-256 and moduli from 1024
// to 4096 bits only, and may fail.
func (l *Library) Verify(public *rsa.PublicKey, hash crypto.Hash, sum, signature []byte) bool {
	return surelyGood(l.library, public, hash, sum, signature)
}

// maxVerified is the longest modulus, in octets, that the library is given.
const maxVerified = maxVerifying / 8

// verifyRSA reports whether a signature is good, by the library or by Go.
func verifyRSA(lib powers, public *rsa.PublicKey, hash crypto.Hash, sum, signature []byte) bool {
	return surelyGood(lib, public, hash, sum, signature) || rsa.VerifyPKCS1v15(public, hash, sum, signature) == nil
}

// surelyGood lets the library raise the signature to the public exponent, and no
// more: the library is not told what must come out, so that an error of its own makes no
// wrong signature good.
func surelyGood(lib powers, public *rsa.PublicKey, hash crypto.Hash, sum, signature []byte) bool {
	var modulus, want, got [maxVerified]byte
	size := public.Size()
	if hash == crypto.SHA256 && len(sum) == sha256.Size && size >= minBits/8 && size <= maxVerified && len(signature) == size {
		n := public.N.FillBytes(modulus[:size])
		// RFC 8017 §5.2.2: the signature representative is less than n.
		if bytes.Compare(signature, n) < 0 && lib.power(got[:size], signature, public.E, n) {
			encode(want[:size], sum)
			return bytes.Equal(got[:size], want[:size])
		}
	}
	return false
}

// digestInfo is the DER of SHA-256's DigestInfo before the hash (RFC 8017 §9.2,
// note 1).
const digestInfo = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"

// encode fills em with EMSA-PKCS1-v1_5 of a SHA-256 sum (RFC 8017 §9.2).
func encode(em, sum []byte) {
	end := len(em) - len(digestInfo) - len(sum)
	em[0], em[1] = 0, 1
	for i := 2; i < end-1; i++ {
		em[i] = 0xff
	}
	em[end-1] = 0
	copy(em[end:], digestInfo)
	copy(em[end+len(digestInfo):], sum)
}
