//go:build libcrypto && linux && (amd64 || arm64)

package keys

import (
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// numbers is what one modular power needs: OpenSSL's numbers, and the memory from
// which they are filled. It lies on the heap, which does not move.
type numbers struct {
	ctx                    uintptr // BN_CTX
	result, base, exponent uintptr // BIGNUM
	in, out                [maxVerified]byte
}

// modulus is an odd modulus with what is computed once for it, which takes as long
// as a power: the same senders come again and again.
type modulus struct {
	n    uintptr // BIGNUM
	mont uintptr // BN_MONT_CTX; does not change any more, and so any number of threads may use it
}

// maxModuli is how many of others' keys are remembered; each takes about a kilobyte.
const maxModuli = 1024

// bignums are the functions for numbers, and what is kept for them.
type bignums struct {
	ctxNew, ctxFree, bnNew, bnFree     uintptr
	montNew, montFree, montSet         uintptr
	fromOctets, setWord, toOctets, exp uintptr

	idle   sync.Pool // of *numbers
	mu     sync.Mutex
	moduli map[string]*modulus
}

// newNumbers returns nil where there is no memory for them.
func (b *bignums) newNumbers() *numbers {
	n := new(numbers)
	n.ctx, _, _ = purego.SyscallN(b.ctxNew)
	whole := n.ctx != 0
	for _, number := range []*uintptr{&n.result, &n.base, &n.exponent} {
		*number, _, _ = purego.SyscallN(b.bnNew)
		whole = whole && *number != 0
	}
	held := [...]uintptr{n.result, n.base, n.exponent}
	ctx := n.ctx
	runtime.AddCleanup(n, func(b *bignums) { // freeing nothing is allowed
		for _, number := range held {
			purego.SyscallN(b.bnFree, number)
		}
		purego.SyscallN(b.ctxFree, ctx)
	}, b)
	if !whole {
		return nil
	}
	return n
}

// modulus returns what is remembered of a modulus, or computes it. It returns nil
// for what can be none, and where there is no memory.
func (b *bignums) modulus(octets []byte, n *numbers) *modulus {
	b.mu.Lock()
	m := b.moduli[string(octets)]
	b.mu.Unlock()
	if m != nil {
		return m
	}
	if m = b.newModulus(octets, n); m == nil {
		return nil
	}
	runtime.AddCleanup(m, b.freeModulus, *m)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.moduli == nil || len(b.moduli) >= maxModuli {
		b.moduli = make(map[string]*modulus)
	}
	b.moduli[string(octets)] = m
	return m
}

// newModulus returns nil for what can be none, and where there is no memory.
func (b *bignums) newModulus(octets []byte, n *numbers) *modulus {
	m := new(modulus)
	size := uintptr(copy(n.in[:], octets))
	m.n, _, _ = purego.SyscallN(b.fromOctets, uintptr(unsafe.Pointer(&n.in)), size, 0)
	m.mont, _, _ = purego.SyscallN(b.montNew)
	if m.n != 0 && m.mont != 0 && octets[len(octets)-1]&1 != 0 {
		if r, _, _ := purego.SyscallN(b.montSet, m.mont, m.n, n.ctx); done(r) {
			return m
		}
	}
	b.freeModulus(*m)
	return nil
}

func (b *bignums) freeModulus(m modulus) { // freeing nothing is allowed
	purego.SyscallN(b.montFree, m.mont)
	purego.SyscallN(b.bnFree, m.n)
}

// borrow returns numbers to calculate with, or nil. They go back into idle.
func (b *bignums) borrow() *numbers {
	if n, ok := b.idle.Get().(*numbers); ok {
		return n
	}
	return b.newNumbers()
}

// power sets result to base^exponent modulo an odd modulus. All have the same
// length, which is maxVerified at most. It takes some hundredths of a millisecond,
// so that it needs no slot.
func (l *libcrypto) power(result, base []byte, exponent int, octets []byte) bool {
	b := &l.numbers
	n := b.borrow()
	if n == nil {
		return false
	}
	defer b.idle.Put(n)
	m := b.modulus(octets, n)
	return m != nil && b.raise(n, m, result, base, exponent)
}

// power is that of the library, with a modulus that goes when the key goes.
func (k *libcryptoKey) power(result, base []byte, exponent int, octets []byte) bool {
	b := &k.lib.numbers
	n := b.borrow()
	if n == nil {
		return false
	}
	defer b.idle.Put(n)
	m := k.modulus.Load()
	if m == nil {
		if m = b.newModulus(octets, n); m == nil {
			return false
		}
		if !k.modulus.CompareAndSwap(nil, m) { // another signature was quicker
			b.freeModulus(*m)
			m = k.modulus.Load()
		}
	}
	return b.raise(n, m, result, base, exponent)
}

// raise sets result to base^exponent.
func (b *bignums) raise(n *numbers, m *modulus, result, base []byte, exponent int) bool {
	size := uintptr(copy(n.in[:], base))
	if r, _, _ := purego.SyscallN(b.fromOctets, uintptr(unsafe.Pointer(&n.in)), size, n.base); r == 0 {
		return false
	}
	if r, _, _ := purego.SyscallN(b.setWord, n.exponent, uintptr(exponent)); !done(r) {
		return false
	}
	if r, _, _ := purego.SyscallN(b.exp, n.result, n.base, n.exponent, m.n, n.ctx, m.mont); !done(r) {
		return false
	}
	if r, _, _ := purego.SyscallN(b.toOctets, n.result, uintptr(unsafe.Pointer(&n.out)), size); int32(r) != int32(size) {
		return false
	}
	copy(result, n.out[:size])
	runtime.KeepAlive(n) // until here nothing may free the numbers
	runtime.KeepAlive(m)
	return true
}
