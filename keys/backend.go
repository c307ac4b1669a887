package keys

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"math/big"
	"sync"
)

// An Arithmetic is who does the RSA arithmetic, as far as this program and this
// machine go.
type Arithmetic struct {
	// Backend is BackendGo or BackendOpenSSL.
	Backend Backend `json:"backend"`
	// Detail is the version of the library, or why it is not used; it may be empty.
	Detail string `json:"detail,omitempty"`
}

func (a Arithmetic) String() string {
	if a.Detail == "" {
		return string(a.Backend)
	}
	return fmt.Sprintf("%s (%s)", a.Backend, a.Detail)
}

// Arithmetic says what b comes to here. It loads the library if b may use it.
func (b Backend) Arithmetic() Arithmetic {
	if b == BackendGo {
		return Arithmetic{Backend: BackendGo}
	}
	lib, err := openLibrary()
	if err != nil {
		return Arithmetic{BackendGo, err.Error()}
	}
	return Arithmetic{BackendOpenSSL, lib.version()}
}

// check reports that a library is demanded and cannot be had.
func (b Backend) check() error {
	if b != BackendOpenSSL {
		return nil
	}
	if _, err := openLibrary(); err != nil {
		return fmt.Errorf("keys.backend is openssl: %w; write auto to sign with Go's own arithmetic where there is no libcrypto", err)
	}
	return nil
}

// signer puts the library before a key that it can sign with.
func (b Backend) signer(ref Ref, key crypto.Signer) crypto.Signer {
	private, isRSA := key.(*rsa.PrivateKey)
	if !isRSA || b == BackendGo || len(private.Primes) != 2 || !alike(private.Primes[0], private.Primes[1]) {
		return key
	}
	lib, err := openLibrary()
	if err != nil {
		return key
	}
	return newCheckedSigner(ref, private, lib)
}

// readRSA returns the reader of RSA keys that a library can sign with: their octets are
// kept, and no more of them is read than it takes to see that they are sound.
func (c Config) readRSA(ref Ref) func(pkcs1 []byte) crypto.Signer {
	if c.Backend == BackendGo {
		return noRSA
	}
	lib, err := openLibrary()
	if err != nil {
		return noRSA
	}
	return func(pkcs1 []byte) crypto.Signer {
		public := soundRSA(pkcs1)
		if public == nil {
			return nil
		}
		return &checkedSigner{public: public, pkcs1: c.vault.keep(pkcs1), vault: c.vault, ref: ref, lib: lib}
	}
}

// alike reports that two primes take as many words of the library's, which is all but
// always so. Then a number below p·q is below p times 2^64 for each word of p, as
// its residue modulo p demands where nothing is divided, and so for q.
func alike(p, q *big.Int) bool {
	const word = 64
	return (p.BitLen()+word-1)/word == (q.BitLen()+word-1)/word
}

// library does RSA arithmetic outside of Go.
type library interface {
	version() string
	// take makes a key of the library's of one in PKCS #1, whose primes are two and
	// alike and whose numbers belong together. The octets stay the caller's.
	take(pkcs1 []byte) (foreignKey, error)
	// taken are the keys that were taken and are still there.
	taken() *takenKeys
	powers
}

// powers is what a signature is verified with.
type powers interface {
	// power sets result to base^exponent modulo modulus, all of one length, at most
	// maxVerified. It returns false if it cannot.
	power(result, base []byte, exponent int, modulus []byte) bool
}

// foreignKey is a private key in a library's memory. Any number of goroutines may use
// it.
type foreignKey interface {
	// sign returns the PKCS #1 v1.5 signature over a SHA-256 hash (RFC 8017 §8.2.1).
	sign(hash []byte) ([]byte, error)
	// power is asked for the key's own modulus only.
	powers
	// free gives its memory back. It is called once, when nobody signs any more.
	free()
}

// openLibrary loads the library, once.
var openLibrary = sync.OnceValues(loadLibrary)
