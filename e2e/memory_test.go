package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// status is a number of /proc/PID/status, in bytes: "VmRSS", or "VmHWM", its maximum so
// far.
func (d *daemon) status(t *testing.T, key string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	check(t, err)
	_, rest, _ := strings.Cut(string(text), key+":")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(line), " kB"))
	check(t, err)
	return n * kib
}

// descriptors counts the process's open files.
func (d *daemon) descriptors(t *testing.T) int {
	t.Helper()
	fds := fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid)
	open, err := os.ReadDir(fds)
	check(t, err)
	n := 0
	for _, fd := range open {
		// The database of the reports opens and closes its files when it likes.
		if to, err := os.Readlink(filepath.Join(fds, fd.Name())); err == nil && !strings.Contains(to, "/reports.db") {
			n++
		}
	}
	return n
}

// goroutines ends the process with SIGQUIT, which makes Go's runtime write the stack of
// each goroutine into the log, and returns them.
func (d *daemon) goroutines(t *testing.T) []string {
	t.Helper()
	check(t, d.cmd.Process.Signal(syscall.SIGQUIT))
	d.ended(t)
	d.log.wait(t, "the end of the dump", func(line string) bool { return strings.HasPrefix(line, "rflags") || strings.HasPrefix(line, "gs ") })
	var all []string
	lines, _ := d.log.all()
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "goroutine "):
			all = append(all, line)
		case len(all) > 0:
			all[len(all)-1] += "\n" + line
		}
	}
	return all
}

func TestIdleConnectionsCostLittle(t *testing.T) {
	want(t)
	addr := freeAddr(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + addr}, Zone: ourZone(), LogLevel: "error"})
	const idle, most = 4000, 64 * mib
	var limit syscall.Rlimit
	check(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Max < idle+200 {
		without(t, fmt.Sprintf("this process may open %d files, the test needs %d", limit.Max, idle+200))
	}
	for range idle {
		conn, err := net.Dial("tcp", addr)
		check(t, err)
		defer conn.Close()
		// The length of a packet that never comes.
		_, err = conn.Write([]byte{0, 1, 0, 0})
		check(t, err)
	}
	until(t, "all connections are taken", func() bool { return d.descriptors(t) > idle }) // it has a few of its own
	used := d.status(t, "VmHWM")
	t.Logf("%d connections, %.1f MiB at most", idle, float64(used)/mib)
	if used > most {
		t.Errorf("the process had %d KiB, want %d at most", used/kib, most/kib)
	}
}

func TestABigMessageCostsNoMoreThanASmallOne(t *testing.T) {
	want(t)
	addr := freeAddr(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + addr}, Zone: ourZone() + strangersZone(), AuthservID: authservID, LogLevel: "error"})
	l := letter{from: "a@strict.example", signed: true}
	line := strings.Repeat("All work and no play makes Jack a dull boy. ", 22) + "\r\n"
	send := func(size int) {
		t.Helper()
		s, err := dialMilter(addr)
		check(t, err)
		defer s.Close()
		body := func() io.Reader { return &repeated{text: line, left: size / len(line)} }
		check(t, through(s, "203.0.113.9", l.from, l.text(t, "bob@"+destDomain), body()))
		check(t, through(s, "127.0.0.1", "alice@"+ourDomain, ourMail("bob@"+destDomain, "big"), body()))
	}
	for range 200 {
		send(2 * kib)
	}
	small := d.status(t, "VmHWM")
	send(149_000_000)
	big := d.status(t, "VmHWM")
	t.Logf("%.1f MiB at most after messages of 2 KiB, %.1f MiB after one of 149 MB", float64(small)/mib, float64(big)/mib)
	if slack := 4 * mib; big > small+slack {
		t.Errorf("%d KiB after small messages, %d KiB after a big one", small/kib, big/kib)
	}
}

func TestAPeerThatSendsNonsenseCostsLittle(t *testing.T) {
	want(t)
	const most = 64 * mib
	for _, c := range []struct{ name, packet string }{
		{"recipients", string(packet('R', "<"+strings.Repeat("a", 900*kib)+"@dest.example>\x00"))},
		{"macros", string(packet('D', "R{rcpt_addr}\x00"+strings.Repeat("a", 900*kib)+"\x00"))},
		{"HELO", string(packet('H', strings.Repeat("a", 900*kib)+"\x00"))},
		{"unknown commands", string(packet('U', strings.Repeat("a", 900*kib)+"\x00"))},
		{"header fields", string(packet('L', "X-Long\x00"+strings.Repeat("a", 900*kib)+"\x00"))},
		{"pieces of the body", string(packet('B', strings.Repeat("a", 900*kib)))},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := freeAddr(t)
			d := startDaemon(t, config{Listen: []string{"inet:" + addr}, Zone: ourZone(), AuthservID: authservID, LogLevel: "error"})
			conn, err := net.Dial("tcp", addr)
			check(t, err)
			defer conn.Close()
			go io.Copy(io.Discard, conn)
			begin := bytes.Index(conversation, packet('T', ""))
			_, err = conn.Write(conversation[:begin])
			check(t, err)
			for range 300 {
				if _, err = conn.Write([]byte(c.packet)); err != nil {
					break // the daemon has closed the connection
				}
			}
			if used := d.status(t, "VmHWM"); used > most {
				t.Errorf("the process had %d KiB, want %d at most", used/kib, most/kib)
			}
			if !d.running() {
				t.Fatal("signpost ended")
			}
		})
	}
}
