package openssl

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

// Name is the DNS name of a key, for log lines.
type Name struct{ Domain, Selector string }

// Signer signs with the library, and verifies each signature (see verifyRSA)
// before it leaves: a wrong one, made by a broken library or a broken
// processor, would give the private key away (Boneh, DeMillo, Lipton 1997). After
// one fault the key signs with crypto/rsa. Any number of goroutines may use it.
type Signer struct {
	public *rsa.PublicKey
	// pkcs1 is the private key: a third of what Go's form of it takes, which is
	// made only when it is needed. It is valid as long as the memory is.
	pkcs1  []byte
	memory *Memory
	name   Name
	lib    library

	taking     sync.Mutex
	taken      atomic.Pointer[takenKey] // by the last signature that found it not there
	distrusted atomic.Bool
	parsed     atomic.Pointer[rsa.PrivateKey]
}

// NewSigner returns a signer for a private key in PKCS #1 and its public key. The
// octets must stay as they are; where they lie in a Memory, the signer keeps it alive.
// The library reads the key at the first signature.
func (l *Library) NewSigner(name Name, public *rsa.PublicKey, pkcs1 []byte, memory *Memory) *Signer {
	// A copy: the modulus of a parsed private key would keep all of the key alive.
	public = &rsa.PublicKey{N: new(big.Int).Set(public.N), E: public.E}
	return &Signer{public: public, pkcs1: pkcs1, memory: memory, name: name, lib: l.library}
}

// CanSign reports that the library can sign with a key: one of two primes of the same
// length in words.
func CanSign(key *rsa.PrivateKey) bool {
	return len(key.Primes) == 2 && alike(key.Primes[0], key.Primes[1])
}

// alike reports that two primes take as many words of the library's, which is all but
// always so. Then a number below p·q is below p times 2^64 for each word of p, as
// its residue modulo p demands where nothing is divided, and so for q.
func alike(p, q *big.Int) bool {
	const word = 64
	return (p.BitLen()+word-1)/word == (q.BitLen()+word-1)/word
}

// Public returns the *rsa.PublicKey.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// Sign signs as the key itself does. The library is asked for PKCS #1 v1.5 over
// SHA-256, which is what DKIM has; all else is Go's.
func (s *Signer) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
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
			"put it back from a backup, or go on with a new selector: signpost keys rotate %s", s.lib.version(), fault, err, s.name.Domain)
	}
	s.distrust(fault)
	return signature, nil
}

func (s *Signer) signForeign(digest []byte) ([]byte, error) {
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
func (s *Signer) take() (*takenKey, error) {
	if k := s.taken.Load(); k != nil && k.hold() {
		return k, nil
	}
	s.taking.Lock()
	defer s.taking.Unlock()
	if k := s.taken.Load(); k != nil && k.hold() {
		return k, nil // another signature was quicker
	}
	foreign, err := s.lib.take(s.pkcs1)
	runtime.KeepAlive(s.memory)
	if err != nil {
		return nil, err
	}
	k := s.lib.taken().add(foreign, s)
	s.taken.Store(k)
	return k, nil
}

func (s *Signer) signGo(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	key := s.parsed.Load()
	if key == nil {
		var err error
		key, err = x509.ParsePKCS1PrivateKey(s.pkcs1)
		runtime.KeepAlive(s.memory)
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
func (s *Signer) distrust(fault error) {
	if s.distrusted.Swap(true) {
		return
	}
	libraryFaults.Add(1)
	slog.Error("ALARM: the signing library made a wrong signature or none; it did not leave, and this key is signed with by Go's own arithmetic until the next reload",
		"library", s.lib.version(), "domain", s.name.Domain, "selector", s.name.Selector, "fault", fault.Error(),
		"remedy", "set keys.backend: go, and have memory, processor and libcrypto looked at")
}
