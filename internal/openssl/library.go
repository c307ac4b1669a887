// Package openssl makes and verifies RSA signatures with the machine's libcrypto
// (OpenSSL 3), which is loaded at run time, without cgo. An RSA-2048 signature costs
// there a third to two thirds of what it costs in crypto/rsa.
//
// Only a build with the tag libcrypto has it (see Built); elsewhere Load returns an
// error, and crypto/rsa does the work.
package openssl

import (
	"crypto/rsa"
	"sync"
)

// Sizes of RSA moduli in bits.
const (
	minBits      = 1024 // RFC 8301 §3.2: verifiers must not accept less
	maxBits      = 8192 // of a private key: beyond it one signature takes a good part of a second
	maxVerifying = 4096 // of a public key: RFC 8301 §3.2, verifiers need not accept more
)

// Library is libcrypto, loaded into this process. Its methods may be used
// concurrently.
type Library struct{ library }

// Load loads libcrypto, once in a process. The error names the missing part.
func Load() (*Library, error) { return loadOnce() }

var loadOnce = sync.OnceValues(func() (*Library, error) {
	lib, err := loadLibrary()
	if err != nil {
		return nil, err
	}
	return &Library{lib}, nil
})

// Version returns the library's name and version as it gives them, such as
// "OpenSSL 3.0.17 1 Jul 2025".
func (l *Library) Version() string { return l.version() }

// library does RSA outside of Go. Tests have others than libcrypto.
type library interface {
	version() string
	// newPrivateKey reads a private key in PKCS #1. The octets stay the caller's.
	newPrivateKey(pkcs1 []byte) (privateKey, error)
	// cache holds the private keys in the library's memory.
	cache() *keyCache
	// recoverBlock sets block to signature^e mod n. Both are as long as the modulus, at
	// most maxVerifying bits; modulus is that of the key. It keeps none of the three. It
	// returns false if it cannot.
	recoverBlock(block, signature, modulus []byte, public *rsa.PublicKey) bool
}

// privateKey is a key in a library's memory. Any number of goroutines may use it.
type privateKey interface {
	// sign returns the PKCS #1 v1.5 signature over a SHA-256 hash (RFC 8017 §8.2.1).
	sign(hash []byte) ([]byte, error)
	// free gives its memory back. It is called once, when no goroutine signs any more.
	free()
}
