package openssl

import (
	"runtime"
	"sync"
	"syscall"
)

// memoryPages is how much a Memory takes at once, in bytes: 800 RSA-2048 keys.
// Pages without data cost nothing.
const memoryPages = 1 << 20

// A Memory keeps the octets of private keys outside of Go's heap. The garbage collector
// does not scan them, which halves the memory of thousands of keys, and they are not in
// a core dump. Copies of keys are elsewhere too: the text of a file that was read, the
// numbers of a key that signs, libcrypto's memory, Go's own keys. So the process as a
// whole must not be dumped (forbidDumps in cmd/signpost). All of it may be swapped out.
// The pages are freed when nothing refers to the Memory any more. A nil Memory keeps
// octets on the heap.
type Memory struct {
	mu   sync.Mutex
	room []byte // the free part of the last pages
	all  *pages
}

type pages struct{ mapped [][]byte }

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	v := &Memory{all: &pages{}}
	runtime.AddCleanup(v, (*pages).unmap, v.all)
	return v
}

func (p *pages) unmap() {
	for _, m := range p.mapped {
		_ = syscall.Munmap(m)
	}
}

// Copy returns a copy of the octets that is valid as long as the Memory is.
func (v *Memory) Copy(octets []byte) []byte {
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

// more maps pages. If that fails, the heap is used.
func (v *Memory) more(atLeast int) {
	const dontDump = 16 // MADV_DONTDUMP of Linux
	m, err := syscall.Mmap(-1, 0, max(memoryPages, atLeast), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return
	}
	_ = syscall.Madvise(m, dontDump)
	v.all.mapped = append(v.all.mapped, m)
	v.room = m
}
