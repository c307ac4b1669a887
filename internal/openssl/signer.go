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

// Signer signs with the library. After the library failed once, the key signs with
// crypto/rsa. Any number of goroutines may use a Signer.
type Signer struct {
	public *rsa.PublicKey
	// pkcs1 is the private key. It takes a third of the memory of an rsa.PrivateKey,
	// which is made only when it is needed. It is valid as long as the memory is.
	pkcs1  []byte
	memory *Memory
	name   Name
	lib    library

	loading    sync.Mutex
	loaded     atomic.Pointer[cachedKey] // by the last signature that did not find it
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

// Public returns the *rsa.PublicKey.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// Sign signs as the key itself does. The library is asked for PKCS #1 v1.5 over
// SHA-256, which is what DKIM has; all else is Go's.
func (s *Signer) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	_, pss := opts.(*rsa.PSSOptions)
	if pss || opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size || s.distrusted.Load() {
		return s.signGo(random, digest, opts)
	}
	signature, fault := s.signLibrary(digest)
	if fault == nil {
		return signature, nil
	}
	signature, err := s.signGo(random, digest, opts)
	if err != nil {
		return nil, fmt.Errorf("neither %s (%v) nor Go (%w) can sign with this key: its file is damaged; "+
			"put it back from a backup, or go on with a new selector: signpost keys rotate %s", s.lib.version(), fault, err, s.name.Domain)
	}
	s.distrust(fault)
	return signature, nil
}

func (s *Signer) signLibrary(digest []byte) ([]byte, error) {
	k, err := s.acquire()
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	defer k.release()
	return k.sign(digest)
}

// acquire returns the key in the library's memory. The caller releases it. The first
// signature reads it, and the first after the cache dropped it.
func (s *Signer) acquire() (*cachedKey, error) {
	if k := s.loaded.Load(); k != nil && k.acquire() {
		return k, nil
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if k := s.loaded.Load(); k != nil && k.acquire() {
		return k, nil // another signature was quicker
	}
	private, err := s.lib.newPrivateKey(s.pkcs1)
	runtime.KeepAlive(s.memory)
	if err != nil {
		return nil, err
	}
	k := s.lib.cache().add(private, s)
	s.loaded.Store(k)
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

// libraryFaults counts the keys that the library failed to sign with.
var libraryFaults atomic.Int64

// Faults returns how many keys the library did not sign with although Go could, since
// the process began. A key counts once between two reloads. Any number but 0 is an alarm.
func Faults() int64 { return libraryFaults.Load() }

// distrust reports a fault of the library, once for each key.
func (s *Signer) distrust(fault error) {
	if s.distrusted.Swap(true) {
		return
	}
	libraryFaults.Add(1)
	slog.Error("ALARM: the signing library failed; this key signs with Go's crypto/rsa until the next reload",
		"library", s.lib.version(), "domain", s.name.Domain, "selector", s.name.Selector, "fault", fault.Error(),
		"remedy", "set keys.backend: go, and check libcrypto, memory and processor of this machine")
}
