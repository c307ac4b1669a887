package openssl

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"sync"
)

// workspace is the memory of one Verify: the octets of a modulus, and the block that a
// signature contains. The library's function gets them through an interface, so on the
// stack they cannot be.
type workspace struct{ modulus, got [maxVerifying / 8]byte }

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// Verify reports that a PKCS #1 v1.5 signature over a hash is certainly valid. False
// means that crypto/rsa has to judge: the library handles SHA-256 and moduli from 1024
// to 4096 bits only, and may fail. The library may keep the key, which must not change.
func (l *Library) Verify(public *rsa.PublicKey, hash crypto.Hash, sum, signature []byte) bool {
	size := public.Size()
	if hash != crypto.SHA256 || len(sum) != sha256.Size || size < minBits/8 || size > maxVerifying/8 || len(signature) != size {
		return false
	}
	w := workspaces.Get().(*workspace)
	defer workspaces.Put(w)
	modulus, got := public.N.FillBytes(w.modulus[:size]), w.got[:size]
	// RFC 8017 §5.2.2: the signature representative is less than n.
	if bytes.Compare(signature, modulus) >= 0 {
		return false
	}
	// The library raises the signature to the public exponent and is not told what must
	// come out, so that no error of its own makes a wrong signature valid.
	if !l.recoverBlock(got, signature, modulus, public) {
		return false
	}
	want := modulus
	encode(want, sum)
	return bytes.Equal(got, want)
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
