package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Key loads one key; see Load.
func (c Config) Key(domain, selector string) (*Key, error) { return c.load(Ref{domain, selector}) }

// Files returns the names of all keys that have a file, by domain and selector.
func (c Config) Files() ([]Ref, error) {
	folders, err := os.ReadDir(c.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return credentialRefs(), nil
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("the key folder: " + whyNot(c.Dir, c.Dir, thisProcess()))
	case err != nil:
		return nil, fmt.Errorf("the key folder %s: %w", c.Dir, bare(err))
	}
	refs := credentialRefs()
	for _, folder := range folders {
		files, err := os.ReadDir(c.Dir + "/" + folder.Name())
		if err != nil {
			continue // not a folder, or not readable
		}
		for _, file := range files {
			selector, pem := strings.CutSuffix(file.Name(), ".pem")
			if ref, err := (Ref{folder.Name(), selector}).Canonical(); pem && err == nil {
				refs = append(refs, ref)
			}
		}
	}
	slices.SortFunc(refs, Ref.Compare)
	return slices.Compact(refs), nil
}
