//go:build libcrypto && linux && (amd64 || arm64)

package openssl

import (
	"crypto/rsa"
	"crypto/x509"
	"runtime"
	"sync"
)

// maxPublicKeys is how many public keys are remembered, each with what the library
// computes once for a modulus: that takes as long as a verification, and the same
// senders come again and again. Each takes a few kilobytes.
const maxPublicKeys = 1024

// publicKeys are the public keys in the library's memory, by modulus and exponent.
type publicKeys struct {
	mu   sync.Mutex
	keys map[publicKeyID]*evpKey
}

type publicKeyID struct {
	modulus  string
	exponent int
}

// get returns the key for a modulus in octets. It returns nil for what the library
// cannot use. The caller keeps what it got alive while it is used.
func (p *publicKeys) get(l *libcrypto, modulus []byte, public *rsa.PublicKey) *evpKey {
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
func (l *libcrypto) recoverBlock(block, signature []byte, public *rsa.PublicKey) bool {
	var octets [maxVerifying / 8]byte
	k := l.public.get(l, public.N.FillBytes(octets[:len(signature)]), public)
	if k == nil || k.size != len(signature) {
		return false
	}
	defer runtime.KeepAlive(k) // until then its finalizer must not run
	return k.run(block, signature) == nil
}
