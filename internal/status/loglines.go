package status

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// keptLines is how many different lines are kept, and maxLine their length in octets.
	keptLines = 16
	maxLine   = 600
	// messageLine is the text of the lines about single messages, which are not kept.
	messageLine = "message"
)

// Log is a log handler that keeps the last warnings and errors, and passes every line on.
type Log struct {
	next   slog.Handler
	kept   *keptLog
	prefix string // of With
}

type keptLog struct {
	mu    sync.Mutex
	lines []LogLine // the newest last
}

// NewLog returns a handler before the one that writes.
func NewLog(next slog.Handler) *Log { return &Log{next: next, kept: &keptLog{}} }

// Lines returns what is kept, the newest first.
func (l *Log) Lines() []LogLine {
	l.kept.mu.Lock()
	defer l.kept.mu.Unlock()
	lines := slices.Clone(l.kept.lines)
	slices.Reverse(lines)
	return lines
}

// Enabled is true for warnings, whether they are written or not.
func (l *Log) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || l.next.Enabled(ctx, level)
}

func (l *Log) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn && r.Message != messageLine {
		l.kept.add(LogLine{At: r.Time, Level: strings.ToLower(r.Level.String()), Text: l.text(r), Count: 1})
	}
	if !l.next.Enabled(ctx, r.Level) {
		return nil
	}
	return l.next.Handle(ctx, r)
}

// text is the line without time and level.
func (l *Log) text(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(l.prefix)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "stack" {
			return true
		}
		writeAttr(&b, a)
		return b.Len() < maxLine
	})
	return cut(strings.Map(printable, b.String()), maxLine)
}

func writeAttr(b *strings.Builder, a slog.Attr) {
	b.WriteString("; " + a.Key + ": " + a.Value.String())
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// cut shortens a text at a whole character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "..."
}

// WithAttrs is slog.Handler's.
func (l *Log) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(l.prefix)
	for _, a := range attrs {
		writeAttr(&b, a)
	}
	return &Log{l.next.WithAttrs(attrs), l.kept, b.String()}
}

// WithGroup is slog.Handler's.
func (l *Log) WithGroup(name string) slog.Handler {
	return &Log{l.next.WithGroup(name), l.kept, l.prefix}
}

func (k *keptLog) add(line LogLine) {
	if line.At.IsZero() {
		line.At = time.Now()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.IndexFunc(k.lines, func(o LogLine) bool { return o.Text == line.Text }); i >= 0 {
		line.Count += k.lines[i].Count
		k.lines = slices.Delete(k.lines, i, i+1)
	}
	if len(k.lines) >= keptLines {
		k.lines = slices.Delete(k.lines, 0, 1)
	}
	k.lines = append(k.lines, line)
}
