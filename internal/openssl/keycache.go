package openssl

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// maxTaken bounds how many private keys are in a library's memory at once, beside
// those that are signing at the moment. Each takes about 7 KB there, which Go's
// garbage collector does not see; as octets a key waits in a sixth of that.
const maxTaken = 1024

// takenKeys are the keys in a library's memory, of all generations of the
// configuration. Where there are too many, one goes that has not signed since the
// hand last came by: the clock, or second chance, algorithm. Who signs with a key that
// is there takes no lock.
type takenKeys struct {
	most int
	mu   sync.Mutex
	ring []*takenKey
	hand int
}

// takenKey is one key there. The ring holds it, and every signature while it is made;
// who lets go last frees it.
type takenKey struct {
	foreignKey
	holders atomic.Int32
	signed  atomic.Bool // since the hand came by
	place   int         // in the ring; -1: no longer
	owner   runtime.Cleanup
}

// hold keeps the key from being freed until letGo. It returns false where it has
// been freed already.
func (k *takenKey) hold() bool {
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

func (k *takenKey) letGo() {
	if k.holders.Add(-1) == 0 {
		k.free()
	}
}

// add takes in a key that its owner holds already. It is dropped with the owner at the
// latest.
func (t *takenKeys) add(key foreignKey, owner *Signer) *takenKey {
	k := &takenKey{foreignKey: key}
	k.holders.Store(2)
	k.signed.Store(true)
	t.mu.Lock()
	var victim *takenKey
	if len(t.ring) >= t.most {
		victim = t.idle()
		t.remove(victim)
	}
	k.place = len(t.ring)
	t.ring = append(t.ring, k)
	k.owner = runtime.AddCleanup(owner, t.drop, k)
	t.mu.Unlock()
	if victim != nil {
		victim.owner.Stop()
		victim.letGo()
	}
	return k
}

// idle moves the hand to a key that has not signed since it last came by. Twice
// round it finds one, whoever signs meanwhile. The caller holds the lock.
func (t *takenKeys) idle() *takenKey {
	for range 2 * len(t.ring) {
		t.hand = (t.hand + 1) % len(t.ring)
		if !t.ring[t.hand].signed.Swap(false) {
			break
		}
	}
	return t.ring[t.hand]
}

// remove puts the last key of the ring into the place of k. The caller holds the lock.
func (t *takenKeys) remove(k *takenKey) {
	last := t.ring[len(t.ring)-1]
	t.ring[k.place], last.place = last, k.place
	t.ring[len(t.ring)-1] = nil
	t.ring = t.ring[:len(t.ring)-1]
	k.place = -1
}

// drop lets go of a key whose owner is gone.
func (t *takenKeys) drop(k *takenKey) {
	t.mu.Lock()
	there := k.place >= 0
	if there {
		t.remove(k)
	}
	t.mu.Unlock()
	if there {
		k.letGo()
	}
}
