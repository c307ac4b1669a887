package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"signpost/internal/tail"
)

// newTerminal opens a terminal of 80 columns: what is written to screen is read from shown.
func newTerminal(t *testing.T) (screen *os.File, shown *bufio.Reader) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err != nil {
		t.Skipf("no terminal: %v", err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	return screen, bufio.NewReader(master)
}

func TestColourIsForTerminalsAlone(t *testing.T) {
	t.Setenv("TERM", "xterm")
	for _, c := range []struct {
		name, noColor, columns string
		colour                 bool
		width                  int
	}{
		{"a terminal", "", "", true, 80},
		{"NO_COLOR", "1", "", false, 80},
		{"COLUMNS", "", "100", true, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", c.noColor)
			t.Setenv("COLUMNS", c.columns)
			screen, shown := newTerminal(t)
			e := passed(func(e *tail.Event) { e.Disposition, e.Why = "reject", strings.Repeat("reason ", 30) })
			s := newTailScreen(&output{to: screen}, tailOptions{})
			s.head()
			if err := s.show(e); err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				line, err := shown.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(line, "\x1b[") != c.colour {
					t.Errorf("line %d: %q", i, line)
				}
				plain := strings.NewReplacer("\x1b[31m", "", "\x1b[2m", "", "\x1b[0m", "", "\r\n", "").Replace(line)
				if i == 1 && len(plain) != c.width || len(plain) > c.width {
					t.Errorf("line %d has %d columns: %q", i, len(plain), plain)
				}
			}
		})
	}
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	if screen, _ := newTerminal(t); emphasis(screen).on {
		t.Error("a dumb terminal gets colour")
	}
	if emphasis(&strings.Builder{}).on || terminalWidth(&strings.Builder{}) != 0 {
		t.Error("a pipe is taken for a terminal")
	}
}
