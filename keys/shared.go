package keys

import (
	"sync"
)

// sharedKeys are the keys of other domains' folders that one Open has loaded. Its method may be
// used concurrently. A nil value keeps nothing.
type sharedKeys struct {
	mu   sync.Mutex
	keys map[Ref]func() (*Key, error)
}

// load returns the result of the first call for each key.
func (s *sharedKeys) load(c *Config, from Ref) (*Key, error) {
	if s == nil {
		return c.load(from)
	}
	s.mu.Lock()
	once := s.keys[from]
	if once == nil {
		cfg := *c
		once = sync.OnceValues(func() (*Key, error) { return cfg.load(from) })
		s.keys[from] = once
	}
	s.mu.Unlock()
	return once()
}

// owner is the domain from whose folder a key comes if there is none in its own; "": none.
func (c Config) owner(name Ref) string {
	if c.Shared == nil {
		return ""
	}
	if owner := c.Shared(name.Domain); owner != name.Domain {
		return owner
	}
	return ""
}

// borrowed is owner for a key that is certainly not in a folder of its own: many thousand
// domains may share the keys of a few.
func (c Config) borrowed(name Ref) (owner string, ok bool) {
	if owner = c.owner(name); owner == "" || c.folders == nil || credentialsFolder() != "" {
		return "", false
	}
	return owner, !c.hasFolder(name.Domain)
}

// ownersKey loads a key from the folder of owner. One Open reads each file once.
func (c Config) ownersKey(owner, selector string) (*Key, error) {
	c.Shared = nil // an owner cannot use the keys of a third domain
	return c.shared.load(&c, Ref{owner, selector})
}

// nameAs makes into the same key of another domain.
func (k *Key) nameAs(into *Key, domain string) {
	into.Domain, into.Selector, into.Private = domain, k.Selector, k.Private
}

// sharedKey returns the key with the same selector from the folder of owner, for a domain that
// signs with it under its own name.
func (c Config) sharedKey(name Ref, owner string) (*Key, error) {
	k, err := c.ownersKey(owner, name.Selector)
	if err != nil {
		return nil, err
	}
	named := &Key{}
	k.nameAs(named, name.Domain)
	return named, nil
}
