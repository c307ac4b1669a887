package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"signpost/internal/message"
	"signpost/internal/openssl"
)

// Store has the keys of one generation of the configuration. It is immutable and safe for
// concurrent use.
type Store struct {
	keys    map[Ref]*Key
	order   []*Key
	standby map[Ref]*Key
	// troubles are warnings about the folder, and about standby keys that could not be loaded.
	troubles []string
	// lost are listed keys that could not be loaded, with the reasons; see Config.MayFail.
	lost      map[Ref]error
	lostOrder []Ref
}

// Open loads the keys of wanted. A key that is missing or refused is an error, unless
// cfg.MayFail allows it; the error lists every fault, one on each line. standby are keys that
// the configuration no longer lists, but that may have to sign until their successors are
// published. If one of them cannot be loaded, that is a warning.
func Open(cfg Config, wanted []Ref, standby ...Ref) (*Store, error) {
	s := &Store{keys: make(map[Ref]*Key, len(wanted)), order: make([]*Key, 0, len(wanted)), standby: make(map[Ref]*Key, len(standby))}
	if len(wanted) == 0 {
		return s, nil
	}
	if cfg.GiveWay == nil {
		cfg.GiveWay = func() {}
	}
	cfg.memory = openssl.NewMemory()
	cfg.surroundings = newSurroundings(thisProcess())
	cfg.shared = &sharedKeys{keys: make(map[Ref]func() (*Key, error))}
	if err := cfg.reachable(); err != nil {
		return nil, err
	}
	if err := cfg.Backend.check(); err != nil {
		return nil, err
	}
	var faults, lacking faults
	ofAllDomains := func(ref Ref) bool { return ref.Domain == AnyDomain }
	preloaded := cfg.preload(wanted, ofAllDomains)
	for i, ref := range wanted {
		cfg.GiveWay()
		if ofAllDomains(ref) {
			for _, f := range s.addAny(cfg, ref) {
				faults.add(s.lose(cfg, f))
			}
			continue
		}
		err := s.add(preloaded, i)
		if err != nil && cfg.Optional[ref] {
			lacking.add(fmt.Errorf("a key does not sign: %w", err))
			continue
		}
		if err != nil {
			faults.add(s.lose(cfg, fault{ref, err}))
		}
	}
	if len(faults.errs) > 0 {
		return nil, faults.join()
	}
	if len(lacking.errs) > 0 {
		s.troubles = lacking.lines()
	}
	s.troubles = append(s.troubles, otherMembers()...)
	if warning := cfg.ownedByDaemon(thisProcess()); warning != "" {
		s.troubles = append(s.troubles, warning)
	}
	for _, ref := range standby {
		k, err := cfg.load(ref)
		if err != nil {
			s.troubles = append(s.troubles, fmt.Sprintf("a key that is retiring cannot stand in for its successor any more: %s", standbyFault(err)))
			continue
		}
		s.standby[ref] = k
	}
	return s, nil
}

// standbyFault says why a former key could not be loaded. A file that is missing is not to be
// made: another key would not have the record that is in DNS.
func standbyFault(err error) string {
	if m := (*missing)(nil); errors.As(err, &m) {
		return fmt.Sprintf("the key %s: there is no file %s (that of another domain's folder, with keys_of, is used while an entry says so)", m.ref, m.path)
	}
	return err.Error()
}

// Standby returns a loaded key that the configuration does not list, or nil. An entry for "*"
// may have loaded a key of a former list as well.
func (s *Store) Standby(ref Ref) *Key {
	if k := s.standby[ref]; k != nil {
		return k
	}
	return s.keys[ref]
}

// Has reports whether a listed key is loaded. The ref is canonical, as those of Refs.
func (s *Store) Has(ref Ref) bool { return s.keys[ref] != nil }

// NewStore returns a store of keys that are already loaded, and of the reasons why others could
// not be loaded.
func NewStore(listed, standby map[Ref]*Key, lost map[Ref]error) *Store {
	return &Store{keys: listed, standby: standby, lost: lost}
}

// reachable returns one error for a key folder that is missing or unreadable, instead of one
// for each key.
func (c Config) reachable() error {
	_, err := os.ReadDir(c.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && credentialsFolder() != "":
		return nil // all keys may be systemd credentials
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the key folder %s is not there: set keys.dir, or make the first key with signpost keys generate", c.Dir)
	case err != nil && !errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the key folder %s: %w", c.Dir, bare(err))
	}
	return nil // the right to list the folder is not needed
}

// add adds the key i of those that were loaded, unless the store has it.
func (s *Store) add(from *preloaded, i int) error {
	if s.keys[from.wanted[i].name] != nil {
		return nil
	}
	k, err := from.load(i)
	if err != nil {
		return err
	}
	s.keys[k.Ref()] = k
	s.order = append(s.order, k)
	return nil
}

// addAny loads the keys with a selector of all domains, and of the folder "*". At least one
// has to exist.
func (s *Store) addAny(cfg Config, ref Ref) []fault {
	if _, err := ref.Canonical(); err != nil {
		return []fault{{ref, err}}
	}
	domains, err := cfg.domainsOf(ref.Selector)
	if err != nil {
		return []fault{{ref, err}}
	}
	var all []Ref
	for _, domain := range domains {
		wanted := Ref{domain, ref.Selector}
		if _, err := wanted.Canonical(); err == nil { // skips lost+found and the like
			all = append(all, wanted)
		}
	}
	var faults []fault
	found := false
	preloaded := cfg.preload(all, func(Ref) bool { return false })
	for i, wanted := range all {
		switch err := s.add(preloaded, i); {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			continue
		case err != nil:
			faults = append(faults, fault{wanted, err})
		}
		found = true
	}
	if !found {
		return []fault{{ref, fmt.Errorf(`the selector %s for domain "*": no folder in %s has a file %s.pem; make one with: signpost keys generate DOMAIN %s`, ref.Selector, cfg.Dir, ref.Selector, ref.Selector)}}
	}
	return faults
}

// domainsOf returns the domains that may have a key with this selector, by folders and systemd
// credentials.
func (c Config) domainsOf(selector string) ([]string, error) {
	folders, err := os.ReadDir(c.Dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("the key folder: " + whyNot(c.Dir, c.Dir, thisProcess()))
	case errors.Is(err, fs.ErrNotExist) && credentialsFolder() != "":
	case err != nil:
		return nil, fmt.Errorf("the key folder %s: %w", c.Dir, bare(err))
	}
	var domains []string
	for _, folder := range folders {
		domains = append(domains, folder.Name())
	}
	for _, ref := range credentialRefs() {
		if ref.Selector == message.LowerASCII(selector) {
			domains = append(domains, ref.Domain)
		}
	}
	return domains, nil
}

// Lookup returns the key of a domain and selector, in any spelling. The keys of the folder "*"
// have the domain "*".
func (s *Store) Lookup(domain, selector string) (*Key, bool) {
	if k, ok := s.keys[Ref{domain, selector}]; ok {
		return k, true
	}
	name, err := Ref{domain, selector}.Canonical()
	if err != nil {
		return nil, false
	}
	k, ok := s.keys[name]
	return k, ok
}

// InOrder returns Lookup for many keys, which is faster while they come in the order of Keys.
func (s *Store) InOrder() func(domain, selector string) (*Key, bool) {
	next := 0
	return func(domain, selector string) (*Key, bool) {
		if next < len(s.order) {
			if k := s.order[next]; k.Domain == domain && k.Selector == selector {
				next++
				return k, true
			}
		}
		return s.Lookup(domain, selector)
	}
}

// Keys returns the keys in the order of wanted.
func (s *Store) Keys() []*Key { return slices.Clone(s.order) }

// Refs returns the names of the keys in the order of wanted, in A-labels, then those of lost
// keys.
func (s *Store) Refs() []Ref {
	refs := make([]Ref, 0, len(s.order)+len(s.lostOrder))
	for _, k := range s.order {
		refs = append(refs, k.Ref())
	}
	return append(refs, s.lostOrder...)
}

// Warnings returns the warnings of all keys, one on each line, with the name of the key.
func (s *Store) Warnings() []string {
	lines := slices.Clone(s.troubles)
	for _, k := range s.order {
		for _, w := range k.Warnings {
			lines = append(lines, fmt.Sprintf("the key %s, %s: %s", k.Ref(), k.Path, w))
		}
	}
	return lines
}

// faults collects errors. It keeps the first fifty and counts the others.
type faults struct {
	errs []error
	more int
}

func (f *faults) add(errs ...error) {
	const shown = 50
	for _, err := range errs {
		switch {
		case err == nil:
		case len(f.errs) < shown:
			f.errs = append(f.errs, err)
		default:
			f.more++
		}
	}
}

func (f *faults) lines() []string {
	if len(f.errs) == 0 {
		return nil
	}
	return strings.Split(f.join().Error(), "\n")
}

func (f *faults) join() error {
	if f.more > 0 {
		f.errs = append(f.errs, fmt.Errorf("and %d keys more", f.more))
	}
	return errors.Join(f.errs...)
}
