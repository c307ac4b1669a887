package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/net/idna"

	"signpost/internal/config"
	"signpost/internal/message"
	"signpost/internal/shell"
)

// Load reads the key <dir>/<domain>/<selector>.pem. It refuses a key that other users of the
// host may read or replace. The domain may be in Unicode. The error says what to do.
func Load(dir, domain, selector string) (*Key, error) {
	cfg := Defaults()
	cfg.Dir = dir
	return cfg.load(Ref{domain, selector})
}

func (c Config) load(ref Ref) (*Key, error) {
	name, err := ref.Canonical()
	if err != nil {
		return nil, err
	}
	if owner, ok := c.borrowed(name); ok {
		return c.sharedKey(name, owner)
	}
	paths := c.paths(name, ref.Selector)
	inDir := slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
		return c.folders != nil && !c.folders[filepath.Base(filepath.Dir(path))]
	})
	for _, path := range append(credentials(name), inDir...) {
		k, err := c.loadFile(name, path)
		if !errors.Is(err, fs.ErrNotExist) {
			return k, err
		}
	}
	if others := c.otherCase(name); len(others) > 0 {
		return c.loadFile(name, others[0])
	}
	if owner := c.owner(name); owner != "" {
		return c.sharedKey(name, owner)
	}
	return nil, &missing{ref: name, path: paths[0], dir: c.Dir, near: nearSelector(paths[0])}
}

// missing is the error for a key without a file.
type missing struct {
	ref       Ref
	path, dir string
	near      string // a selector of that domain whose key is there, and that looks like a slip; or ""
}

// maxNear bounds the files that are compared for a hint.
const maxNear = 100

// nearSelector returns the selector of a file beside path whose name differs by a slip.
func nearSelector(path string) string {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return ""
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(maxNear)
	slices.Sort(names)
	wanted := strings.TrimSuffix(filepath.Base(path), ".pem")
	best, near := 3, ""
	for _, name := range names {
		selector, isKey := strings.CutSuffix(name, ".pem")
		if d := config.Distance(selector, wanted); isKey && d < best && 2*d <= len(wanted) {
			best, near = d, selector
		}
	}
	return near
}

func (m *missing) Error() string {
	command := "signpost keys generate"
	if m.dir != Defaults().Dir {
		command += " --dir " + shell.Quote(m.dir)
	}
	hint := ";"
	if m.near != "" {
		hint = fmt.Sprintf(": did you mean the selector %s, whose file is there? If not,", m.near)
	}
	return fmt.Sprintf("the key %s: there is no file %s%s make it with: %s %s %s (if DNS has a key of this name already, put its file back instead)",
		m.ref, m.path, hint, command, shell.Quote(m.ref.Domain), m.ref.Selector)
}

func (m *missing) Is(target error) bool { return target == fs.ErrNotExist }

// paths returns the files where a key may be, the preferred one first. The folder may be in
// Unicode, and the file name in the spelling of the configuration.
func (c Config) paths(name Ref, asWritten string) []string {
	folders := foldersOf(name.Domain)
	files := []string{name.Selector}
	// Only a selector that is a valid name in ASCII is safe in a path.
	if asWritten != name.Selector && message.LowerASCII(asWritten) == name.Selector {
		files = append(files, asWritten)
	}
	var paths []string
	for _, folder := range folders {
		for _, file := range files {
			paths = append(paths, filepath.Join(c.Dir, folder, file+".pem"))
		}
	}
	return paths
}

// otherCase returns the files of a key whose names differ from its selector in their case: names in
// DNS have none. The preferred one is first. A folder that cannot be listed has no such files.
func (c Config) otherCase(name Ref) []string {
	var paths []string
	for _, folder := range foldersOf(name.Domain) {
		files, _ := os.ReadDir(filepath.Join(c.Dir, folder))
		for _, file := range files {
			selector, isKey := strings.CutSuffix(file.Name(), ".pem")
			if isKey && selector != name.Selector && message.LowerASCII(selector) == name.Selector {
				paths = append(paths, filepath.Join(c.Dir, folder, file.Name()))
			}
		}
	}
	return paths
}

// filesOf returns the files of a key, the one that load takes first.
func (c Config) filesOf(name Ref) []string {
	paths := slices.DeleteFunc(c.paths(name, name.Selector), func(path string) bool {
		_, err := os.Lstat(path)
		return err != nil
	})
	return append(paths, c.otherCase(name)...)
}

// foldersOf returns the names that the folder of a domain may have.
func foldersOf(domain string) []string {
	folders := []string{domain}
	if !strings.Contains(domain, "xn--") {
		return folders
	}
	if unicode, err := idna.ToUnicode(domain); err == nil && unicode != domain {
		folders = append(folders, unicode)
	}
	return folders
}

// hasFolder reports whether a domain has a folder of keys. The names of the folders are known.
func (c Config) hasFolder(domain string) bool {
	if !strings.Contains(domain, "xn--") {
		return c.folders[domain]
	}
	return slices.ContainsFunc(foldersOf(domain), func(folder string) bool { return c.folders[folder] })
}

// loadFile reads a key from one file. If the file is missing, the error is fs.ErrNotExist.
func (c Config) loadFile(ref Ref, path string) (*Key, error) {
	wrong := func(err error) error { return fmt.Errorf("the key %s, %s: %w", ref, path, bare(err)) }
	// Without O_NONBLOCK, opening a named pipe waits for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, wrong(shut(whyNot(path, c.Dir, thisProcess())))
	case err != nil:
		return nil, wrong(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, wrong(err)
	}
	if !info.Mode().IsRegular() {
		return nil, wrong(fmt.Errorf("it is not a plain file (%s): put the key's PEM file there", info.Mode()))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, wrong(err)
	case len(text) > maxKeyFile:
		return nil, wrong(fmt.Errorf("it is larger than %d bytes, so it is not a key file", maxKeyFile))
	}
	signer, err := parseWith(text, c.readRSA(ref))
	if err != nil {
		return nil, wrong(err)
	}
	k, err := newKey(ref, signer)
	if err != nil {
		return nil, wrong(err)
	}
	k.Path = path
	if err := c.guard(k, info); err != nil {
		return nil, wrong(err)
	}
	k.Signer = c.Backend.signer(ref, k.Signer)
	return k, nil
}

// shut is the error for a key that this process may not read.
type shut string

func (s shut) Error() string { return string(s) }

func (s shut) Is(target error) bool { return target == fs.ErrPermission }

// bare removes the path from an error, for messages that already have it.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// guard checks which other users may read or replace the key.
func (c Config) guard(k *Key, info fs.FileInfo) error {
	for _, e := range c.exposures(k.Path, info) {
		problem := e.String()
		if c.InsecureMode != InsecureWarn {
			return exposed(problem + "; then make a new key, since this one may be known to others; or set keys.insecure_mode: warn")
		}
		k.Warnings = append(k.Warnings, problem)
	}
	if e, ok := widened(k.Path, info, thisProcess()); ok {
		k.Warnings = append(k.Warnings, e.String())
	}
	return nil
}

// exposed is the error for a key that other users may read or replace.
type exposed string

func (e exposed) Error() string { return string(e) }

func (e exposed) Is(target error) bool { return target == ErrExposed }

// ErrExposed says that a key is refused because other users of the host may read or replace it.
var ErrExposed = errors.New("other users may read or replace the key")

// HasFile reports whether a key has a file. The ref is canonical.
func (c Config) HasFile(ref Ref) bool { return len(c.filesOf(ref)) > 0 }
