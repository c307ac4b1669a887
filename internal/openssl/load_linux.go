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

// libcrypto is the loaded library. A call of it holds a thread of the operating
// system, so not more run at once than there are processors for Go: whoever calls holds
// numbers, of which there are not more.
type libcrypto struct {
	words                       string // its version, as it says it
	errGet, errClear, errString uintptr

	numbers bignums
	private takenKeys
}

// loadLibrary loads libcrypto. It is never unloaded.
func loadLibrary() (library, error) {
	handle, err := purego.Dlopen(libraryName, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("%s is not to be had on this machine (%v): install OpenSSL 3", libraryName, err)
	}
	atOnce := runtime.GOMAXPROCS(0)
	l := &libcrypto{private: takenKeys{most: maxTaken}, numbers: bignums{idle: make(chan *numbers, atOnce)}}
	b := &l.numbers
	for range atOnce {
		b.idle <- new(numbers)
	}
	var versionOf uintptr
	for name, symbol := range map[string]*uintptr{
		"OpenSSL_version":              &versionOf,
		"ERR_get_error":                &l.errGet,
		"ERR_clear_error":              &l.errClear,
		"ERR_error_string_n":           &l.errString,
		"BN_CTX_new":                   &b.ctxNew,
		"BN_CTX_free":                  &b.ctxFree,
		"BN_CTX_start":                 &b.ctxStart,
		"BN_CTX_get":                   &b.ctxGet,
		"BN_CTX_end":                   &b.ctxEnd,
		"BN_new":                       &b.bnNew,
		"BN_clear_free":                &b.bnFree,
		"BN_dup":                       &b.dup,
		"BN_bin2bn":                    &b.fromOctets,
		"BN_bn2binpad":                 &b.toOctets,
		"BN_set_word":                  &b.setWord,
		"BN_set_flags":                 &b.setFlags,
		"BN_sub":                       &b.sub,
		"BN_mul":                       &b.mul,
		"BN_mod_add_quick":             &b.modAdd,
		"BN_mod_exp_mont":              &b.exp,
		"BN_mod_exp_mont_consttime_x2": &b.expTwo,
		"BN_MONT_CTX_new":              &b.montNew,
		"BN_MONT_CTX_free":             &b.montFree,
		"BN_MONT_CTX_set":              &b.montSet,
		"BN_to_montgomery":             &b.montTo,
		"BN_from_montgomery":           &b.montFrom,
		"BN_mod_mul_montgomery":        &b.montMul,
		"BN_BLINDING_create_param":     &b.blindingNew,
		"BN_BLINDING_free":             &b.blindingFree,
		"BN_BLINDING_set_flags":        &b.blindingFlags,
		"BN_BLINDING_convert_ex":       &b.blind,
		"BN_BLINDING_invert_ex":        &b.unblind,
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
		purego.SyscallN(mallopt, uintptr(option), uintptr(cap(l.numbers.idle)))
	}
}

func (l *libcrypto) version() string { return l.words }

func (l *libcrypto) taken() *takenKeys { return &l.private }

// fault is why a function failed, the first since errClear. The caller has the thread
// locked, since the library keeps its errors by thread.
func (l *libcrypto) fault(doing string) error {
	code, _, _ := purego.SyscallN(l.errGet)
	if code == 0 {
		return errors.New(doing)
	}
	text := make([]byte, 256)
	purego.SyscallN(l.errString, code, uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)))
	for i, c := range text {
		if c == 0 {
			text = text[:i]
			break
		}
	}
	return fmt.Errorf("%s: %s", doing, text)
}
