//go:build libcrypto && linux && (amd64 || arm64)

package openssl

import (
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// numbers is what one calculation needs: OpenSSL's numbers, and the memory from
// which they are filled. It lies on the heap, which does not move. They are made when
// they are first borrowed, and never freed, so that nothing secret may stay in them.
type numbers struct {
	ctx                    uintptr // BN_CTX
	result, base, exponent uintptr // BIGNUM
	in, out                [maxBits / 8]byte
	whole                  bool        // all of these are there
	arguments              [11]uintptr // BN_mod_exp_mont_consttime_x2 has the most
}

// call calls a function with numbers and others of the library's pointers. They are
// kept in n, or each call would allocate them.
func (n *numbers) call(function uintptr, arguments ...uintptr) uintptr {
	kept := n.arguments[:len(arguments)]
	copy(kept, arguments)
	result, _, _ := purego.SyscallN(function, kept...)
	return result
}

// did calls a function and reports that it returned 1, which is success for all that
// return an int.
func (n *numbers) did(function uintptr, arguments ...uintptr) bool {
	return int32(n.call(function, arguments...)) == 1
}

// A secret is a BN_CTX for numbers that must not stay behind: its own are wiped when it
// is freed, as those of numbers.ctx never are.
type secret struct {
	ctx uintptr
	n   *numbers
	b   *bignums
}

// secret returns false where there is no memory. Its end is due in any case.
func (b *bignums) secret(n *numbers) (secret, bool) {
	s := secret{n.call(b.ctxNew), n, b}
	if s.ctx != 0 {
		n.call(b.ctxStart, s.ctx)
	}
	return s, s.ctx != 0
}

// number returns a number that goes with the secret, or 0; after a 0 there are only more.
func (s secret) number() uintptr { return s.n.call(s.b.ctxGet, s.ctx) }

func (s secret) end() {
	if s.ctx != 0 {
		s.n.call(s.b.ctxEnd, s.ctx)
		s.n.call(s.b.ctxFree, s.ctx)
	}
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
	ctxNew, ctxFree, ctxStart, ctxGet, ctxEnd                uintptr
	bnNew, bnFree, dup                                       uintptr
	fromOctets, toOctets, setWord, setFlags                  uintptr
	sub, mul, modAdd, exp, expTwo                            uintptr
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
	for _, number := range []*uintptr{&n.result, &n.base, &n.exponent} {
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
	if *m = b.newModulus(n, n.ctx, n.in[:size], 0); m.mont == 0 {
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
// returns is empty for what can be none, and where there is no memory. bnConstTime
// among the flags is for one that is secret: it makes powers slow as well.
func (b *bignums) newModulus(n *numbers, ctx uintptr, octets []byte, flags uintptr) modulus {
	m := modulus{n: b.read(octets, 0), mont: n.call(b.montNew)}
	odd := len(octets) > 0 && octets[len(octets)-1]&1 != 0
	if m.n != 0 && m.mont != 0 && odd {
		n.call(b.setFlags, m.n, flags)
		if n.did(b.montSet, m.mont, m.n, ctx) {
			return m
		}
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
