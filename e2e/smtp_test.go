package e2e

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// party is the client's identity for XCLIENT.
type party struct {
	addr string // "192.0.2.1", "IPV6:2001:db8::1"
	name string
	helo string
}

// A client is one SMTP connection to a Postfix.
type client struct {
	t    testing.TB
	conn net.Conn
	text *textproto.Conn
}

// reply is an SMTP server's reply.
type reply struct {
	code int
	text string
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.code, r.text) }

// dial connects and says EHLO; with a party, as that party.
func dial(t testing.TB, addr string, who *party) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	check(t, err)
	check(t, conn.SetDeadline(time.Now().Add(2*patience)))
	c := &client{t: t, conn: conn, text: textproto.NewConn(conn)}
	t.Cleanup(func() { c.text.Close() })
	c.must(220, "")
	if who == nil {
		c.must(250, "EHLO client.example")
		return c
	}
	c.must(250, "EHLO xclient.test")
	c.must(220, "XCLIENT NAME="+who.name+" ADDR="+who.addr)
	c.must(250, "EHLO "+who.helo)
	return c
}

// say sends a line, if there is one, and reads the answer.
func (c *client) say(line string) reply {
	c.t.Helper()
	if line != "" {
		check(c.t, c.text.PrintfLine("%s", line))
	}
	code, text, err := c.text.ReadResponse(0)
	if err != nil && code == 0 {
		c.t.Fatalf("no answer to %.60q: %v", line, err)
	}
	return reply{code, text}
}

// must is say with only one acceptable answer.
func (c *client) must(code int, line string) {
	c.t.Helper()
	if r := c.say(line); r.code != code {
		c.t.Fatalf("%q answered %v, want %d", line, r, code)
	}
}

// login authenticates with AUTH PLAIN.
func (c *client) login(user string) {
	c.t.Helper()
	c.must(235, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)))
}

// send does one whole mail transaction and returns its last answer. A refused sender
// ends it early.
func (c *client) send(from string, to []string, msg string) reply {
	c.t.Helper()
	return c.sendWith("BODY=8BITMIME", from, to, msg)
}

// sendWith is send with other parameters on MAIL FROM.
func (c *client) sendWith(params, from string, to []string, msg string) reply {
	c.t.Helper()
	if r := c.say(strings.TrimSpace("MAIL FROM:<" + from + "> " + params)); r.code != 250 {
		return r
	}
	for _, rcpt := range to {
		if r := c.say("RCPT TO:<" + rcpt + ">"); r.code != 250 {
			return r
		}
	}
	return c.data(msg)
}

// data sends DATA and the message, and returns the answer.
func (c *client) data(msg string) reply {
	c.t.Helper()
	c.must(354, "DATA")
	c.put(msg)
	return c.say("")
}

// put sends the message and its final dot, and does not wait for the answer.
func (c *client) put(msg string) {
	c.t.Helper()
	w := c.text.W
	for rest := msg; rest != ""; {
		line, after, _ := strings.Cut(rest, "\n")
		rest = after
		if strings.HasPrefix(line, ".") {
			w.WriteByte('.')
		}
		w.WriteString(line)
		w.WriteByte('\n')
	}
	if msg != "" && !strings.HasSuffix(msg, "\r\n") {
		c.t.Fatalf("a message in DATA must end with CRLF: %q", msg[max(0, len(msg)-20):])
	}
	w.WriteString(".\r\n")
	check(c.t, w.Flush())
}

// chunk sends the message by BDAT, which needs no final line end (RFC 3030).
func (c *client) chunk(msg string) reply {
	c.t.Helper()
	fmt.Fprintf(c.text.W, "BDAT %d LAST\r\n%s", len(msg), msg)
	check(c.t, c.text.W.Flush())
	return c.say("")
}
