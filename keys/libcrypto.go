//go:build libcrypto && linux && (amd64 || arm64)

package keys

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/ebitengine/purego"
)

const builtWithLibrary = true

// libraryName is that of OpenSSL 3, whose functions keep their names and meaning
// through all of 3.x.
const libraryName = "libcrypto.so.3"

// What OpenSSL's headers have as constants.
const (
	evpPKeyRSA      = 6 // EVP_PKEY_RSA, obj_mac.h
	rsaPKCS1Padding = 1 // RSA_PKCS1_PADDING, rsa.h
	openSSLVersion  = 0 // OPENSSL_VERSION, crypto.h
)

// mallocArenas is glibc's M_ARENA_MAX, malloc.h.
const mallocArenas = -8

// libcrypto is the loaded library. A call of it holds a thread of the operating
// system, so not more run at once than there are processors for Go.
type libcrypto struct {
	words string // its version, as it says it
	slots chan struct{}

	d2iPrivateKey, pkeyFree                           uintptr
	ctxNew, ctxFree, signInit, setPadding, setMD, sha uintptr
	sign, size                                        uintptr
	errGet, errString                                 uintptr

	numbers bignums
	private takenKeys
}

// loadLibrary loads libcrypto. It is never unloaded.
func loadLibrary() (library, error) {
	handle, err := purego.Dlopen(libraryName, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("%s is not to be had on this machine (%v): install OpenSSL 3", libraryName, err)
	}
	l := &libcrypto{slots: make(chan struct{}, runtime.GOMAXPROCS(0)), private: takenKeys{most: maxTaken}}
	var versionOf uintptr
	for name, symbol := range map[string]*uintptr{
		"OpenSSL_version":               &versionOf,
		"d2i_PrivateKey":                &l.d2iPrivateKey,
		"EVP_PKEY_free":                 &l.pkeyFree,
		"EVP_PKEY_CTX_new":              &l.ctxNew,
		"EVP_PKEY_CTX_free":             &l.ctxFree,
		"EVP_PKEY_sign_init":            &l.signInit,
		"EVP_PKEY_CTX_set_rsa_padding":  &l.setPadding,
		"EVP_PKEY_CTX_set_signature_md": &l.setMD,
		"EVP_sha256":                    &l.sha,
		"EVP_PKEY_sign":                 &l.sign,
		"EVP_PKEY_get_size":             &l.size,
		"BN_CTX_new":                    &l.numbers.ctxNew,
		"BN_CTX_free":                   &l.numbers.ctxFree,
		"BN_new":                        &l.numbers.bnNew,
		"BN_free":                       &l.numbers.bnFree,
		"BN_bin2bn":                     &l.numbers.fromOctets,
		"BN_bn2binpad":                  &l.numbers.toOctets,
		"BN_MONT_CTX_new":               &l.numbers.montNew,
		"BN_MONT_CTX_free":              &l.numbers.montFree,
		"BN_MONT_CTX_set":               &l.numbers.montSet,
		"BN_set_word":                   &l.numbers.setWord,
		"BN_mod_exp_mont":               &l.numbers.exp,
		"ERR_get_error":                 &l.errGet,
		"ERR_error_string_n":            &l.errString,
	} {
		address, err := purego.Dlsym(handle, name)
		if err != nil || address == 0 {
			return nil, fmt.Errorf("%s on this machine has no function %s: install OpenSSL 3", libraryName, name)
		}
		*symbol = address
	}
	l.shareMemory()
	var version func(what int32) string
	purego.RegisterFunc(&version, versionOf)
	l.words = version(openSSLVersion)
	return l, nil
}

// shareMemory has glibc keep as many heaps as calls run at once, not eight for each
// processor: what was freed in one of them is no good for the others, and keys come
// and go in all. Other C libraries have one heap.
func (l *libcrypto) shareMemory() {
	if mallopt, err := purego.Dlsym(purego.RTLD_DEFAULT, "mallopt"); err == nil && mallopt != 0 {
		option := mallocArenas
		purego.SyscallN(mallopt, uintptr(option), uintptr(cap(l.slots)))
	}
}

func (l *libcrypto) version() string { return l.words }

func (l *libcrypto) taken() *takenKeys { return &l.private }

// done reports that a function returned 1, which is success for all of these.
func done(result uintptr) bool { return int32(result) == 1 }

// fault is why the last function failed. The caller has the thread locked, since
// the library keeps its errors by thread.
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

// libcryptoKey is an EVP_PKEY with the contexts that wait for their next signature.
// Slots bound how many these can be.
type libcryptoKey struct {
	lib  *libcrypto
	pkey uintptr
	mu   sync.Mutex
	idle []*signContext

	modulus atomic.Pointer[modulus] // of its public key, from the first power on
}

// signContext is an EVP_PKEY_CTX that is ready to sign, with the memory that the
// library reads and writes. It lies on the heap, which does not move.
type signContext struct {
	ctx       uintptr
	length    uintptr // size_t
	hash      [32]byte
	signature []byte
}

func (l *libcrypto) take(pkcs1 []byte) (foreignKey, error) {
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// An integer, since the library moves it beyond the end of what it has read.
	begin := uintptr(unsafe.Pointer(&pkcs1[0]))
	pkey, _, _ := purego.SyscallN(l.d2iPrivateKey, evpPKeyRSA, 0, uintptr(unsafe.Pointer(&begin)), uintptr(len(pkcs1)))
	runtime.KeepAlive(pkcs1)
	if pkey == 0 {
		return nil, l.fault("d2i_PrivateKey")
	}
	c, err := l.newContext(pkey)
	if err != nil {
		purego.SyscallN(l.pkeyFree, pkey)
		return nil, err
	}
	return &libcryptoKey{lib: l, pkey: pkey, idle: []*signContext{c}}, nil
}

// free gives the key back. The library wipes what it frees.
func (k *libcryptoKey) free() {
	k.lib.slots <- struct{}{}
	defer func() { <-k.lib.slots }()
	for _, c := range k.idle {
		purego.SyscallN(k.lib.ctxFree, c.ctx)
	}
	purego.SyscallN(k.lib.pkeyFree, k.pkey)
	if m := k.modulus.Load(); m != nil {
		k.lib.numbers.freeModulus(*m)
	}
}

// newContext makes a context for PKCS #1 v1.5 over SHA-256. The caller has the
// thread locked.
func (l *libcrypto) newContext(pkey uintptr) (*signContext, error) {
	ctx, _, _ := purego.SyscallN(l.ctxNew, pkey, 0)
	if ctx == 0 {
		return nil, l.fault("EVP_PKEY_CTX_new")
	}
	sha, _, _ := purego.SyscallN(l.sha)
	for _, step := range []struct {
		name     string
		function uintptr
		argument uintptr
	}{
		{"EVP_PKEY_sign_init", l.signInit, 0},
		{"EVP_PKEY_CTX_set_rsa_padding", l.setPadding, rsaPKCS1Padding},
		{"EVP_PKEY_CTX_set_signature_md", l.setMD, sha},
	} {
		if result, _, _ := purego.SyscallN(step.function, ctx, step.argument); !done(result) {
			fault := l.fault(step.name)
			purego.SyscallN(l.ctxFree, ctx)
			return nil, fault
		}
	}
	size, _, _ := purego.SyscallN(l.size, pkey)
	if int32(size) < minRSABits/8 || int32(size) > maxRSABits/8 {
		purego.SyscallN(l.ctxFree, ctx)
		return nil, fmt.Errorf("EVP_PKEY_get_size: %d octets", int32(size))
	}
	return &signContext{ctx: ctx, signature: make([]byte, size)}, nil
}

// sign makes one signature in a context of its own for that time.
func (k *libcryptoKey) sign(hash []byte) ([]byte, error) {
	k.lib.slots <- struct{}{}
	defer func() { <-k.lib.slots }()
	c, err := k.context()
	if err != nil {
		return nil, err
	}
	copy(c.hash[:], hash)
	c.length = uintptr(len(c.signature))
	result, _, _ := purego.SyscallN(k.lib.sign, c.ctx,
		uintptr(unsafe.Pointer(&c.signature[0])), uintptr(unsafe.Pointer(&c.length)),
		uintptr(unsafe.Pointer(&c.hash)), uintptr(len(c.hash)))
	if !done(result) || c.length > uintptr(len(c.signature)) {
		purego.SyscallN(k.lib.ctxFree, c.ctx)
		return nil, fmt.Errorf("EVP_PKEY_sign returned %d", int32(result))
	}
	signature := append([]byte(nil), c.signature[:c.length]...)
	k.mu.Lock()
	k.idle = append(k.idle, c)
	k.mu.Unlock()
	return signature, nil
}

// context takes a context that waits, or makes one.
func (k *libcryptoKey) context() (*signContext, error) {
	k.mu.Lock()
	if n := len(k.idle); n > 0 {
		c := k.idle[n-1]
		k.idle = k.idle[:n-1]
		k.mu.Unlock()
		return c, nil
	}
	k.mu.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return k.lib.newContext(k.pkey)
}
