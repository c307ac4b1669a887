package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/emersion/go-milter"
)

// For any number of connections, DNS has the descriptors that it needs: forged mail is
// refused and genuine mail passes.
func TestAShortageOfDescriptorsLetsNoForgeryIn(t *testing.T) {
	want(t)
	const messages = 8
	zone := chaosZone(2 * messages)
	ns := startNameserver(t, zone, "")
	addr := freeAddr(t)
	d := startDaemon(t, config{
		Listen: []string{"inet:" + addr}, Servers: []string{ns.addr}, Timeout: "2s", Mode: "enforce",
		AuthservID: authservID, Descriptors: 64,
	})
	d.logged(t, "max_connections", "lowered", "LimitNOFILE")
	mta, err := dialMilter(addr)
	check(t, err)
	defer mta.Close()
	for range 150 {
		conn, err := net.Dial("tcp", addr)
		check(t, err)
		defer conn.Close()
	}
	d.log.wait(t, "no connection more is taken", func(line string) bool {
		return strings.Contains(line, "further ones wait") || strings.Contains(line, "too many open files")
	})
	for n := range messages {
		l := letter{from: "a@" + strangersDomain(2*n), signed: true, forged: true}
		rcpt := fmt.Sprintf("forged-%d@%s", n, destDomain)
		if answer, _ := offer(t, mta, other.addr, l, rcpt); answer.Code != milter.ActReplyCode || answer.SMTPCode != 550 {
			t.Errorf("forged message %d: answered %c %d %s, want 550", n, answer.Code, answer.SMTPCode, answer.SMTPText)
		}
		l = letter{from: "a@" + strangersDomain(2*n+1), signed: true}
		answer, field := offer(t, mta, other.addr, l, rcpt)
		if answer.Code != milter.ActAccept || !strings.Contains(field, "dmarc=pass") {
			t.Errorf("genuine message %d: answered %c %d %s, results %q", n, answer.Code, answer.SMTPCode, answer.SMTPText, field)
		}
	}
	if said := d.log.find(func(line string) bool { return strings.Contains(line, "too many open files") }); len(said) > 0 {
		t.Errorf("the process ran out of descriptors: %s", said[0])
	}
}

// With very few descriptors the daemon serves one connection after the other.
func TestAFewDescriptorsSuffice(t *testing.T) {
	want(t)
	addr := freeAddr(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + addr}, Zone: ourZone(), Descriptors: 20})
	d.logged(t, "level=WARN", "max_connections", "lowered", "open_files=20", "LimitNOFILE")
	var idle []net.Conn
	for range 30 {
		conn, err := net.Dial("tcp", addr)
		check(t, err)
		idle = append(idle, conn)
	}
	d.logged(t, "further ones wait")
	for _, conn := range idle {
		conn.Close()
	}
	s, err := dialMilter(addr)
	check(t, err)
	defer s.Close()
	msg := ourMail("bob@"+destDomain, "after a drought")
	check(t, through(s, "127.0.0.1", "alice@"+ourDomain, msg, strings.NewReader("Good morning.\r\n")))
	if said := d.log.find(func(line string) bool { return strings.Contains(line, "too many open files") }); len(said) > 0 {
		t.Errorf("the process ran out of descriptors: %s", said[0])
	}
}

// A soft limit that the process can raise has no effect.
func TestTheLimitOfDescriptorsIsRaised(t *testing.T) {
	want(t)
	var limit syscall.Rlimit
	check(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Max < 8192 {
		without(t, fmt.Sprintf("this process may open %d files", limit.Max))
	}
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone(), SoftLimit: 64})
	if said := d.log.find(func(line string) bool { return strings.Contains(line, "lowered") }); len(said) > 0 {
		t.Errorf("the limit was not raised: %s", said[0])
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", d.cmd.Process.Pid))
	check(t, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "Max open files") && f[3] == "64" {
			t.Errorf("the limit is 64 still, of %s that are allowed", f[4])
		}
	}
}

// offer sends a letter to the milter and returns the answer and the field with the
// results.
func offer(t *testing.T, s *milter.ClientSession, client string, l letter, rcpt string) (*milter.Action, string) {
	t.Helper()
	msg := l.text(t, rcpt)
	_, body, _ := strings.Cut(msg, "\r\n\r\n")
	changes, answer, err := offered(s, client, l.reversePath(), msg, strings.NewReader(body))
	check(t, err)
	for _, c := range changes {
		if c.HeaderName == "Authentication-Results" && c.HeaderValue != "" {
			return answer, c.HeaderValue
		}
	}
	return answer, ""
}
