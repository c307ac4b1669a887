package openssl

import (
	"runtime"
	"sync"
	"sync/atomic"
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
	ring []*cachedKey
	hand int
}

// cachedKey is one key there. The ring holds it, and so does every signature while it is
// made; the last holder frees it.
type cachedKey struct {
	privateKey
	holders atomic.Int32
	signed  atomic.Bool // since the last pass of the hand
	slot    int         // in the ring; -1 after its removal
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
			if !k.signed.Load() {
				k.signed.Store(true)
			}
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
	k.signed.Store(true)
	c.mu.Lock()
	var victim *cachedKey
	if len(c.ring) >= c.most {
		victim = c.idle()
		c.remove(victim)
	}
	k.slot = len(c.ring)
	c.ring = append(c.ring, k)
	k.owner = runtime.AddCleanup(owner, c.drop, k)
	c.mu.Unlock()
	if victim != nil {
		victim.owner.Stop()
		victim.release()
	}
	return k
}

// idle moves the hand to a key that has not signed since its last pass. Two rounds are
// enough, however many sign meanwhile. The caller holds the lock.
func (c *keyCache) idle() *cachedKey {
	for range 2 * len(c.ring) {
		c.hand = (c.hand + 1) % len(c.ring)
		if !c.ring[c.hand].signed.Swap(false) {
			break
		}
	}
	return c.ring[c.hand]
}

// remove puts the last key of the ring into the slot of k. The caller holds the lock.
func (c *keyCache) remove(k *cachedKey) {
	last := c.ring[len(c.ring)-1]
	c.ring[k.slot], last.slot = last, k.slot
	c.ring[len(c.ring)-1] = nil
	c.ring = c.ring[:len(c.ring)-1]
	k.slot = -1
}

// drop removes a key whose owner is gone.
func (c *keyCache) drop(k *cachedKey) {
	c.mu.Lock()
	there := k.slot >= 0
	if there {
		c.remove(k)
	}
	c.mu.Unlock()
	if there {
		k.release()
	}
}
