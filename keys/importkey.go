package keys

import (
	"fmt"
)

// Import writes the text of a key file under a name, as Generate writes a new key. If the same
// key exists under this name, that is not an error. In a dry run it writes nothing, and the
// key's Path is where it would be.
func (c Config) Import(ref Ref, text []byte, dry bool) (*Key, error) {
	name, err := ref.Canonical()
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("the key %s: it is larger than %d bytes, so it is not a key file", name, maxKeyFile)
	}
	signer, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("the key %s: %w", name, err)
	}
	k, err := newKey(name, signer)
	if err != nil {
		return nil, fmt.Errorf("the key %s: %w", name, err)
	}
	k.Path = c.paths(name, name.Selector)[0]
	if files := c.filesOf(name); len(files) > 0 {
		there, err := c.loadFile(name, files[0])
		if err == nil && there.Fingerprint() != k.Fingerprint() {
			err = fmt.Errorf("%s is there already, and is another key", files[0])
		}
		return there, err
	}
	if dry {
		return k, nil
	}
	if err := writeNew(k.Path, text, accessFor(daemonGroup)); err != nil {
		return nil, explainWrite(k.Path, err)
	}
	return c.loadFile(name, k.Path)
}
