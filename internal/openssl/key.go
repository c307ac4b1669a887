//go:build libcrypto && linux && (amd64 || arm64)

package openssl

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/ebitengine/purego"
)

// libcryptoKey is an RSA private key of two primes in the library's memory. It signs
// in the steps of the library's own signature (EVP_PKEY_sign) and with the same
// functions, blinded and in constant time, but for the last step: there the library raises
// the signature to the public exponent, which Signer does anyway.
type libcryptoKey struct {
	lib       *libcrypto
	size      int // of the modulus, in octets
	n, p, q   modulus
	e, dP, dQ uintptr // BIGNUM
	qInv      uintptr // BIGNUM: the coefficient, in Montgomery form modulo p
	minusQInv uintptr // BIGNUM: p - qInv

	mu   sync.Mutex
	idle []blinding // each for one signature at a time; as many as can sign at once
}

// blinding is a random factor with its inverse, which the library squares after each
// signature.
type blinding struct {
	factor uintptr // BN_BLINDING
	left   int     // signatures
}

// maxBlinded is for how many signatures a blinding serves. The library itself takes a new
// one after 32, and as long for it as for a signature; others, as Mbed TLS, go on
// squaring.
const maxBlinded = 256

// What bn.h has as constants.
const (
	bnConstTime   = 4 // BN_FLG_CONSTTIME
	blindingStays = 2 // BN_BLINDING_NO_RECREATE
)

func (l *libcrypto) take(pkcs1 []byte) (foreignKey, error) {
	var octets struct { // RFC 8017 §A.1.2; what is read are parts of pkcs1, no copies
		Version                     int
		N, E, D, P, Q, DP, DQ, QInv asn1.RawValue
	}
	if _, err := asn1.Unmarshal(pkcs1, &octets); err != nil {
		return nil, err
	}
	size := len(bytes.TrimLeft(octets.N.Bytes, "\x00"))
	if size < minBits/8 || size > maxBits/8 {
		return nil, fmt.Errorf("a modulus of %d octets", size)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	purego.SyscallN(l.errClear)
	b := &l.numbers
	n, whole := b.borrow()
	defer b.giveBack(n)
	temporary, there := b.secret(n)
	defer temporary.end()
	if !whole || !there {
		return nil, l.fault("BN_new")
	}
	ctx := temporary.ctx
	k := &libcryptoKey{
		lib: l, size: size,
		n: b.newModulus(n, ctx, octets.N.Bytes, 0),
		p: b.newModulus(n, ctx, octets.P.Bytes, bnConstTime),
		q: b.newModulus(n, ctx, octets.Q.Bytes, bnConstTime),
		e: b.read(octets.E.Bytes, 0), dP: b.read(octets.DP.Bytes, 0), dQ: b.read(octets.DQ.Bytes, 0),
		qInv: b.read(octets.QInv.Bytes, 0), minusQInv: n.call(b.bnNew),
	}
	for _, number := range []uintptr{k.n.mont, k.p.mont, k.q.mont, k.e, k.dP, k.dQ, k.qInv, k.minusQInv} {
		whole = whole && number != 0
	}
	if whole && n.did(b.montTo, k.qInv, k.qInv, k.p.mont, ctx) && n.did(b.sub, k.minusQInv, k.p.n, k.qInv) {
		if first := k.newBlinding(n, ctx); first.factor != 0 {
			k.idle = append(k.idle, first)
			return k, nil
		}
	}
	err := l.fault("reading the key")
	k.release()
	return nil, err
}

// free gives the key back. The library wipes its numbers; not the blindings, which are
// worth nothing without them.
func (k *libcryptoKey) free() {
	b := &k.lib.numbers
	n, _ := b.borrow()
	defer b.giveBack(n)
	k.release()
}

func (k *libcryptoKey) release() { // freeing nothing is allowed
	b := &k.lib.numbers
	for _, idle := range k.idle { // they use n
		purego.SyscallN(b.blindingFree, idle.factor)
	}
	for _, m := range []modulus{k.n, k.p, k.q} {
		b.freeModulus(m)
	}
	for _, number := range []uintptr{k.e, k.dP, k.dQ, k.qInv, k.minusQInv} {
		purego.SyscallN(b.bnFree, number)
	}
}

// errNoSignature has no more to say: the library keeps its reasons by thread, and a
// signature is not worth holding one.
var errNoSignature = errors.New("libcrypto does not sign")

// sign makes one signature.
func (k *libcryptoKey) sign(hash []byte) ([]byte, error) {
	b := &k.lib.numbers
	n, whole := b.borrow()
	defer b.giveBack(n)
	temporary, there := b.secret(n)
	defer temporary.end()
	if !whole || !there {
		return nil, errNoSignature
	}
	used := k.takeBlinding(n, temporary.ctx)
	if used.factor == 0 {
		return nil, errNoSignature
	}
	encode(n.in[:k.size], hash)
	if !k.root(n, temporary, used.factor) || !b.write(n, n.base, k.size) {
		purego.SyscallN(b.blindingFree, used.factor)
		return nil, errNoSignature
	}
	k.putBack(used)
	return bytes.Clone(n.out[:k.size]), nil
}

// root sets n.base to n.in raised to the private exponent, modulo the key (RFC 8017
// §5.2.1, step 2.b).
func (k *libcryptoKey) root(n *numbers, temporary secret, factor uintptr) bool {
	b, p, q, ctx := &k.lib.numbers, k.p, k.q, temporary.ctx
	x, y, rootP, rootQ := temporary.number(), temporary.number(), temporary.number(), temporary.number()
	const own = 0 // the factor that the blinding has itself
	return rootQ != 0 && b.read(n.in[:k.size], n.base) != 0 && n.did(b.blind, n.base, own, factor, ctx) &&
		// The residues of n.base by way of the Montgomery form, without a division: it is
		// less than p times the power of two of that form, and so for q.
		n.did(b.montFrom, x, n.base, p.mont, ctx) && n.did(b.montTo, x, x, p.mont, ctx) &&
		n.did(b.montFrom, y, n.base, q.mont, ctx) && n.did(b.montTo, y, y, q.mont, ctx) &&
		n.did(b.expTwo, rootP, x, k.dP, p.n, p.mont, rootQ, y, k.dQ, q.n, q.mont, ctx) &&
		// h = (rootP - rootQ) * qInv mod p as a sum of two numbers less than p, whichever
		// prime is larger: the library's subtraction would take a time of its own.
		n.did(b.montMul, x, k.qInv, rootP, p.mont, ctx) && n.did(b.montMul, y, k.minusQInv, rootQ, p.mont, ctx) &&
		n.did(b.modAdd, x, x, y, p.n) &&
		n.did(b.mul, n.base, x, q.n, ctx) && n.did(b.modAdd, n.base, n.base, rootQ, k.n.n) &&
		n.did(b.unblind, n.base, own, factor, ctx)
}

// takeBlinding takes a blinding that waits, or makes one.
func (k *libcryptoKey) takeBlinding(n *numbers, ctx uintptr) blinding {
	k.mu.Lock()
	if last := len(k.idle) - 1; last >= 0 {
		waits := k.idle[last]
		k.idle = k.idle[:last]
		k.mu.Unlock()
		return waits
	}
	k.mu.Unlock()
	return k.newBlinding(n, ctx)
}

// putBack has a blinding wait for the next signature, if it is good for one more.
func (k *libcryptoKey) putBack(used blinding) {
	if used.left--; used.left <= 0 {
		purego.SyscallN(k.lib.numbers.blindingFree, used.factor)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.idle = append(k.idle, used)
}

// newBlinding makes a blinding, whose factor is 0 if it cannot.
func (k *libcryptoKey) newBlinding(n *numbers, ctx uintptr) blinding {
	b := &k.lib.numbers
	secretly := n.call(b.dup, k.n.n) // with a flag that the blinding takes over, and k.n must not have
	if secretly == 0 {
		return blinding{}
	}
	defer purego.SyscallN(b.bnFree, secretly)
	n.call(b.setFlags, secretly, bnConstTime)
	factor := n.call(b.blindingNew, 0, k.e, secretly, ctx, b.exp, k.n.mont)
	if factor != 0 {
		n.call(b.blindingFlags, factor, blindingStays)
	}
	return blinding{factor, maxBlinded}
}

// power is that of the library, for the key's own modulus.
func (k *libcryptoKey) power(result, base []byte, exponent int, octets []byte) bool {
	b := &k.lib.numbers
	n, whole := b.borrow()
	defer b.giveBack(n)
	return whole && b.raise(n, k.n, result, base, exponent)
}
