package keys

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"runtime"
	"sync"
	"sync/atomic"
)

// checkedSigner signs with a library, and verifies each signature (see verifyRSA)
// before it leaves: a wrong one, made by a broken library or a broken
// processor, would give the private key away (Boneh, DeMillo, Lipton 1997). After
// one fault the key is Go's for the rest of its generation.
type checkedSigner struct {
	public *rsa.PublicKey
	// pkcs1 is the private key: a third of what Go's form of it takes, which is
	// made only when it is needed. It is good as long as the vault is.
	pkcs1 []byte
	vault *vault
	ref   Ref
	lib   library

	taking     sync.Mutex
	taken      atomic.Pointer[takenKey] // by the last signature that found it not there
	distrusted atomic.Bool
	parsed     atomic.Pointer[rsa.PrivateKey]
}

// newCheckedSigner is for a key that crypto/x509 has parsed.
func newCheckedSigner(ref Ref, key *rsa.PrivateKey, lib library) *checkedSigner {
	public := &rsa.PublicKey{N: new(big.Int).Set(key.N), E: key.E}
	return &checkedSigner{public: public, pkcs1: x509.MarshalPKCS1PrivateKey(key), ref: ref, lib: lib}
}

// Public returns the *rsa.PublicKey.
func (s *checkedSigner) Public() crypto.PublicKey { return s.public }

// Sign signs as the key itself does. The library is asked for PKCS #1 v1.5 over
// SHA-256, which is what DKIM has; all else is Go's.
func (s *checkedSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	_, pss := opts.(*rsa.PSSOptions)
	if pss || opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size || s.distrusted.Load() {
		return s.signGo(random, digest, opts)
	}
	signature, fault := s.signForeign(digest)
	if fault == nil {
		return signature, nil
	}
	signature, err := s.signGo(random, digest, opts)
	if err != nil {
		return nil, fmt.Errorf("nobody can sign with this key, neither %s (%v) nor Go (%w): its file is damaged; "+
			"put it back from a backup, or go on with a new selector: signpost keys rotate %s", s.lib.version(), fault, err, s.ref.Domain)
	}
	s.distrust(fault)
	return signature, nil
}

func (s *checkedSigner) signForeign(digest []byte) ([]byte, error) {
	k, err := s.take()
	if err != nil {
		return nil, fmt.Errorf("taking the key: %w", err)
	}
	defer k.letGo()
	signature, err := k.sign(digest)
	if err == nil && !verifyRSA(k, s.public, crypto.SHA256, digest, signature) {
		err = rsa.ErrVerification
	}
	return signature, err
}

// take returns the key in the library's memory, held. It is taken there by the first
// signature, and by the first after it had to make room for others.
func (s *checkedSigner) take() (*takenKey, error) {
	if k := s.taken.Load(); k != nil && k.hold() {
		return k, nil
	}
	s.taking.Lock()
	defer s.taking.Unlock()
	if k := s.taken.Load(); k != nil && k.hold() {
		return k, nil // another signature was quicker
	}
	foreign, err := s.lib.take(s.pkcs1)
	runtime.KeepAlive(s.vault)
	if err != nil {
		return nil, err
	}
	k := s.lib.taken().add(foreign, s)
	s.taken.Store(k)
	return k, nil
}

func (s *checkedSigner) signGo(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	key := s.parsed.Load()
	if key == nil {
		var err error
		key, err = x509.ParsePKCS1PrivateKey(s.pkcs1)
		runtime.KeepAlive(s.vault)
		if err != nil {
			return nil, err // not of a key that was loaded: its numbers were looked at
		}
		s.parsed.Store(key)
	}
	return key.Sign(random, digest, opts)
}

// libraryFaults counts the keys that a library failed.
var libraryFaults atomic.Int64

// Faults returns how often a library made a wrong signature, or none where Go could,
// since the process began: each key counts once between two reloads. Anything but 0 is an
// alarm.
func Faults() int64 { return libraryFaults.Load() }

// distrust tells of a library's fault, once for each key.
func (s *checkedSigner) distrust(fault error) {
	if s.distrusted.Swap(true) {
		return
	}
	libraryFaults.Add(1)
	slog.Error("ALARM: the signing library made a wrong signature or none; it did not leave, and this key is signed with by Go's own arithmetic until the next reload",
		"library", s.lib.version(), "domain", s.ref.Domain, "selector", s.ref.Selector, "fault", fault.Error(),
		"remedy", "set keys.backend: go, and have memory, processor and libcrypto looked at")
}
