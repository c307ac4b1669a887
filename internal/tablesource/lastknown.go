package tablesource

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lastKnown is the file that keeps a table for the time when its database is down.
func (d database) lastKnown(dir string) string {
	sum := sha256.Sum256([]byte(d.address + "\n" + d.query))
	return filepath.Join(dir, hex.EncodeToString(sum[:8])+".table")
}

// fetched is the last known content of a database's table.
type fetched struct {
	database database
	text     []byte
	digest   [sha256.Size]byte
	live     bool // from the database itself, not from before or a file
}

// fetch queries the table. If that fails, it returns the content of before, else of the file in
// dir; trouble has the reason and the effect.
func (d database) fetch(ctx context.Context, before []fetched, dir string) (f fetched, trouble string) {
	text, err := d.read(ctx)
	if err == nil {
		return fetched{d, text, sha256.Sum256(text), true}, ""
	}
	err = withoutAddress(err)
	for _, f := range before {
		if f.database == d && (f.live || len(f.text) > 0) {
			f.live = false
			return f, fmt.Sprintf("signer.tables %s: %v; what was last known of it goes on signing", d, err)
		}
	}
	path := d.lastKnown(dir)
	kept, keptErr := readKept(path)
	switch {
	case keptErr == nil:
		since := "what was last known of it"
		if info, err := os.Stat(path); err == nil {
			since = "what was known of it on " + info.ModTime().UTC().Format(time.RFC3339)
		}
		trouble = fmt.Sprintf("%v; %s goes on signing", err, since)
	case errors.Is(keptErr, fs.ErrNotExist):
		trouble = fmt.Sprintf("%v; nothing was known of it before, so its domains go unsigned until it answers", err)
	default:
		trouble = fmt.Sprintf("%v; what was last known of it cannot be read: %v", err, keptErr)
	}
	return fetched{d, kept, sha256.Sum256(kept), false}, fmt.Sprintf("signer.tables %s: %s", d, trouble)
}

// readKept reads a kept table. The folder belongs to the daemon's user, and root reads it too:
// only a regular file is read, no named pipe.
func readKept(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: remove it", path)
	}
	return io.ReadAll(f)
}

// Keep writes the content of the databases into files in dir, for a start while they are down.
// Only the daemon may call it: dir belongs to the daemon.
func (t Tables) Keep(dir string) error {
	var errs []error
	for _, f := range t.fetched {
		if !f.live {
			continue
		}
		if old, err := readKept(f.database.lastKnown(dir)); err == nil && bytes.Equal(old, f.text) {
			continue
		}
		errs = append(errs, keepFile(f.database.lastKnown(dir), f.text))
	}
	return errors.Join(errs...)
}

func keepFile(path string, text []byte) error {
	wrong := func(err error) error {
		return fmt.Errorf("what a database gave cannot be kept for when it is down: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return wrong(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".table-*")
	if err != nil {
		return wrong(err)
	}
	defer os.Remove(f.Name()) // after a successful rename there is no such file
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return wrong(err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return wrong(err)
	}
	return nil
}

// HasDatabases reports whether a table comes from a database.
func (t Tables) HasDatabases() bool { return len(t.fetched) > 0 }

// Changed queries the databases and reports whether one has other rows than the Tables. A
// database that does not answer has not changed.
func (t Tables) Changed(ctx context.Context) bool {
	for _, f := range t.fetched {
		if text, err := f.database.read(ctx); err == nil && (sha256.Sum256(text) != f.digest || !f.live) {
			return true
		}
	}
	return false
}
