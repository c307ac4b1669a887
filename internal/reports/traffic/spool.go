package traffic

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// spool keeps batches in files while PostgreSQL does not answer, one a file, oldest first. A
// process that is killed leaves them to the next one.
type spool struct {
	dir   string
	most  int64 // octets
	files []spooled
	bytes int64
	next  int64 // number of the next file
}

type spooled struct {
	name string
	size int64
}

const (
	// maxSpool bounds the spool, in octets.
	maxSpool = 64 << 20
	// maxSpooledFile bounds one file, which root's hands did not write.
	maxSpooledFile = 32 << 20
	spoolSuffix    = ".batch"
)

// spoolFile is what a file has: a batch with the fields of its rows, which later versions can read.
type spoolFile struct {
	Writer   []byte
	Number   int64
	Rows     []keyedRow
	Outbound []keyedOutbound
}

func fileOf(b *batch) *spoolFile {
	f := &spoolFile{Writer: b.Writer, Number: b.Number, Outbound: b.Outbound}
	for _, c := range b.Rows {
		f.Rows = append(f.Rows, keyedRow{c.key, c.row()})
	}
	return f
}

// batch is nil for a file that no spool has written.
func (f *spoolFile) batch() *batch {
	if len(f.Writer) < 4 || slices.ContainsFunc(f.Outbound, func(o keyedOutbound) bool { return o.Outbound == nil }) {
		return nil
	}
	b := &batch{Writer: f.Writer, Number: f.Number, Outbound: f.Outbound}
	for _, r := range f.Rows {
		if r.Row == nil {
			return nil
		}
		b.Rows = append(b.Rows, counterOf(r.Row))
	}
	b.sort()
	return b
}

var errSpoolFull = errors.New("the spool is full")

// openSpool lists what is there. A folder that does not exist is empty.
func openSpool(dir string, most int64) (*spool, error) {
	s := &spool{dir: dir, most: most}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if !strings.HasSuffix(e.Name(), spoolSuffix) {
			_ = os.Remove(filepath.Join(dir, e.Name())) // a file that was not finished
			continue
		}
		s.files = append(s.files, spooled{e.Name(), info.Size()})
		s.bytes += info.Size()
	}
	slices.SortFunc(s.files, func(a, b spooled) int { return strings.Compare(a.name, b.name) })
	if n := len(s.files); n > 0 {
		_, _ = fmt.Sscanf(s.files[n-1].name, "%016x", &s.next) // else 0: the order among writers does not matter
		s.next++
	}
	return s, nil
}

func (s *spool) empty() bool { return len(s.files) == 0 }

// add writes a batch as a file.
func (s *spool) add(b *batch) error {
	var text bytes.Buffer
	if err := gob.NewEncoder(&text).Encode(fileOf(b)); err != nil {
		return err
	}
	if s.bytes+int64(text.Len()) > s.most {
		return errSpoolFull
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	name := fmt.Sprintf("%016x-%s%s", s.next, hex.EncodeToString(b.Writer[:4]), spoolSuffix)
	unfinished := filepath.Join(s.dir, name+".new")
	if err := os.WriteFile(unfinished, text.Bytes(), 0o600); err != nil {
		_ = os.Remove(unfinished)
		return err
	}
	if err := os.Rename(unfinished, filepath.Join(s.dir, name)); err != nil {
		return err
	}
	s.next++
	s.files = append(s.files, spooled{name, int64(text.Len())})
	s.bytes += int64(text.Len())
	return nil
}

// first reads the oldest batch.
func (s *spool) first() (*batch, error) {
	path := filepath.Join(s.dir, s.files[0].name)
	text, err := readRegular(path)
	if err != nil {
		return nil, err
	}
	f := &spoolFile{}
	if err := gob.NewDecoder(bytes.NewReader(text)).Decode(f); err != nil {
		return nil, fmt.Errorf("%s is no batch of counters: %w", path, err)
	}
	b := f.batch()
	if b == nil {
		return nil, fmt.Errorf("%s is no batch of counters", path)
	}
	return b, nil
}

func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSpooledFile {
		return nil, fmt.Errorf("%s is not one of our files", path)
	}
	return io.ReadAll(io.LimitReader(f, maxSpooledFile))
}

// remove removes the oldest batch.
func (s *spool) remove() error {
	f := s.files[0]
	s.files = s.files[1:]
	s.bytes -= f.size
	return os.Remove(filepath.Join(s.dir, f.name))
}
