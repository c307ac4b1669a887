package keys

import (
	"errors"
	"io/fs"
	"sync"
)

// lenders has what was loaded of other domains' folders within one Open, which loads
// on all processors. A nil one keeps nothing.
type sharedKeys struct {
	mu   sync.Mutex
	keys map[Ref]func() (*Key, error)
}

// load returns what load returned when it was first called for a key.
func (l *sharedKeys) load(from Ref, load func(Ref) (*Key, error)) (*Key, error) {
	if l == nil {
		return load(from)
	}
	l.mu.Lock()
	once := l.keys[from]
	if once == nil {
		once = sync.OnceValues(func() (*Key, error) { return load(from) })
		l.keys[from] = once
	}
	l.mu.Unlock()
	return once()
}

// lentKey loads a key of another domain's folder for a domain that signs with it:
// with the same selector, under its own name. A file that several domains sign with
// is read once for all, within one Open.
func (c Config) sharedKey(name Ref, owner string) (*Key, error) {
	lender := c
	lender.Shared = nil // what is lent is not lent on
	k, err := c.shared.load(Ref{owner, name.Selector}, lender.load)
	if err != nil {
		return nil, err
	}
	return &Key{
		Domain: name.Domain, Selector: k.Selector, Algorithm: k.Algorithm, Bits: k.Bits,
		Signer: k.Signer, Path: k.Path, print: k.print,
	}, nil
}

// orLent is what load makes of the key that it found for a name, or did not find.
func (c Config) orShared(name Ref, k *Key, err error) (*Key, error) {
	owner := c.Shared[name.Domain]
	if owner == "" || owner == name.Domain || !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	return c.sharedKey(name, owner)
}
