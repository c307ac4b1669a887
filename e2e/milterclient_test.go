package e2e

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-milter"
)

// dialMilter connects as an MTA does, by go-milter's client.
func dialMilter(addr string) (*milter.ClientSession, error) {
	c := milter.NewClientWithOptions("tcp", addr, milter.ClientOptions{
		ActionMask: milter.OptAddHeader | milter.OptChangeHeader | milter.OptQuarantine,
		ProtocolMask: milter.OptHeaderLeadingSpace | milter.OptNoConnReply | milter.OptNoHeloReply | milter.OptNoRcptReply |
			milter.OptNoHeaderReply | milter.OptNoEOHReply | milter.OptNoBodyReply,
		ReadTimeout: patience, WriteTimeout: patience,
	})
	return c.Session()
}

// through passes one message from this client through the milter. It must be accepted
// with at least one change to its header.
func through(s *milter.ClientSession, client, from, msg string, body io.Reader) error {
	changes, answer, err := offered(s, client, from, msg, body)
	if err != nil {
		return err
	}
	if answer.Code != milter.ActAccept || len(changes) == 0 {
		return fmt.Errorf("answered %c with %d changes", answer.Code, len(changes))
	}
	return nil
}

// offered sends one message from this client to the milter and returns the changes and
// the final answer.
func offered(s *milter.ClientSession, client, from, msg string, body io.Reader) ([]milter.ModifyAction, *milter.Action, error) {
	steps := []func() (*milter.Action, error){
		func() (*milter.Action, error) { return s.Conn("client.example", milter.FamilyInet, 25, client) },
		func() (*milter.Action, error) { return s.Helo("client.example") },
		func() (*milter.Action, error) { return s.Mail(from, nil) },
		func() (*milter.Action, error) { return s.Rcpt("bob@"+destDomain, nil) },
	}
	header, _, _ := strings.Cut(msg, "\r\n\r\n")
	for _, f := range fields([]byte(header)) {
		steps = append(steps, func() (*milter.Action, error) {
			return s.HeaderField(f.name, strings.ReplaceAll(f.value, "\r\n", "\n"))
		})
	}
	for _, step := range append(steps, s.HeaderEnd) {
		if a, err := step(); err != nil {
			return nil, nil, err
		} else if a.Code != milter.ActContinue {
			return nil, a, nil
		}
	}
	return s.BodyReadFrom(body)
}

// tenMessages sends five of our messages and five foreign ones on one connection.
func tenMessages(addr string, nextDomain func() string, inbound, outbound string) error {
	s, err := dialMilter(addr)
	if err != nil {
		return err
	}
	defer s.Close()
	for range 5 {
		domain := nextDomain()
		msg := strings.ReplaceAll(inbound, "strict.example", domain)
		_, body, _ := strings.Cut(msg, "\r\n\r\n")
		if err := through(s, "203.0.113.9", "a@"+domain, msg, strings.NewReader(body)); err != nil {
			return fmt.Errorf("a stranger's message: %w", err)
		}
		_, body, _ = strings.Cut(outbound, "\r\n\r\n")
		if err := through(s, "127.0.0.1", "alice@"+ourDomain, outbound, strings.NewReader(body)); err != nil {
			return fmt.Errorf("our message: %w", err)
		}
	}
	return nil
}

// packet is one of the milter protocol.
func packet(command byte, data string) []byte {
	n := len(data) + 1
	return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), command}, data...)
}

// conversation is all packets of an MTA for one message.
var conversation = bytes.Join([][]byte{
	packet('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff"),
	packet('D', "Cj\x00mx.example.com\x00{daemon_name}\x00smtpd\x00"),
	packet('C', "client.example\x004\x00\x19203.0.113.9\x00"),
	packet('H', "client.example\x00"),
	packet('D', "Mi\x004dKx0000\x00{auth_authen}\x00alice\x00"),
	packet('M', "<a@strict.example>\x00SIZE=1000\x00"),
	packet('R', "<bob@dest.example>\x00"),
	packet('T', ""),
	packet('L', "From\x00 a@strict.example\x00"),
	packet('L', "DKIM-Signature\x00 v=1; a=rsa-sha256; d=strict.example; s=sel;\n h=From; bh=eA==; b=eA==\x00"),
	packet('L', "Authentication-Results\x00 mx.example.com; spf=pass\x00"),
	packet('N', ""),
	packet('B', strings.Repeat("Hello.\r\n", 500)),
	packet('B', "Good bye.\r\n"),
	packet('E', ""),
}, nil)

// repeated reads a text a number of times.
type repeated struct {
	text string
	left int
	part string
}

func (r *repeated) Read(buf []byte) (int, error) {
	n := 0
	for n < len(buf) {
		if r.part == "" {
			if r.left == 0 {
				break
			}
			r.left--
			r.part = r.text
		}
		copied := copy(buf[n:], r.part)
		r.part = r.part[copied:]
		n += copied
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
