package e2e

import (
	"bufio"
	"bytes"
	"net"
	"slices"
	"strings"
	"testing"
)

// refusedDomain is the domain whose recipients the sink refuses, so that Postfix writes
// a bounce.
const refusedDomain = "refused.example"

// choosyDomain is the domain for which the sink refuses all mail, as Gmail refuses what it does not find
// authenticated.
const choosyDomain = "choosy.example"

const choosyReply = "550-5.7.26 This mail has been blocked because the sender is unauthenticated.\r\n550-5.7.26 Authentication results:\r\n" +
	"550-5.7.26  DKIM = did not pass\r\n550-5.7.26  SPF [example.com] with ip: [192.0.2.1] = did not pass\r\n550 5.7.26  go and see - gsmtp"

// delivered is one message as the sink received it.
type delivered struct {
	From string
	To   []string
	Data []byte // with CRLF, without the dots of RFC 5321 §4.5.2
}

// A sink is the SMTP server that Postfix relays everything to. It announces
// 8BITMIME and SMTPUTF8, so Postfix has no reason to alter a message.
type sink struct {
	addr string
	got  ledger[delivered]
}

func startSink(t *testing.T) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { l.Close() })
	s := &sink{addr: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

// wait returns the message that was delivered to this recipient.
func (s *sink) wait(t testing.TB, rcpt string) delivered {
	t.Helper()
	return s.got.wait(t, "a delivery to "+rcpt, func(d delivered) bool { return slices.Contains(d.To, rcpt) })
}

// has reports whether a message has been delivered to this recipient.
func (s *sink) has(rcpt string) bool {
	return len(s.got.find(func(d delivered) bool { return slices.Contains(d.To, rcpt) })) > 0
}

func (s *sink) serve(conn net.Conn) {
	defer conn.Close()
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	say := func(line string) { out.WriteString(line + "\r\n"); out.Flush() }
	say("220 sink.example ESMTP")
	var d delivered
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-sink.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-SIZE 104857600\r\n250 ENHANCEDSTATUSCODES")
		case "MAIL":
			d = delivered{From: path(arg)}
			say("250 2.1.0 ok")
		case "RCPT":
			if rcpt := path(arg); strings.HasSuffix(rcpt, "@"+refusedDomain) {
				say("550 5.1.1 no such user here")
			} else {
				d.To = append(d.To, rcpt)
				say("250 2.1.5 ok")
			}
		case "DATA":
			say("354 go on")
			if d.Data, err = readData(in); err != nil {
				return
			}
			if slices.ContainsFunc(d.To, func(rcpt string) bool { return strings.HasSuffix(rcpt, "@"+choosyDomain) }) {
				say(choosyReply)
				continue
			}
			s.got.add(d)
			say("250 2.0.0 kept")
		case "QUIT":
			say("221 2.0.0 bye")
			return
		case "RSET", "NOOP":
			say("250 2.0.0 ok")
		default:
			say("502 5.5.2 not here")
		}
	}
}

// path is the address in MAIL FROM:<address> PARAMETERS.
func path(arg string) string {
	_, rest, _ := strings.Cut(arg, "<")
	addr, _, _ := strings.Cut(rest, ">")
	return addr
}

func readData(in *bufio.Reader) ([]byte, error) {
	var data bytes.Buffer
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return nil, err
		}
		if string(line) == ".\r\n" && atLineStart(data.Bytes()) {
			return data.Bytes(), nil
		}
		if line[0] == '.' && atLineStart(data.Bytes()) {
			line = line[1:]
		}
		data.Write(line)
	}
}

func atLineStart(b []byte) bool { return len(b) == 0 || b[len(b)-1] == '\n' }
