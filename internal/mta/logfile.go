package mta

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Limits of a log.
const (
	// MaxLogBytes is how much of a log is read, the newest part; of compressed files it counts their
	// contents.
	MaxLogBytes = 512 << 20
	maxLogLine  = 64 << 10 // a longer line is cut
)

// A Log is where the MTA's log is: a file with its older parts, or the journal.
type Log struct {
	Path    string // "" for the journal
	Journal []string
}

// Name is what the log is called in messages.
func (l Log) Name() string {
	if l.Path == "" {
		return "the journal"
	}
	return l.Path
}

// Journal is the journal, with these matches of journalctl(1).
func Journal(matches ...string) Log { return Log{Journal: matches} }

// Read calls each with every line since a time, oldest first. complete is false where the log is larger than
// is read, or ctx ended before.
func (l Log) Read(ctx context.Context, since, now time.Time, each func(LogLine)) (complete bool, err error) {
	r := logReader{ctx: ctx, since: since, now: now, each: each, left: MaxLogBytes}
	if l.Path == "" {
		err = r.journal(l.Journal)
	} else {
		err = r.files(l.Path)
	}
	return r.left > 0 && ctx.Err() == nil, err
}

type logReader struct {
	ctx        context.Context
	since, now time.Time
	each       func(LogLine)
	left       int64
}

func (r *logReader) journal(matches []string) error {
	program := Program("journalctl")
	if program == "" {
		return errors.New("journalctl is not installed")
	}
	args := append([]string{"-q", "--no-pager", "-o", "json", fmt.Sprintf("--since=@%d", r.since.Unix())}, matches...)
	cmd := exec.CommandContext(r.ctx, program, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = r.lines(out)
	if r.left <= 0 || r.ctx.Err() != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return err
	}
	return errors.Join(err, cmd.Wait())
}

// files reads the file and its older parts: .1, .2.gz, -20260131, and so on.
func (r *logReader) files(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	parts := []logPart{{path, info}}
	for _, pattern := range []string{path + ".*", path + "-*"} {
		older, _ := filepath.Glob(pattern)
		for _, p := range older {
			if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && !info.ModTime().Before(r.since) && readable(p, path) {
				parts = append(parts, logPart{p, info})
			}
		}
	}
	slices.SortStableFunc(parts[1:], func(a, b logPart) int { return b.info.ModTime().Compare(a.info.ModTime()) })
	// The newest parts count, up to the limit, and are read in the order of time.
	var sizes int64
	for i, p := range parts {
		if sizes += p.size(); sizes > MaxLogBytes {
			parts = parts[:i+1]
			break
		}
	}
	slices.Reverse(parts)
	for _, p := range parts {
		if err := r.part(p); err != nil {
			return err
		}
	}
	return nil
}

type logPart struct {
	path string
	info os.FileInfo
}

// size estimates the octets of the contents.
func (p logPart) size() int64 {
	const ratio = 10 // of gzip on logs
	if strings.HasSuffix(p.path, ".gz") {
		return p.info.Size() * ratio
	}
	return p.info.Size()
}

// readable reports whether a file beside the log is a part of it, by its name: a number or a date, and
// perhaps .gz.
func readable(part, path string) bool {
	rest := strings.TrimSuffix(part[len(path):], ".gz")
	return len(rest) > 1 && strings.Trim(rest[1:], "0123456789-") == ""
}

func (r *logReader) part(p logPart) error {
	f, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if !strings.HasSuffix(p.path, ".gz") {
		if over := p.info.Size() - r.left; over > 0 {
			if _, err := f.Seek(over, io.SeekStart); err != nil {
				return err
			}
		}
		return r.lines(f)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	defer z.Close()
	return r.lines(z)
}

// lines reads a stream up to what is left.
func (r *logReader) lines(in io.Reader) error {
	in = io.LimitReader(in, r.left)
	buffered := bufio.NewReaderSize(in, maxLogLine)
	for n := 0; ; n++ {
		line, err := buffered.ReadSlice('\n')
		r.left -= int64(len(line))
		if len(line) > 0 {
			r.line(string(line))
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line that was cut
			line, err = buffered.ReadSlice('\n')
			r.left -= int64(len(line))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n%1024 == 0 && r.ctx.Err() != nil {
			return nil
		}
	}
}

func (r *logReader) line(text string) {
	l, ok := ParseLogLine(text, r.now)
	if ok && !l.Time.Before(r.since) {
		r.each(l)
	}
}
