package keys

import (
	"errors"
	"io/fs"
	"sync"
)

// sharedKeys are the keys of other domains' folders that one Open has loaded. Its method may be
// used concurrently. A nil value keeps nothing.
type sharedKeys struct {
	mu   sync.Mutex
	keys map[Ref]func() (*Key, error)
}

// load returns the result of the first call for each key.
func (s *sharedKeys) load(from Ref, load func(Ref) (*Key, error)) (*Key, error) {
	if s == nil {
		return load(from)
	}
	s.mu.Lock()
	once := s.keys[from]
	if once == nil {
		once = sync.OnceValues(func() (*Key, error) { return load(from) })
		s.keys[from] = once
	}
	s.mu.Unlock()
	return once()
}

// sharedKey loads the key with the same selector from the folder of owner, for a domain that
// signs with it under its own name. One Open reads each file once.
func (c Config) sharedKey(name Ref, owner string) (*Key, error) {
	owned := c
	owned.Shared = nil // an owner cannot use the keys of a third domain
	k, err := c.shared.load(Ref{owner, name.Selector}, owned.load)
	if err != nil {
		return nil, err
	}
	return &Key{
		Domain: name.Domain, Selector: k.Selector, Algorithm: k.Algorithm, Bits: k.Bits,
		Signer: k.Signer, Path: k.Path, print: k.print,
	}, nil
}

// orShared replaces the error for a missing key by the key of the domain that shares its keys.
func (c Config) orShared(name Ref, k *Key, err error) (*Key, error) {
	owner := c.Shared[name.Domain]
	if owner == "" || owner == name.Domain || !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	return c.sharedKey(name, owner)
}
