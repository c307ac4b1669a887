package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// palette emphasizes words on a terminal, and leaves them as they are elsewhere.
type palette struct{ on bool }

// emphasis is for a writer: none if it is no terminal, or NO_COLOR is set.
func emphasis(w io.Writer) palette {
	return palette{onTerminal(w) && os.Getenv("NO_COLOR") == ""}
}

// onTerminal reports whether a person reads what is written.
func onTerminal(w io.Writer) bool {
	f, ok := underneath(w).(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil && os.Getenv("TERM") != "dumb"
}

// underneath is what our own writers write to.
func underneath(w io.Writer) io.Writer {
	switch w := w.(type) {
	case *output:
		return w.to
	case *diagnostics:
		return w.to
	}
	return w
}

func (p palette) bold(s string) string   { return p.with("1", s) }
func (p palette) dim(s string) string    { return p.with("2", s) }
func (p palette) red(s string) string    { return p.with("31", s) }
func (p palette) green(s string) string  { return p.with("32", s) }
func (p palette) yellow(s string) string { return p.with("33", s) }

func (p palette) with(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// terminalWidth is the number of columns of the terminal, or 0 if w is none.
func terminalWidth(w io.Writer) int {
	if !onTerminal(w) {
		return 0
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if f, ok := underneath(w).(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return helpWidth
}

// sentence writes a line, broken at the width of the terminal if w is one.
func sentence(w io.Writer, format string, args ...any) {
	writeFolded(w, terminalWidth(w), "", fmt.Sprintf(format, args...), 2)
}

// writeFolded writes head and text as a line that is broken at a width, with its further lines
// indented; a width of 0 is a line of any length.
func writeFolded(w io.Writer, width int, head, text string, indent int) {
	if width <= indent+8 || len(head)+len(text) <= width {
		fmt.Fprintln(w, head+text)
		return
	}
	first := len(head)
	if first == 0 {
		first = indent
	}
	for i, line := range wrapped(text, width-max(first, indent)) {
		if i > 0 {
			head = strings.Repeat(" ", indent)
		}
		fmt.Fprintln(w, head+line)
	}
}
