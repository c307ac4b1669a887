package keys

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"signpost/internal/openssl"
)

// BackendInfo says which backend makes RSA signatures in this program on this machine.
type BackendInfo struct {
	// Backend is BackendGo or BackendOpenSSL.
	Backend Backend `json:"backend"`
	// Detail is the version of the library, or why it is not used; it may be empty.
	Detail string `json:"detail,omitempty"`
}

func (i BackendInfo) String() string {
	if i.Detail == "" {
		return string(i.Backend)
	}
	return fmt.Sprintf("%s (%s)", i.Backend, i.Detail)
}

// Info says which backend b selects here. It loads the library if b may use it.
func (b Backend) Info() BackendInfo {
	if b == BackendGo {
		return BackendInfo{Backend: BackendGo}
	}
	lib, err := openssl.Load()
	if err != nil {
		return BackendInfo{BackendGo, err.Error()}
	}
	return BackendInfo{BackendOpenSSL, lib.Version()}
}

// VerifyRSA returns openssl.Library.Verify, or nil if Go verifies.
func (b Backend) VerifyRSA() func(public *rsa.PublicKey, hash crypto.Hash, sum, signature []byte) bool {
	lib := b.library()
	if lib == nil {
		return nil
	}
	return lib.Verify
}

// Faults returns how many keys libcrypto failed to sign with since the process began;
// a key counts once between two reloads. Any number but 0 is an alarm.
func Faults() int64 { return openssl.Faults() }

// check returns an error if the library is required and cannot be loaded.
func (b Backend) check() error {
	if b != BackendOpenSSL {
		return nil
	}
	if _, err := openssl.Load(); err != nil {
		return fmt.Errorf("keys.backend is openssl: %w; write auto to sign with Go's crypto/rsa where there is no libcrypto", err)
	}
	return nil
}

// library returns the library that signs, or nil if Go signs.
func (b Backend) library() *openssl.Library {
	if b == BackendGo {
		return nil
	}
	lib, err := openssl.Load()
	if err != nil {
		return nil
	}
	return lib
}

// signer returns the library's signer for an RSA key, if there is a library; else the key
// itself.
func (b Backend) signer(ref Ref, key crypto.Signer) crypto.Signer {
	private, isRSA := key.(*rsa.PrivateKey)
	lib := b.library()
	if !isRSA || lib == nil {
		return key
	}
	return lib.NewSigner(openssl.Name(ref), &private.PublicKey, x509.MarshalPKCS1PrivateKey(private), nil)
}

// readRSA returns the library's reader of RSA keys in PKCS #1. It checks them faster than
// crypto/x509, and keeps their octets outside of Go's heap. It returns nil for keys that
// crypto/x509 has to check.
func (c Config) readRSA(ref Ref) func(pkcs1 []byte) crypto.Signer {
	lib := c.Backend.library()
	if lib == nil {
		return noRSA
	}
	return func(pkcs1 []byte) crypto.Signer {
		public := openssl.CheckPKCS1(pkcs1)
		if public == nil {
			return nil
		}
		return lib.NewSigner(openssl.Name(ref), public, c.memory.Copy(pkcs1), c.memory)
	}
}
