//go:build libcrypto && linux && (amd64 || arm64)

package openssl

import (
	"crypto/rsa"
	"crypto/x509"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// maxPublicKeys is how many public keys are remembered, each with what the library
// computes once for a modulus: that takes as long as a verification, and the same
// senders come again and again. Each takes a few kilobytes.
const maxPublicKeys = 1024

// maxRecentKeys is how many of Go's keys have their own way to one of them.
const maxRecentKeys = 512

// publicKeys are the public keys in the library's memory, by modulus and exponent.
type publicKeys struct {
	// recent has keys by the address of Go's key, which stays the same while the verifier
	// remembers the record. To find one there takes no lock.
	recent [maxRecentKeys]atomic.Pointer[recentKey]

	mu   sync.Mutex
	keys map[publicKeyID]*evpKey
}

type recentKey struct {
	public *rsa.PublicKey // kept, so that its address is not given to another
	key    *evpKey
}

type publicKeyID struct {
	modulus  string
	exponent int
}

// get returns the key for a modulus in octets. It returns nil for what the library
// cannot use. The caller keeps what it got alive while it is used.
func (p *publicKeys) get(l *libcrypto, modulus []byte, public *rsa.PublicKey) *evpKey {
	place := &p.recent[uintptr(unsafe.Pointer(public))/unsafe.Sizeof(*public)%maxRecentKeys]
	if r := place.Load(); r != nil && r.public == public {
		return r.key
	}
	k := p.byModulus(l, modulus, public)
	if k != nil {
		place.Store(&recentKey{public, k})
	}
	return k
}

func (p *publicKeys) byModulus(l *libcrypto, modulus []byte, public *rsa.PublicKey) *evpKey {
	p.mu.Lock()
	k := p.keys[publicKeyID{string(modulus), public.E}]
	p.mu.Unlock()
	if k != nil {
		return k
	}
	k, err := l.newPublicKey(public)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil || len(p.keys) >= maxPublicKeys {
		p.keys = make(map[publicKeyID]*evpKey)
	}
	p.keys[publicKeyID{string(modulus), public.E}] = k
	return k
}

func (l *libcrypto) newPublicKey(public *rsa.PublicKey) (*evpKey, error) {
	l.enter()
	defer l.leave()
	k, err := l.newKey(x509.MarshalPKCS1PublicKey(public), true)
	if err == nil {
		runtime.SetFinalizer(k, (*evpKey).release)
	}
	return k, err
}

// recoverBlock raises a signature to the public exponent.
func (l *libcrypto) recoverBlock(block, signature, modulus []byte, public *rsa.PublicKey) bool {
	k := l.public.get(l, modulus, public)
	if k == nil || k.size != len(signature) {
		return false
	}
	defer runtime.KeepAlive(k) // until then its finalizer must not run
	return k.run(block, signature) == nil
}
