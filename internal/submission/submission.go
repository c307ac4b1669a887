// Package submission hands a message to the local MTA by SMTP (RFC 5321) over a loopback
// address, where neither TLS nor a login is of use. The MTA queues it, so a message has one
// recipient and one attempt here, and the caller decides about the next.
package submission

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// A Message is one message for one recipient.
type Message struct {
	// From is the reverse-path and To the forward-path, without angle brackets. From may be
	// empty; non-ASCII text makes the message internationalized (RFC 6531).
	From, To string
	// Data is the message with CRLF line ends.
	Data []byte
}

// Kind says what an Error is about, and so what to do next.
type Kind string

const (
	// Later: no connection, 4yz, or a connection that broke. The message may be offered again.
	// If the answer to the message itself was lost, the MTA may have it.
	Later Kind = "later"
	// Setup: the MTA does not take mail from this host or sender. The administrator has to
	// change something; the message may be offered again then.
	Setup Kind = "setup"
	// Refused: the MTA refuses this recipient or this message for good.
	Refused Kind = "refused"
)

// An Error says why the MTA has not taken the message.
type Error struct {
	Kind Kind
	Step string // the command that failed: connect, greeting, EHLO, MAIL, RCPT, DATA, message
	Code int    // of the reply; 0 if there was none
	Err  error
}

func (e *Error) Error() string { return e.Step + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// The time limits of RFC 5321 §4.5.3.2, for a connection on one host.
const (
	connectTime = 30 * time.Second
	replyTime   = 5 * time.Minute
	dataTime    = 3 * time.Minute
	finalTime   = 10 * time.Minute
)

// Send offers the message to the MTA at address, HOST:PORT. reply is the MTA's answer, which
// often has its queue id. The error is an *Error. Send ends early with ctx.
func Send(ctx context.Context, address string, m Message) (reply string, err error) {
	if err := m.problem(); err != nil {
		return "", &Error{Refused, "message", 0, err}
	}
	d := net.Dialer{Timeout: connectTime}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", &Error{Later, "connect", 0, err}
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	s := newSession(conn)
	reply, err = s.deliver(m)
	if err == nil {
		s.quit()
	}
	if ctx.Err() != nil && err != nil {
		return "", &Error{Later, "connect", 0, ctx.Err()}
	}
	return reply, err
}

// problem says why a message cannot be sent over any connection.
func (m Message) problem() error {
	for _, path := range []string{m.From, m.To} {
		if !plainPath(path) {
			return fmt.Errorf("%q cannot stand in an SMTP command", path)
		}
	}
	if m.To == "" {
		return errors.New("no recipient")
	}
	for rest := m.Data; len(rest) > 0; {
		line, after, ok := bytes.Cut(rest, []byte("\r\n"))
		if !ok || bytes.ContainsAny(line, "\r\n\x00") || len(line) > 998 { // RFC 5322 §2.1.1, §2.3
			return errors.New("a line of the message is too long, or does not end in CRLF")
		}
		rest = after
	}
	return nil
}

// plainPath tells whether a path can be written between angle brackets. Brackets, blanks and
// controls are refused even within quotes: the paths of this program have none.
func plainPath(path string) bool {
	return len(path) <= 254 && strings.IndexFunc(path, func(r rune) bool {
		return r <= ' ' || r == '<' || r == '>' || r == 0x7f || r == '\ufffd'
	}) < 0
}

func (m Message) internationalized() bool {
	return !ascii(m.From) || !ascii(m.To) || !ascii(string(headerOf(m.Data)))
}

func headerOf(data []byte) []byte {
	header, _, _ := bytes.Cut(data, []byte("\r\n\r\n"))
	return header
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// deliver runs the session up to the answer to the message.
func (s *session) deliver(m Message) (string, error) {
	if _, err := s.expect("greeting", "", 220, replyTime); err != nil {
		return "", err
	}
	if err := s.hello(); err != nil {
		return "", err
	}
	mail, err := s.mailCommand(m)
	if err != nil {
		return "", err
	}
	if _, err := s.expect("MAIL", mail, 250, replyTime); err != nil {
		return "", err
	}
	if _, err := s.expect("RCPT", "RCPT TO:<"+m.To+">", 250, replyTime); err != nil {
		return "", err
	}
	if _, err := s.expect("DATA", "DATA", 354, replyTime); err != nil {
		return "", err
	}
	if err := s.data(m.Data); err != nil {
		return "", &Error{Later, "message", 0, err}
	}
	return s.expect("message", "", 250, finalTime)
}

// hello sends EHLO with the address of this side: the name of the host need not be known to
// DNS (RFC 5321 §4.1.4). An MTA without EHLO gets HELO.
func (s *session) hello() error {
	name := s.literal()
	text, err := s.expect("EHLO", "EHLO "+name, 250, replyTime)
	if e, ok := errors.AsType[*Error](err); ok && (e.Code == 500 || e.Code == 502) {
		_, err = s.expect("HELO", "HELO "+name, 250, replyTime)
	}
	s.offers(text)
	return err
}

// mailCommand is MAIL FROM with the parameters that the message needs and the MTA knows.
func (s *session) mailCommand(m Message) (string, error) {
	command := "MAIL FROM:<" + m.From + ">"
	if s.size {
		if s.maxSize > 0 && int64(len(m.Data)) > s.maxSize {
			return "", &Error{Refused, "MAIL", 0, fmt.Errorf("the message has %d octets, and the MTA takes %d (RFC 1870)", len(m.Data), s.maxSize)}
		}
		command += " SIZE=" + strconv.Itoa(len(m.Data))
	}
	if !ascii(string(m.Data)) {
		if !s.eightBit {
			return "", &Error{Refused, "MAIL", 0, errors.New("the message has 8-bit text, and the MTA does not offer 8BITMIME (RFC 6152)")}
		}
		command += " BODY=8BITMIME"
	}
	if m.internationalized() {
		if !s.utf8 {
			return "", &Error{Refused, "MAIL", 0, errors.New("an address has letters beyond ASCII, and the MTA does not offer SMTPUTF8 (RFC 6531)")}
		}
		command += " SMTPUTF8"
	}
	return command, nil
}

// kindOf classes a reply that is not the expected one. A refusal before RCPT is about this
// host or sender, unless MAIL is refused for the message's size (RFC 1870 §6.2).
func kindOf(step string, code int) Kind {
	switch {
	case code/100 != 5:
		return Later
	case step == "RCPT" || step == "message" || step == "DATA" && code == 554:
		return Refused
	case step == "MAIL" && code == 552:
		return Refused
	}
	return Setup
}
