//go:build libcrypto && linux && (amd64 || arm64)

package openssl

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Built says that this build can load libcrypto.
const Built = true

// libraryName is that of OpenSSL 3, whose functions keep their names and meaning
// through all of 3.x.
const libraryName = "libcrypto.so.3"

// openSSLVersion is OPENSSL_VERSION, crypto.h.
const openSSLVersion = 0

// mallocArenas is glibc's M_ARENA_MAX, malloc.h.
const mallocArenas = -8

// libcrypto is the loaded library. A call into it occupies a thread of the operating
// system, so no more calls run at once than Go has processors: each holds a slot.
type libcrypto struct {
	name  string // its version, as it says it
	slots chan struct{}

	d2iPrivateKey, d2iPublicKey, pkeyFree, pkeySize uintptr
	ctxNew, ctxFree, setPadding, setDigest, sha256  uintptr
	signInit, signDigest, recoverInit, recover      uintptr
	errGet, errClear, errString                     uintptr

	private keyCache
	public  publicKeys
}

// processors is how many processors Go may use. GOMAXPROCS may be lower for a time
// when the library is loaded.
var processors = runtime.GOMAXPROCS(0)

// loadLibrary loads libcrypto. It is never unloaded.
func loadLibrary() (library, error) {
	handle, err := purego.Dlopen(libraryName, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be loaded on this machine (%v): install OpenSSL 3", libraryName, err)
	}
	l := &libcrypto{slots: make(chan struct{}, processors), private: keyCache{most: maxCached}}
	var versionOf uintptr
	for name, symbol := range map[string]*uintptr{
		"OpenSSL_version":               &versionOf,
		"d2i_PrivateKey":                &l.d2iPrivateKey,
		"d2i_PublicKey":                 &l.d2iPublicKey,
		"EVP_PKEY_free":                 &l.pkeyFree,
		"EVP_PKEY_get_size":             &l.pkeySize,
		"EVP_PKEY_CTX_new":              &l.ctxNew,
		"EVP_PKEY_CTX_free":             &l.ctxFree,
		"EVP_PKEY_CTX_set_rsa_padding":  &l.setPadding,
		"EVP_PKEY_CTX_set_signature_md": &l.setDigest,
		"EVP_sha256":                    &l.sha256,
		"EVP_PKEY_sign_init":            &l.signInit,
		"EVP_PKEY_sign":                 &l.signDigest,
		"EVP_PKEY_verify_recover_init":  &l.recoverInit,
		"EVP_PKEY_verify_recover":       &l.recover,
		"ERR_get_error":                 &l.errGet,
		"ERR_clear_error":               &l.errClear,
		"ERR_error_string_n":            &l.errString,
	} {
		address, err := purego.Dlsym(handle, name)
		if err != nil || address == 0 {
			return nil, fmt.Errorf("%s on this machine has no function %s: install OpenSSL 3", libraryName, name)
		}
		*symbol = address
	}
	l.limitArenas()
	var version func(what int32) string
	purego.RegisterFunc(&version, versionOf)
	l.name = version(openSSLVersion)
	return l, nil
}

// limitArenas has glibc keep as many heaps as calls run at once, instead of eight for
// each processor: memory freed in one of them does not serve the others, and keys come
// and go in all. Other C libraries have one heap.
func (l *libcrypto) limitArenas() {
	if mallopt, err := purego.Dlsym(purego.RTLD_DEFAULT, "mallopt"); err == nil && mallopt != 0 {
		option := mallocArenas
		purego.SyscallN(mallopt, uintptr(option), uintptr(cap(l.slots)))
	}
}

func (l *libcrypto) version() string { return l.name }

func (l *libcrypto) cache() *keyCache { return &l.private }

// enter waits for a slot. leave gives it back.
func (l *libcrypto) enter() { l.slots <- struct{}{} }
func (l *libcrypto) leave() { <-l.slots }

// succeeded reports that a function returned 1, which means success for all that
// return an int.
func succeeded(result uintptr, _, _ uintptr) bool { return int32(result) == 1 }

// fault says why a function failed: the library's first error since errClear. The
// caller has the thread locked, since the library keeps its errors by thread.
func (l *libcrypto) fault(function string) error {
	code, _, _ := purego.SyscallN(l.errGet)
	if code == 0 {
		return errors.New(function)
	}
	text := make([]byte, 256)
	purego.SyscallN(l.errString, code, uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)))
	for i, c := range text {
		if c == 0 {
			text = text[:i]
			break
		}
	}
	return fmt.Errorf("%s: %s", function, text)
}
