package keys

import (
	"runtime"
	"sync"
	"syscall"
)

// vaultPages is how much memory a vault takes at once, in bytes: 800 RSA-2048 keys.
// What is not written to costs nothing.
const vaultPages = 1 << 20

// A vault keeps the octets of private keys outside of Go's heap: the garbage collector
// leaves them in peace, which halves what thousands of keys cost, and they are not in
// a core dump. They are gone when nothing refers to the vault any more. A nil vault
// keeps them on the heap.
type vault struct {
	mu   sync.Mutex
	room []byte // what is left of the last pages
	all  *pages
}

type pages struct{ mapped [][]byte }

func newVault() *vault {
	v := &vault{all: &pages{}}
	runtime.AddCleanup(v, (*pages).unmap, v.all)
	return v
}

func (p *pages) unmap() {
	for _, m := range p.mapped {
		_ = syscall.Munmap(m)
	}
}

// keep returns a copy of the octets that is good as long as the vault is.
func (v *vault) keep(octets []byte) []byte {
	if v != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		if len(v.room) < len(octets) {
			v.more(len(octets))
		}
		if len(v.room) >= len(octets) {
			kept := v.room[:len(octets):len(octets)]
			v.room = v.room[len(octets):]
			copy(kept, octets)
			return kept
		}
	}
	return append([]byte(nil), octets...)
}

// more maps pages. Where there are none to be had, the heap has to do.
func (v *vault) more(atLeast int) {
	const dontDump = 16 // MADV_DONTDUMP of Linux
	m, err := syscall.Mmap(-1, 0, max(vaultPages, atLeast), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return
	}
	_ = syscall.Madvise(m, dontDump)
	v.all.mapped = append(v.all.mapped, m)
	v.room = m
}
