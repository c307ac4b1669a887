package keys

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
)

// The daemon's user, the group by which it reads the keys of root, and its home folder.
const (
	daemonUser  = "signpost"
	daemonGroup = "signpost"
	home        = "/var/lib/signpost"
)

// Generate makes a key and writes it to <dir>/<domain>/<selector>.pem. It makes missing folders.
// It never overwrites a file, not even if two processes run at once: the error is then
// fs.ErrExist. bits is for RSA; 0 means 2048. If root makes the key, the group signpost may
// read it, if there is one; else only the user who makes it.
func Generate(dir, domain, selector string, alg Algorithm, bits int) (*Key, error) {
	return generate(dir, Ref{domain, selector}, alg, bits, daemonGroup)
}

func generate(dir string, ref Ref, alg Algorithm, bits int, group string) (*Key, error) {
	name, err := ref.Canonical()
	if err != nil {
		return nil, err
	}
	signer, err := newSigner(alg, bits)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, fmt.Errorf("writing out the new key: %w", err)
	}
	cfg := Defaults()
	cfg.Dir = dir
	path := cfg.paths(name, name.Selector)[0]
	if err := cfg.unused(name); err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := writeNew(path, text, accessFor(group)); err != nil {
		return nil, explainWrite(path, err)
	}
	return cfg.loadFile(name, path)
}

func newSigner(alg Algorithm, bits int) (crypto.Signer, error) {
	switch alg {
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case RSA:
		if bits == 0 {
			bits = goodRSABits
		}
		if err := alg.CheckBits(bits); err != nil {
			return nil, err
		}
		return rsa.GenerateKey(rand.Reader, bits)
	}
	return nil, fmt.Errorf("%q is no algorithm of DKIM: choose %s or %s", alg, RSA, Ed25519)
}

// CheckBits returns an error if no key of this length is made. Keys of Ed25519 have one length.
func (a Algorithm) CheckBits(bits int) error {
	// RFC 8301 §3.2
	if a == RSA && (bits < goodRSABits || bits > wideRSABits || bits%8 != 0) {
		return fmt.Errorf("%d bits: make an RSA key of %d bits (up to %d, a multiple of 8)", bits, goodRSABits, wideRSABits)
	}
	return nil
}

// unused returns an error if one of the files where Load looks exists.
func (c Config) unused(name Ref) error {
	if files := c.filesOf(name); len(files) > 0 {
		return &existing{files[0]}
	}
	return nil
}

// existing is the error for a key that would overwrite another.
type existing struct{ path string }

func (e *existing) Error() string {
	return fmt.Sprintf("there is a key %s already: choose a new selector, since a key in use is never overwritten", e.path)
}

func (e *existing) Is(target error) bool { return target == fs.ErrExist }

// accessFor is the access to new files of this process: if it is root, the group may read.
func accessFor(group string) access {
	own := access{file: 0o600, folder: 0o700, gid: -1}
	if os.Geteuid() != 0 {
		return own
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return own
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return own
	}
	return access{file: 0o640, folder: 0o750, gid: gid}
}

func explainWrite(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrExist):
		return &existing{path}
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("writing the key %s: %w; run this as root, or choose a folder of your own with --dir", path, err)
	}
	return fmt.Errorf("writing the key %s: %w", path, err)
}
