package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"

	"signpost/internal/control"
	"signpost/internal/message"
	"signpost/keys"
)

func hasUser(name string) bool {
	_, err := user.Lookup(name)
	return err == nil
}

// findKeys lists the keys of each domain: those that the configuration lists, or those that
// will be made.
func (p *Plan) findKeys() error {
	files, err := p.running.Keys.Files()
	if err != nil {
		return p.unreadable(os.Geteuid(), err)
	}
	for _, domain := range p.domains {
		listed := p.listedKeys(domain, files)
		if !p.hasEntry(domain) && len(listed) == 0 {
			if listed, err = p.newKeys(domain); err != nil {
				return err
			}
			if !p.New {
				p.Unlisted = append(p.Unlisted, entryLines(domain, listed)...)
			}
		}
		p.Keys = append(p.Keys, listed...)
	}
	return nil
}

// hasEntry reports whether the configuration has an entry of the domain's own.
func (p *Plan) hasEntry(domain string) bool {
	for _, d := range p.running.Signer.Domains {
		if name, ok := message.DomainToASCII(d.Domain); ok && name == domain {
			return true
		}
	}
	return false
}

// listedKeys are the keys that the configuration has for a domain.
func (p *Plan) listedKeys(domain string, files []keys.Ref) []Key {
	var list []Key
	for _, l := range p.running.Signer.Listed(files) {
		if l.Domain == domain {
			k := Key{Domain: domain, Selector: l.Selector, There: true}
			if loaded, err := p.running.Keys.Key(domain, l.Selector); err == nil {
				k.describe(loaded)
			}
			list = append(list, k)
		}
	}
	return list
}

func (k *Key) describe(loaded *keys.Key) {
	k.Algorithm, k.Path = loaded.Algorithm, loaded.Path
	k.Name, k.Value, k.Zone = loaded.RecordName(), loaded.Record(), loaded.ZoneLine()
}

// newKeys are the keys that a domain without an entry gets. A run that was interrupted may
// have made them.
func (p *Plan) newKeys(domain string) ([]Key, error) {
	list := []Key{{Domain: domain, Selector: fmt.Sprintf("s%da", p.options.Now.Year()), Algorithm: keys.RSA}}
	if !p.options.RSAOnly {
		list = append(list, Key{Domain: domain, Selector: fmt.Sprintf("e%da", p.options.Now.Year()), Algorithm: keys.Ed25519})
	}
	for i := range list {
		k := &list[i]
		loaded, err := keys.Load(p.running.Keys.Dir, domain, k.Selector)
		switch {
		case err == nil && loaded.Algorithm != k.Algorithm:
			return nil, &control.Error{Problem: fmt.Sprintf("%s is a key for %s", loaded.Path, loaded.Algorithm), Remedy: "list it in signer.domains yourself, or move it away"}
		case err == nil:
			k.There = true
			k.describe(loaded)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, &control.Error{Problem: err.Error(), Remedy: "mend the key, or move it away"}
		}
	}
	return list, nil
}

// makeKey makes a key that is not there.
func (p *Plan) makeKey(k *Key) error {
	if k.There {
		return nil
	}
	made, err := keys.Generate(p.running.Keys.Dir, k.Domain, k.Selector, k.Algorithm, 0)
	if err != nil {
		return err
	}
	k.describe(made)
	return nil
}
