//go:build libcrypto && linux && (amd64 || arm64)

package keys

import (
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// numbers is what one calculation needs: OpenSSL's numbers, and the memory from
// which they are filled. It lies on the heap, which does not move. They are made when
// they are first borrowed, and never freed.
type numbers struct {
	ctx                    uintptr // BN_CTX
	result, base, exponent uintptr // BIGNUM
	p, q, rootP, rootQ     uintptr // BIGNUM, for signatures
	in, out                [maxRSABits / 8]byte
	whole                  bool        // all of these are there
	arguments              [11]uintptr // BN_mod_exp_mont_consttime_x2 has the most
}

// did calls a function with numbers and others of the library's pointers, and reports
// that it returned 1, which is success for all of these. The arguments are kept in n, or
// each call would allocate them.
func (n *numbers) did(function uintptr, arguments ...uintptr) bool {
	result, _, _ := purego.SyscallN(function, n.arguments[:copy(n.arguments[:], arguments)]...)
	return int32(result) == 1
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
	ctxNew, ctxFree, bnNew, bnFree, dup                      uintptr
	fromOctets, toOctets, setWord, setFlags                  uintptr
	add, mul, modSub, exp, expTwo                            uintptr
	montNew, montFree, montSet                               uintptr
	montTo, montFrom, montMul                                uintptr
	blindingNew, blindingFree, blindingFlags, blind, unblind uintptr

	idle   chan *numbers
	mu     sync.Mutex
	moduli map[string]*modulus
}

// borrow waits for numbers to calculate with. It returns false where there is no
// memory for them; giveBack is due in any case.
func (b *bignums) borrow() (n *numbers, whole bool) {
	n = <-b.idle
	return n, n.whole || b.complete(n)
}

// complete makes what n has not yet, and reports that it has all then.
func (b *bignums) complete(n *numbers) bool {
	if n.ctx == 0 {
		n.ctx, _, _ = purego.SyscallN(b.ctxNew)
	}
	n.whole = n.ctx != 0
	for _, number := range []*uintptr{&n.result, &n.base, &n.exponent, &n.p, &n.q, &n.rootP, &n.rootQ} {
		if *number == 0 {
			*number, _, _ = purego.SyscallN(b.bnNew)
		}
		n.whole = n.whole && *number != 0
	}
	return n.whole
}

func (b *bignums) giveBack(n *numbers) { b.idle <- n }

// read sets a number to octets that lie where nothing moves them, or makes one if it
// is 0. It returns 0 where there is no memory.
func (b *bignums) read(octets []byte, number uintptr) uintptr {
	r, _, _ := purego.SyscallN(b.fromOctets, uintptr(unsafe.Pointer(unsafe.SliceData(octets))), uintptr(len(octets)), number)
	return r
}

// write puts a number that is not negative into n.out[:size], with zeros before it. It
// returns false if it is too long.
func (b *bignums) write(n *numbers, number uintptr, size int) bool {
	r, _, _ := purego.SyscallN(b.toOctets, number, uintptr(unsafe.Pointer(&n.out)), uintptr(size))
	return int32(r) == int32(size)
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
	size := copy(n.in[:], octets)
	m = new(modulus)
	if *m = b.newModulus(n.in[:size], n); m.mont == 0 {
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

// newModulus computes a modulus of octets that lie where nothing moves them. What it
// returns is empty for what can be none, and where there is no memory.
func (b *bignums) newModulus(octets []byte, n *numbers) modulus {
	var m modulus
	m.n = b.read(octets, 0)
	m.mont, _, _ = purego.SyscallN(b.montNew)
	odd := len(octets) > 0 && octets[len(octets)-1]&1 != 0
	if m.n != 0 && m.mont != 0 && odd && n.did(b.montSet, m.mont, m.n, n.ctx) {
		return m
	}
	b.freeModulus(m)
	return modulus{}
}

func (b *bignums) freeModulus(m modulus) { // freeing nothing is allowed
	purego.SyscallN(b.montFree, m.mont)
	purego.SyscallN(b.bnFree, m.n)
}

// power sets result to base^exponent modulo an odd modulus. All have the same
// length, which is maxVerified at most.
func (l *libcrypto) power(result, base []byte, exponent int, octets []byte) bool {
	b := &l.numbers
	n, whole := b.borrow()
	defer b.giveBack(n)
	if !whole {
		return false
	}
	m := b.modulus(octets, n)
	if m == nil {
		return false
	}
	defer runtime.KeepAlive(m) // until then nothing may free it
	return b.raise(n, *m, result, base, exponent)
}

// raise sets result to base^exponent.
func (b *bignums) raise(n *numbers, m modulus, result, base []byte, exponent int) bool {
	size := copy(n.in[:], base)
	if b.read(n.in[:size], n.base) == 0 || !n.did(b.setWord, n.exponent, uintptr(exponent)) ||
		!n.did(b.exp, n.result, n.base, n.exponent, m.n, n.ctx, m.mont) || !b.write(n, n.result, size) {
		return false
	}
	copy(result, n.out[:size])
	return true
}
