package keys

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
)

// checkedSigner signs with a library, and verifies each signature with Go's
// arithmetic before it leaves: a wrong one, made by a broken library or a broken
// processor, would give the private key away (Boneh, DeMillo, Lipton 1997). After
// one fault the key is Go's for the rest of its generation.
type checkedSigner struct {
	key *rsa.PrivateKey
	ref Ref
	lib library

	taken      sync.Once // the first signature takes the key into the library
	foreign    foreignKey
	takeFault  error
	distrusted atomic.Bool
}

// Public returns the *rsa.PublicKey.
func (s *checkedSigner) Public() crypto.PublicKey { return s.key.Public() }

// Sign signs as the key itself does. The library is asked for PKCS #1 v1.5 over
// SHA-256, which is what DKIM has; all else is Go's.
func (s *checkedSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	_, pss := opts.(*rsa.PSSOptions)
	if pss || opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size || s.distrusted.Load() {
		return s.key.Sign(random, digest, opts)
	}
	signature, err := s.signForeign(digest)
	if err == nil {
		err = rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, digest, signature)
	}
	if err != nil {
		s.distrust(err)
		return s.key.Sign(random, digest, opts)
	}
	return signature, nil
}

func (s *checkedSigner) signForeign(digest []byte) ([]byte, error) {
	s.taken.Do(func() {
		pkcs1 := x509.MarshalPKCS1PrivateKey(s.key)
		s.foreign, s.takeFault = s.lib.take(pkcs1)
		clear(pkcs1)
	})
	if s.takeFault != nil {
		return nil, fmt.Errorf("taking the key: %w", s.takeFault)
	}
	return s.foreign.sign(digest)
}

// distrust tells of a library's fault, once for each key.
func (s *checkedSigner) distrust(fault error) {
	if s.distrusted.Swap(true) {
		return
	}
	slog.Error("the signing library made a wrong signature or none; it did not leave, and this key is signed with by Go's own arithmetic until the next reload",
		"library", s.lib.version(), "domain", s.ref.Domain, "selector", s.ref.Selector, "fault", fault.Error(),
		"remedy", "set keys.backend: go, and have memory, processor and libcrypto looked at")
}
