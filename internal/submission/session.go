package submission

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	// maxReplyLine is more than RFC 5321 §4.5.3.1.5 allows.
	maxReplyLine = 2048
	// maxReplyLines bounds one reply.
	maxReplyLines = 128
)

// session is one connection.
type session struct {
	conn net.Conn
	in   *bufio.Reader

	// What EHLO offered.
	size, eightBit, utf8 bool
	maxSize              int64 // 0: not told
}

func newSession(conn net.Conn) *session {
	return &session{conn: conn, in: bufio.NewReaderSize(conn, maxReplyLine)}
}

// literal is this side's address as a literal (RFC 5321 §4.1.3).
func (s *session) literal() string {
	host, _, _ := net.SplitHostPort(s.conn.LocalAddr().String())
	if strings.Contains(host, ":") {
		return "[IPv6:" + host + "]"
	}
	return "[" + host + "]"
}

// expect sends a command, if there is one, and reads its reply, which must have the code.
func (s *session) expect(step, command string, code int, limit time.Duration) (text string, err error) {
	if err := s.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", &Error{Later, step, 0, err}
	}
	if command != "" {
		if _, err := s.conn.Write([]byte(command + "\r\n")); err != nil {
			return "", &Error{Later, step, 0, err}
		}
	}
	got, text, err := readReply(s.in)
	switch {
	case err != nil:
		return "", &Error{Later, step, 0, err}
	case got == code || code == 250 && got == 251: // RFC 5321 §4.2.3: will be forwarded
		return text, nil
	}
	return "", &Error{kindOf(step, got), step, got, fmt.Errorf("the MTA answered %d %s", got, oneLine(text))}
}

// readReply reads one reply (RFC 5321 §4.2): its code and its text, with a line for each of
// its lines.
func readReply(in *bufio.Reader) (code int, text string, err error) {
	var lines []string
	for len(lines) < maxReplyLines {
		raw, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			err = errors.New("a line of the reply is too long")
		}
		if err != nil {
			return 0, "", err
		}
		line := string(bytes.TrimRight(raw, "\r\n"))
		if len(line) < 3 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
			return 0, "", fmt.Errorf("%q is not an SMTP reply", oneLine(line))
		}
		n, err := strconv.ParseUint(line[:3], 10, 16)
		if err != nil || n < 200 || n > 599 || code != 0 && int(n) != code {
			return 0, "", fmt.Errorf("%q is not an SMTP reply", oneLine(line))
		}
		code = int(n)
		lines = append(lines, line[min(len(line), 4):])
		if len(line) == 3 || line[3] == ' ' {
			return code, strings.Join(lines, "\n"), nil
		}
	}
	return 0, "", errors.New("the reply has too many lines")
}

// oneLine makes a reply's text fit for a log.
func oneLine(text string) string {
	const most = 300
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// offers reads the extensions in the answer to EHLO, whose first line is the MTA's name.
func (s *session) offers(text string) {
	_, lines, _ := strings.Cut(text, "\n")
	for line := range strings.Lines(lines) {
		word, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.ToUpper(word) {
		case "SIZE":
			s.size = true
			s.maxSize, _ = strconv.ParseInt(argument, 10, 64) // RFC 1870 §4: may be absent
		case "8BITMIME":
			s.eightBit = true
		case "SMTPUTF8":
			s.utf8 = true
		}
	}
}

// data sends the message with its dots doubled (RFC 5321 §4.5.2), and the final dot.
func (s *session) data(message []byte) error {
	out := bufio.NewWriterSize(s.conn, 1<<15)
	for rest := message; len(rest) > 0; {
		if err := s.conn.SetDeadline(time.Now().Add(dataTime)); err != nil {
			return err
		}
		line, after, _ := bytes.Cut(rest, []byte("\r\n"))
		rest = after
		if len(line) > 0 && line[0] == '.' {
			_ = out.WriteByte('.') // Flush returns the first error
		}
		_, _ = out.Write(line)
		if _, err := out.WriteString("\r\n"); err != nil {
			return err
		}
	}
	_, _ = out.WriteString(".\r\n")
	return out.Flush()
}

// quit ends the session politely. The message is delivered, so that no answer matters.
func (s *session) quit() {
	_ = s.conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = s.conn.Write([]byte("QUIT\r\n"))
	_, _, _ = readReply(s.in)
}
