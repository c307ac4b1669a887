package openssl

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// A countedLibrary counts the keys that a library has, and holds it to the rules of
// privateKey.
type countedLibrary struct {
	library
	t              testing.TB
	bound          *keyCache
	here, most, in atomic.Int64 // keys now, at most, and taken in all
}

type countedKey struct {
	privateKey
	lib   *countedLibrary
	using atomic.Int64
	gone  atomic.Bool
}

func (l *countedLibrary) cache() *keyCache { return l.bound }

func (l *countedLibrary) newPrivateKey(pkcs1 []byte) (privateKey, error) {
	k, err := l.library.newPrivateKey(pkcs1)
	if err != nil {
		return nil, err
	}
	l.in.Add(1)
	here := l.here.Add(1)
	for most := l.most.Load(); here > most && !l.most.CompareAndSwap(most, here); most = l.most.Load() {
	}
	return &countedKey{privateKey: k, lib: l}, nil
}

func (k *countedKey) sign(hash []byte) ([]byte, error) {
	k.using.Add(1)
	defer k.using.Add(-1)
	if k.gone.Load() {
		k.lib.t.Error("a key that was freed is signed with")
	}
	return k.privateKey.sign(hash)
}

func (k *countedKey) free() {
	if k.gone.Swap(true) || k.using.Load() != 0 {
		k.lib.t.Error("a key is freed twice, or while it signs")
	}
	k.lib.here.Add(-1)
	k.privateKey.free()
}

// libraries are those that this build and machine have, with room for some keys.
func libraries(t testing.TB, room int) map[string]*countedLibrary {
	all := map[string]*countedLibrary{"test": {library: &testLibrary{}, t: t}}
	if lib, err := Load(); err == nil {
		all["openssl"] = &countedLibrary{library: lib.library, t: t}
	}
	for _, l := range all {
		l.bound = &keyCache{most: room}
	}
	return all
}

func someKeys(t testing.TB, n int) []*rsa.PrivateKey {
	t.Helper()
	all := make([]*rsa.PrivateKey, n)
	for i := range all {
		var err error
		if all[i], err = rsa.GenerateKey(rand.Reader, minBits); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func signAndVerify(t testing.TB, s *Signer, what string) {
	t.Helper()
	digest := sha256.Sum256([]byte(what))
	signature, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err == nil {
		err = rsa.VerifyPKCS1v15(s.public, crypto.SHA256, digest[:], signature)
	}
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func TestALibraryHasNoMoreKeysThanThereIsRoomFor(t *testing.T) {
	const room, signers, each = 4, 8, 40
	keys := someKeys(t, 3*room)
	for name, lib := range libraries(t, room) {
		t.Run(name, func(t *testing.T) {
			log := catchLog(t)
			var all []*Signer
			for i, k := range keys {
				all = append(all, newTestSigner(Name{"example.com", fmt.Sprint("s", i)}, k, lib))
			}
			var running sync.WaitGroup
			for g := range signers {
				running.Go(func() {
					for i := range each {
						at := (g + i*(g+1)) % len(all)
						signAndVerify(t, all[at], fmt.Sprint("signature ", i, " of signer ", g, " with key ", at))
					}
				})
			}
			running.Wait()
			if most := lib.most.Load(); most > room+signers {
				t.Errorf("there were %d keys at once: the bound is %d and those that sign", most, room)
			}
			if here := lib.here.Load(); here != room || lib.bound.ring.Len() != room {
				t.Errorf("%d keys stay, %d of them known; want %d", here, lib.bound.ring.Len(), room)
			}
			if log.Len() > 0 {
				t.Errorf("fell back: %s", log)
			}
			runtime.KeepAlive(all)
		})
	}
}

func TestAKeyThatMadeRoomSignsAgain(t *testing.T) {
	keys := someKeys(t, 3)
	for name, lib := range libraries(t, 2) {
		t.Run(name, func(t *testing.T) {
			log := catchLog(t)
			var s []*Signer
			for _, k := range keys {
				s = append(s, newTestSigner(Name{}, k, lib))
			}
			for round := range 4 {
				for i := range s {
					signAndVerify(t, s[i], fmt.Sprint("key ", i, " in round ", round))
				}
			}
			if taken := lib.in.Load(); taken <= int64(len(s)) || log.Len() > 0 {
				t.Errorf("%d keys were taken, none of them anew; log %q", taken, log)
			}
		})
	}
}

func TestAKeyThatSignsOftenStays(t *testing.T) {
	const room = 4
	keys := someKeys(t, 1)
	lib := &countedLibrary{library: &testLibrary{}, t: t, bound: &keyCache{most: room}}
	busy := newTestSigner(Name{}, keys[0], lib)
	signAndVerify(t, busy, "first")
	there := busy.loaded.Load()
	for i := range 10 * room {
		signAndVerify(t, newTestSigner(Name{}, keys[0], lib), fmt.Sprint("another ", i))
		signAndVerify(t, busy, fmt.Sprint("again ", i))
	}
	if busy.loaded.Load() != there {
		t.Error("it was taken anew")
	}
}

func TestKeysOfAGenerationThatIsGoneAreFreed(t *testing.T) {
	keys := someKeys(t, 1)
	for name, lib := range libraries(t, 100) {
		t.Run(name, func(t *testing.T) {
			stays := newTestSigner(Name{}, keys[0], lib)
			signAndVerify(t, stays, "it stays")
			for i := range 10 {
				signAndVerify(t, newTestSigner(Name{}, keys[0], lib), fmt.Sprint("it goes ", i))
			}
			for lib.here.Load() > 1 { // the test's time limit ends it
				runtime.GC()
				runtime.Gosched()
			}
			signAndVerify(t, stays, "again")
			if lib.in.Load() != 11 || lib.here.Load() != 1 {
				t.Errorf("%d keys taken, %d there", lib.in.Load(), lib.here.Load())
			}
		})
	}
}

// BenchmarkSignAnew is a signature whose key has to be taken into the library first.
func BenchmarkSignAnew(b *testing.B) {
	lib, err := Load()
	if err != nil {
		b.Skip(err)
	}
	counted := &countedLibrary{library: lib.library, t: b, bound: &keyCache{most: 1}}
	key := rsaKey(b, "rsa2048-pkcs8.pem")
	s := []*Signer{newTestSigner(Name{}, key, counted), newTestSigner(Name{}, key, counted)}
	digest := sha256.Sum256(nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s[i%2].Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}
