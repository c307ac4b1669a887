package lifecycle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"signpost/keys"
)

// stateVersion is the version of the file's format. Other versions are not read.
const stateVersion = 1

// maxStateFile bounds the state file, in bytes: some 300,000 keys.
const maxStateFile = 256 << 20

// stateFile is the content of the file.
type stateFile struct {
	Version int    `json:"version"`
	Keys    []Fact `json:"keys"`
}

// ReadState returns the facts that the daemon has written, ordered by domain and selector. A
// missing file is not an error. An error says that the file cannot be used.
func ReadState(path string) ([]Fact, error) {
	known, err := readState(path)
	if known == nil || err != nil {
		return nil, err
	}
	all := make([]Fact, 0, len(known))
	for _, ref := range known.sorted() {
		all = append(all, known.of(ref))
	}
	return all, nil
}

func readState(path string) (facts, error) {
	// The folder belongs to the daemon's user, and root reads the file too: a named pipe in
	// its place must not hold root's command.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("reading the state of the keys, %s: %s", path, keys.Unreadable(path, filepath.Dir(path)))
	case err != nil:
		return nil, fmt.Errorf("reading the state of the keys: %w", err)
	}
	defer f.Close()
	var text bytes.Buffer
	if info, err := f.Stat(); err == nil {
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("the state of the keys, %s, is not a regular file: remove it", path)
		}
		text.Grow(int(min(info.Size(), maxStateFile)) + bytes.MinRead)
	}
	if _, err := text.ReadFrom(io.LimitReader(f, maxStateFile+1)); err != nil {
		return nil, fmt.Errorf("reading the state of the keys: %w", err)
	}
	known, err := parseState(text.Bytes())
	if err != nil {
		return nil, fmt.Errorf("the state of the keys, %s: %w", path, err)
	}
	return known, nil
}

// errDamaged is the error for a file with invalid content.
var errDamaged = errors.New("it is damaged: all keys are unknown until DNS has been queried again")

func parseState(text []byte) (facts, error) {
	var s stateFile
	if len(text) > maxStateFile {
		return nil, fmt.Errorf("it is larger than %d bytes: %w", maxStateFile, errDamaged)
	}
	if known, ok := parsePrinted(text); ok {
		return known, nil
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%w (%v)", errDamaged, err)
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("it has the form %d, and this version reads %d: %w", s.Version, stateVersion, errDamaged)
	}
	known := make(facts, len(s.Keys))
	for _, f := range s.Keys {
		if ref, err := f.ref().Canonical(); err != nil || ref != f.ref() || !f.sound() {
			return nil, fmt.Errorf("%w (%q of %q)", errDamaged, f.Selector, f.Domain)
		}
		known[f.ref()] = &f
	}
	return known, nil
}

// parsePrinted reads a text exactly as printState writes it, in a tenth of the time: the facts
// of many names mostly have the same text. ok is false for any other text.
func parsePrinted(text []byte) (known facts, ok bool) {
	rest, ok := bytes.CutPrefix(text, fmt.Appendf(nil, printedHead, stateVersion))
	known, read := facts{}, map[string]*Fact{}
	for more := ok; more; {
		var domain, selector, fact []byte
		if rest, ok = bytes.CutPrefix(rest, []byte("\n  "+printedDomain)); !ok {
			return nil, false
		}
		domain, rest, _ = bytes.Cut(rest, []byte(printedSelector))
		selector, rest, _ = bytes.Cut(rest, []byte(`"`))
		if fact, rest, ok = bytes.Cut(rest, []byte("\n  }")); !ok {
			return nil, false
		}
		ref := keys.Ref{Domain: string(domain), Selector: string(selector)}
		if canonical, err := ref.Canonical(); err != nil || canonical != ref {
			return nil, false
		}
		f := read[string(fact)]
		if f == nil {
			f = &Fact{}
			whole := slices.Concat([]byte(printedDomain+printedSelector+`"`), fact, []byte("}"))
			if err := json.Unmarshal(whole, f); err != nil || !f.sound() || f.ref() != (keys.Ref{}) {
				return nil, false
			}
			if len(read) >= maxTexts {
				clear(read)
			}
			read[string(fact)] = f
		}
		known[ref] = f
		rest, more = bytes.CutPrefix(rest, []byte(","))
	}
	return known, ok && string(rest) == printedEnd
}

// sound reports whether the fact is one that writeState could have written.
func (f Fact) sound() bool {
	return slices.Contains([]keys.Algorithm{keys.RSA, keys.Ed25519}, f.Algorithm) && f.Fingerprint != "" &&
		slices.Contains([]keys.Answer{keys.NoAnswer, keys.Found, keys.Absent, keys.Differs}, f.DNS) &&
		slices.Contains([]State{Pending, Published, Active, Missing, Differing, Retiring, Retired}, f.State)
}

// sorted returns the names of the keys.
func (l facts) sorted() []keys.Ref {
	return slices.SortedFunc(maps.Keys(l), keys.Ref.Compare)
}

// writeState replaces the file as a whole.
func writeState(path string, known facts) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".new-*.json")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	// It has no secrets, and any user may run `keys list`.
	err = f.Chmod(0o644)
	if err == nil {
		err = printState(f, known)
	}
	if err := errors.Join(err, f.Sync()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

// printState writes one fact after the other: the text of ten thousand takes several
// megabytes. The many names of one private key mostly have one fact in common.
func printState(to io.Writer, known facts) error {
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, printedHead, stateVersion)
	between := "\n  "
	texts := map[*Fact][]byte{}
	for _, ref := range known.sorted() {
		f := known[ref]
		if texts[f] == nil {
			if len(texts) >= maxTexts {
				clear(texts)
			}
			text, err := json.MarshalIndent(f.named(keys.Ref{}), "  ", " ")
			if err != nil {
				return err
			}
			texts[f] = text[len(printedDomain+printedSelector):]
		}
		// A canonical name has no character that JSON escapes.
		for _, part := range []string{between, printedDomain, ref.Domain, printedSelector, ref.Selector} {
			w.WriteString(part)
		}
		w.Write(texts[f])
		between = ",\n  "
	}
	w.WriteString(printedEnd)
	return w.Flush() // returns the first error of all writes
}

// The parts of the file around its facts. The names of a fact come first.
const (
	printedHead     = "{\n \"version\": %d,\n \"keys\": ["
	printedDomain   = "{\n   \"domain\": \""
	printedSelector = "\",\n   \"selector\": \""
	printedEnd      = "\n ]\n}\n"
)

// maxTexts bounds the texts of facts that are kept for other names.
const maxTexts = 256

// forgetAfter is how long a retired key without a file is known where DNS is not asked about it.
const forgetAfter = 365 * 24 * time.Hour

// forgetRetired drops retired keys whose file and record are gone.
func (w *Tracker) forgetRetired() {
	for ref, f := range w.known {
		if f.State == Retired && w.spec.gone(f.named(ref), w.now()) && !w.spec.Store.Has(ref) && !w.spec.Config.HasFile(ref) {
			delete(w.toChange(), ref)
			w.changed = true
		}
	}
}

// gone reports whether nothing of a retired key remains in DNS, as far as that can be known.
func (p *Spec) gone(f Fact, now time.Time) bool {
	switch {
	case f.Domain == keys.AnyDomain: // its names in DNS are not known
		return true
	case !p.asksDNS():
		return now.Sub(f.Unlisted) >= forgetAfter
	}
	return f.recordGone()
}

// saveInterval is the time between two writes of the state file.
func (w *Tracker) saveInterval() time.Duration {
	if w.changed {
		return savedRest * time.Duration(len(w.known))
	}
	return savedEvery
}

// save writes the state file if that is due, or if last is true. It logs an error once.
func (w *Tracker) save(last bool) {
	w.mu.Lock()
	now := w.now()
	if wait := w.saveInterval(); now.Sub(w.saved) < wait && !last {
		w.mu.Unlock()
		return
	}
	if last { // the times of use since the last round
		w.updateLastUsed(now)
	}
	path, known := w.spec.Config.State, maps.Clone(w.known)
	damaged := w.damaged
	w.changed, w.saved, w.damaged = false, now, false
	w.mu.Unlock()

	if damaged {
		_ = os.Rename(path, path+".damaged") // kept for the administrator
	}
	unsaved := notSaved(path, writeState(path, known))
	w.mu.Lock()
	defer w.mu.Unlock()
	if unsaved.Problem != "" && unsaved != w.unsaved {
		w.log.Warn("the state of the keys cannot be written, and will be lost with a restart: " + unsaved.Problem + "; " + unsaved.Remedy)
	}
	w.unsaved = unsaved
}

// notSaved explains an error of writeState. The name of the temporary file is left out: it is another one each time.
func notSaved(path string, err error) Unsaved {
	if err == nil {
		return Unsaved{}
	}
	u := Unsaved{Problem: err.Error(), Remedy: "give the daemon a folder of its own there, or set keys.state"}
	var cause syscall.Errno
	if errors.As(err, &cause) {
		u.Problem = path + ": " + cause.Error()
	}
	switch folder := filepath.Dir(path); cause {
	case syscall.ENOSPC, syscall.EDQUOT:
		u.Remedy = "free space there: df -h " + folder + ", df -i " + folder
	case syscall.EROFS:
		u.Remedy = "make the file system of " + folder + " writable (ReadWritePaths= of the unit counts, too), or set keys.state"
	}
	return u
}

// syncFolder makes a new name in a folder survive a power failure.
func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
