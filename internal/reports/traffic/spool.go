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
	"strconv"
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

	listed bool   // the files of earlier processes are known
	last   string // the file that was read last
	batch  *batch // of last, with the rows that were written
}

// spooled is a file. Its name has its number, its writer and how many messages it counts.
type spooled struct {
	name string
	size int64
}

func (f spooled) part(n int) string {
	if parts := strings.Split(strings.TrimSuffix(f.name, spoolSuffix), "-"); n < len(parts) {
		return parts[n]
	}
	return ""
}

func (f spooled) writer() string { return f.part(1) }

// isFormer says that the file is of a version that numbered batches: its names did not count messages.
func (f spooled) isFormer() bool { return f.part(1) != "" && f.part(2) == "" }

func (f spooled) messages() int64 {
	n, _ := strconv.ParseInt(f.part(2), 10, 64) // 0: no spool has named it
	return max(n, 0)
}

// writerName is the writer in the name of a file.
func writerName(id []byte) string { return hex.EncodeToString(id) }

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
	Done     int // rows that were written before
}

func fileOf(b *batch) *spoolFile {
	f := &spoolFile{Writer: b.Writer, Number: b.Number, Outbound: b.Outbound, Done: b.done}
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
	b.done = min(max(f.Done, 0), b.size())
	return b
}

var errSpoolFull = errors.New("the spool is full")

// list finds the files of earlier processes, once. A folder that does not exist is empty.
func (s *spool) list() error {
	if s.listed {
		return nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.listed = true
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if !strings.HasSuffix(e.Name(), spoolSuffix) {
			_ = os.Remove(filepath.Join(s.dir, e.Name())) // a file that was not finished
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
	return nil
}

func (s *spool) empty() bool { return len(s.files) == 0 }

// add writes a batch as a file.
func (s *spool) add(b *batch) error {
	if err := s.list(); err != nil {
		return err
	}
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
	name := fmt.Sprintf("%016x-%s-%d%s", s.next, writerName(b.Writer), b.messages(), spoolSuffix)
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

// errNoBatch says that a file has no batch, and never will.
var errNoBatch = errors.New("no batch of counters")

// isLost says that it does not help to read a file again.
func isLost(err error) bool { return errors.Is(err, errNoBatch) || errors.Is(err, fs.ErrNotExist) }

// read reads a file, or has it still.
func (s *spool) read(f spooled) (*batch, error) {
	if s.last == f.name {
		return s.batch, nil
	}
	path := filepath.Join(s.dir, f.name)
	text, err := readRegular(path)
	if err != nil {
		return nil, err
	}
	file := &spoolFile{}
	if err := gob.NewDecoder(bytes.NewReader(text)).Decode(file); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, errNoBatch, err)
	}
	b := file.batch()
	if b == nil {
		return nil, fmt.Errorf("%s: %w", path, errNoBatch)
	}
	if f.isFormer() {
		b.renumber()
	}
	s.last, s.batch = f.name, b
	return b, nil
}

func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link: %w", path, errNoBatch)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSpooledFile {
		return nil, fmt.Errorf("%s is not one of our files: %w", path, errNoBatch)
	}
	return io.ReadAll(io.LimitReader(f, maxSpooledFile))
}

// remove removes a file. It is no longer known, also where an error leaves it: the next process sees that it is written.
func (s *spool) remove(f spooled) error {
	s.files = slices.DeleteFunc(s.files, func(other spooled) bool { return other.name == f.name })
	s.bytes -= f.size
	if s.last == f.name {
		s.last, s.batch = "", nil
	}
	return os.Remove(filepath.Join(s.dir, f.name))
}
