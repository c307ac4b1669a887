package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"signpost/internal/message"
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

// On a terminal, an explanation is broken at its width; elsewhere its lines are whole.
func TestAnExplanationFitsATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("COLUMNS", "")
	words := strings.TrimSpace(strings.Repeat("reason ", 30))
	e := explanation{
		Assumed: true, OursBecause: words, Disposition: "reject", Reply: "550 5.7.1 " + words,
		Steps: []message.Step{{Rule: "policy", Compared: words, Result: words}}, order: []message.Note{{Key: "remedy", Value: words}},
	}
	screen, shown := newTerminal(t)
	if err := e.print(&output{to: screen}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(screen, "end")
	var seen strings.Builder
	for {
		line, err := shown.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "end" {
			break
		}
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
		seen.WriteString(line + "\n")
	}
	if got := strings.Count(seen.String(), "reason"); got != 5*30 {
		t.Errorf("%d words are shown, want %d:\n%s", got, 5*30, seen.String())
	}
	if !strings.Contains(seen.String(), "\n                reason") {
		t.Errorf("the second line of a result is not below its first:\n%s", seen.String())
	}
	var pipe strings.Builder
	if err := e.print(&pipe); err != nil || !strings.Contains(pipe.String(), "result    "+words+"\n") {
		t.Errorf("%v in %s", err, pipe.String())
	}
}
