//go:build libcrypto && linux && (amd64 || arm64)

package openssl

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Constants of OpenSSL's headers.
const (
	evpPKeyRSA      = 6 // EVP_PKEY_RSA, obj_mac.h
	rsaPKCS1Padding = 1 // RSA_PKCS1_PADDING, rsa.h
	rsaNoPadding    = 3 // RSA_NO_PADDING, rsa.h
)

// evpKey is an EVP_PKEY with the contexts that wait for their next operation. No more
// contexts exist than slots.
type evpKey struct {
	lib    *libcrypto
	pkey   uintptr
	size   int // of the modulus, in octets
	public bool
	mu     sync.Mutex
	idle   []*evpContext
}

// evpContext is an EVP_PKEY_CTX for one kind of operation, with the memory that the
// library reads and writes. It lies on Go's heap, which does not move.
type evpContext struct {
	ctx    uintptr
	length uintptr // size_t
	in     []byte
	out    []byte
}

// newKey reads a key in PKCS #1. The caller has a slot.
func (l *libcrypto) newKey(pkcs1 []byte, public bool) (*evpKey, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	purego.SyscallN(l.errClear)
	read, name, most := l.d2iPrivateKey, "d2i_PrivateKey", maxBits
	if public {
		read, name, most = l.d2iPublicKey, "d2i_PublicKey", maxVerifying
	}
	if len(pkcs1) == 0 {
		return nil, fmt.Errorf("%s: no octets", name)
	}
	// An integer, since the library moves it beyond the end of what it has read.
	begin := uintptr(unsafe.Pointer(&pkcs1[0]))
	pkey, _, _ := purego.SyscallN(read, evpPKeyRSA, 0, uintptr(unsafe.Pointer(&begin)), uintptr(len(pkcs1)))
	runtime.KeepAlive(pkcs1)
	if pkey == 0 {
		return nil, l.fault(name)
	}
	size, _, _ := purego.SyscallN(l.pkeySize, pkey)
	k := &evpKey{lib: l, pkey: pkey, size: int(int32(size)), public: public}
	if k.size < minBits/8 || k.size > most/8 {
		k.release()
		return nil, fmt.Errorf("a modulus of %d octets", k.size)
	}
	c, err := k.newContext()
	if err != nil {
		k.release()
		return nil, err
	}
	k.idle = append(k.idle, c)
	return k, nil
}

// newContext makes a context that signs with a private key, PKCS #1 v1.5 over SHA-256,
// or recovers the block of a signature with a public one. The caller has a slot and the
// thread locked.
func (k *evpKey) newContext() (*evpContext, error) {
	l := k.lib
	ctx, _, _ := purego.SyscallN(l.ctxNew, k.pkey, 0)
	if ctx == 0 {
		return nil, l.fault("EVP_PKEY_CTX_new")
	}
	sha256, _, _ := purego.SyscallN(l.sha256)
	type step struct {
		name     string
		function uintptr
		argument uintptr
	}
	steps := []step{
		{"EVP_PKEY_sign_init", l.signInit, 0},
		{"EVP_PKEY_CTX_set_rsa_padding", l.setPadding, rsaPKCS1Padding},
		{"EVP_PKEY_CTX_set_signature_md", l.setDigest, sha256},
	}
	if k.public {
		steps = []step{
			{"EVP_PKEY_verify_recover_init", l.recoverInit, 0},
			{"EVP_PKEY_CTX_set_rsa_padding", l.setPadding, rsaNoPadding},
		}
	}
	for _, s := range steps {
		if !succeeded(purego.SyscallN(s.function, ctx, s.argument)) {
			fault := l.fault(s.name)
			purego.SyscallN(l.ctxFree, ctx)
			return nil, fault
		}
	}
	return &evpContext{ctx: ctx, in: make([]byte, k.size), out: make([]byte, k.size)}, nil
}

// run does one operation over input, and copies its result to output, which is as
// long as the modulus.
func (k *evpKey) run(output, input []byte) error {
	l := k.lib
	l.enter()
	defer l.leave()
	c, err := k.takeContext()
	if err != nil {
		return err
	}
	operation, name := l.signDigest, "EVP_PKEY_sign"
	if k.public {
		operation, name = l.recover, "EVP_PKEY_verify_recover"
	}
	n := copy(c.in, input)
	c.length = uintptr(len(c.out))
	result, _, _ := purego.SyscallN(operation, c.ctx,
		uintptr(unsafe.Pointer(&c.out[0])), uintptr(unsafe.Pointer(&c.length)),
		uintptr(unsafe.Pointer(&c.in[0])), uintptr(n))
	if !succeeded(result, 0, 0) || c.length != uintptr(len(c.out)) {
		purego.SyscallN(l.ctxFree, c.ctx)
		// The library knows more, by thread; a signature is not worth holding one.
		return fmt.Errorf("%s returned %d", name, int32(result))
	}
	copy(output, c.out)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.idle = append(k.idle, c)
	return nil
}

// takeContext takes a context that waits, or makes one.
func (k *evpKey) takeContext() (*evpContext, error) {
	k.mu.Lock()
	if last := len(k.idle) - 1; last >= 0 {
		c := k.idle[last]
		k.idle = k.idle[:last]
		k.mu.Unlock()
		return c, nil
	}
	k.mu.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	purego.SyscallN(k.lib.errClear)
	return k.newContext()
}

// release frees the library's copy of the key. The library wipes the private parts.
func (k *evpKey) release() {
	for _, c := range k.idle {
		purego.SyscallN(k.lib.ctxFree, c.ctx)
	}
	k.idle = nil
	purego.SyscallN(k.lib.pkeyFree, k.pkey)
}
