package openssl

import (
	"runtime"
	"sync"
	"sync/atomic"

	"signpost/internal/clock"
)

// maxCached bounds how many private keys are in the library's memory at once, beside
// those that are signing at the moment. Each takes about 10 KB there, which Go's
// garbage collector does not see; as octets a key takes an eighth of that.
const maxCached = 1024

// keyCache holds the keys in the library's memory, for all generations of the
// configuration. It is a CLOCK cache: where it is full, the hand evicts a key that has
// not signed since its last pass. A signature with a cached key takes no lock.
type keyCache struct {
	most int
	mu   sync.Mutex
	ring clock.Ring[*cachedKey]
}

// cachedKey is one key there. The ring holds it, and so does every signature while it is
// made; the last holder frees it.
type cachedKey struct {
	privateKey
	clock.Mark
	holders atomic.Int32
	owner   runtime.Cleanup
}

// acquire keeps the key from being freed until release. It returns false where it has
// been freed already.
func (k *cachedKey) acquire() bool {
	for {
		n := k.holders.Load()
		if n == 0 {
			return false
		}
		if k.holders.CompareAndSwap(n, n+1) {
			k.Use()
			return true
		}
	}
}

func (k *cachedKey) release() {
	if k.holders.Add(-1) == 0 {
		k.free()
	}
}

// add puts in a key, held for the caller. The key leaves with its owner at the latest.
func (c *keyCache) add(key privateKey, owner *Signer) *cachedKey {
	k := &cachedKey{privateKey: key}
	k.holders.Store(2)
	k.Use()
	c.mu.Lock()
	var victim *cachedKey
	if c.ring.Len() >= c.most {
		victim = c.ring.Evict(nil)
	}
	c.ring.Add(k)
	k.owner = runtime.AddCleanup(owner, c.drop, k)
	c.mu.Unlock()
	if victim != nil {
		victim.owner.Stop()
		victim.release()
	}
	return k
}

// drop removes a key whose owner is gone.
func (c *keyCache) drop(k *cachedKey) {
	c.mu.Lock()
	there := c.ring.Remove(k)
	c.mu.Unlock()
	if there {
		k.release()
	}
}
