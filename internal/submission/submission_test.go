package submission

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

// An mta answers one connection by a script: the reply to each command, by its first word.
// The words "greeting" and "." stand for the greeting and for the end of the message; the
// answer "close" closes the connection.
type mta struct {
	script map[string]string
	addr   string
	got    chan []string // all lines of the connection, at its end
}

func startMTA(t *testing.T, script map[string]string) *mta {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m := &mta{script: script, addr: l.Addr().String(), got: make(chan []string, 1)}
	go m.serve(l)
	return m
}

var friendly = map[string]string{
	"greeting": "220 mx.example ESMTP", "EHLO": "250-mx.example\r\n250-SIZE 100000\r\n250-8BITMIME\r\n250 SMTPUTF8",
	"MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go", ".": "250 2.0.0 queued as ABC", "QUIT": "221 bye",
}

func (m *mta) answer(word string) string {
	if a, ok := m.script[word]; ok {
		return a
	}
	return friendly[word]
}

func (m *mta) serve(l net.Listener) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	var got []string
	defer func() { m.got <- got }()
	in, inData := bufio.NewReader(conn), false
	say := func(word string) bool {
		a := m.answer(word)
		if a != "close" {
			fmt.Fprintf(conn, "%s\r\n", a)
		}
		return a != "close"
	}
	if !say("greeting") {
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		got = append(got, line)
		word, _, _ := strings.Cut(strings.ToUpper(line), " ")
		if inData && line != "." {
			continue
		}
		inData = word == "DATA" && strings.HasPrefix(m.answer(word), "354")
		if !say(word) {
			return
		}
	}
}

func TestASession(t *testing.T) {
	m := startMTA(t, nil)
	reply, err := Send(context.Background(), m.addr, Message{From: "r+1@example.com", To: "d@dest.example", Data: []byte("From: a\r\n\r\n.dot\r\n..\r\n\r\n")})
	if err != nil || reply != "2.0.0 queued as ABC" {
		t.Fatalf("%q, %v", reply, err)
	}
	want := []string{
		"EHLO [127.0.0.1]", "MAIL FROM:<r+1@example.com> SIZE=23", "RCPT TO:<d@dest.example>", "DATA",
		"From: a", "", "..dot", "...", "", ".", "QUIT",
	}
	if got := <-m.got; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q", got)
	}
}

func TestTheParametersAreThoseTheMessageNeeds(t *testing.T) {
	for name, c := range map[string]struct {
		m      Message
		offer  string
		params string // of MAIL; "" if the message is refused before
	}{
		"ASCII to a bare MTA":                {Message{To: "a@b.example"}, "250 mx", "MAIL FROM:<>"},
		"8-bit body":                         {Message{To: "a@b.example", Data: []byte("A: b\r\n\r\né\r\n")}, "250-mx\r\n250 8bitmime", "MAIL FROM:<> BODY=8BITMIME"},
		"8-bit body, not offered":            {Message{To: "a@b.example", Data: []byte("A: b\r\n\r\né\r\n")}, "250 mx", ""},
		"recipient beyond ASCII":             {Message{To: "é@b.example"}, "250-mx\r\n250-SIZE\r\n250 SMTPUTF8", "MAIL FROM:<> SIZE=0 SMTPUTF8"},
		"recipient beyond ASCII, no offer":   {Message{To: "é@b.example"}, "250-mx\r\n250 8BITMIME", ""},
		"header beyond ASCII":                {Message{To: "a@b.example", Data: []byte("To: é\r\n\r\n")}, "250-mx\r\n250-8BITMIME\r\n250 SMTPUTF8", "MAIL FROM:<> BODY=8BITMIME SMTPUTF8"},
		"as long as allowed":                 {Message{To: "a@b.example", Data: []byte("\r\n")}, "250-mx\r\n250 SIZE 2", "MAIL FROM:<> SIZE=2"},
		"longer than allowed":                {Message{To: "a@b.example", Data: []byte("\r\n\r\n")}, "250-mx\r\n250 SIZE 2", ""},
		"any length where SIZE 0 is given":   {Message{To: "a@b.example", Data: []byte("\r\n\r\n")}, "250-mx\r\n250 SIZE 0", "MAIL FROM:<> SIZE=4"},
		"a word of the first line is a name": {Message{To: "é@b.example"}, "250 SMTPUTF8", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := startMTA(t, map[string]string{"EHLO": c.offer})
			_, err := Send(context.Background(), m.addr, c.m)
			got := <-m.got
			if c.params == "" {
				e, ok := errors.AsType[*Error](err)
				if !ok || e.Kind != Refused || len(got) != 1 {
					t.Fatalf("%v after %q", err, got)
				}
				return
			}
			if err != nil || got[1] != c.params {
				t.Errorf("%v after %q", err, got)
			}
		})
	}
}

func TestAnswersAreClassed(t *testing.T) {
	for _, c := range []struct {
		word, answer, step string
		code               int
		kind               Kind
	}{
		{"greeting", "554 no service here", "greeting", 554, Setup},
		{"greeting", "421 busy", "greeting", 421, Later},
		{"greeting", "close", "greeting", 0, Later},
		{"greeting", "hello", "greeting", 0, Later},
		{"greeting", "220", "", 0, ""},
		{"EHLO", "550 go away", "EHLO", 550, Setup},
		{"EHLO", "502 unknown", "HELO", 0, Later}, // the script closes at HELO
		{"MAIL", "550 5.7.1 sender rejected", "MAIL", 550, Setup},
		{"MAIL", "552 too big", "MAIL", 552, Refused},
		{"MAIL", "451 later", "MAIL", 451, Later},
		{"RCPT", "550 5.1.1 unknown", "RCPT", 550, Refused},
		{"RCPT", "450 greylisted", "RCPT", 450, Later},
		{"RCPT", "251 will forward", "", 0, ""},
		{"RCPT", "252 cannot verify", "RCPT", 252, Later},
		{"DATA", "554 no", "DATA", 554, Refused},
		{"DATA", "503 what", "DATA", 503, Setup},
		{"DATA", "close", "DATA", 0, Later},
		{".", "554 rejected", "message", 554, Refused},
		{".", "451 full", "message", 451, Later},
		{".", "close", "message", 0, Later},
		{".", "250-a\r\n451 b", "message", 0, Later},
		{".", "250 " + strings.Repeat("x", 5000), "message", 0, Later},
		{".", strings.Repeat("250-x\r\n", 1000) + "250 x", "message", 0, Later},
		{"QUIT", "close", "", 0, ""},
	} {
		t.Run(c.word+" "+c.answer[:min(len(c.answer), 20)], func(t *testing.T) {
			m := startMTA(t, map[string]string{c.word: c.answer, "HELO": "close"})
			_, err := Send(context.Background(), m.addr, Message{To: "d@dest.example", Data: []byte("A: b\r\n\r\n")})
			e, _ := errors.AsType[*Error](err)
			switch {
			case c.kind == "" && err != nil, c.kind != "" && e == nil:
				t.Fatal(err)
			case e != nil && (e.Kind != c.kind || e.Step != c.step || e.Code != c.code):
				t.Errorf("%s %s %d: %v", e.Kind, e.Step, e.Code, e)
			}
		})
	}
}

func TestNothingThatCouldAddACommandIsSent(t *testing.T) {
	for _, m := range []Message{
		{From: "a>\r\nRCPT TO:<b", To: "d@dest.example"}, {To: "a\n@b"}, {To: "a b@c"}, {To: "<a@b>"}, {To: ""}, {To: "a\x00@b"},
		{To: "\xff@b"}, {To: strings.Repeat("a", 255)},
		{To: "a@b", Data: []byte("no end")}, {To: "a@b", Data: []byte("a\nb\r\n")}, {To: "a@b", Data: []byte("a\rb\r\n")},
		{To: "a@b", Data: []byte(strings.Repeat("x", 999) + "\r\n")}, {To: "a@b", Data: []byte("a\x00b\r\n")},
	} {
		_, err := Send(context.Background(), "127.0.0.1:1", m)
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Refused {
			t.Errorf("%+v: %v", m, err)
		}
	}
}

func TestNoMTAMeansLater(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, err = Send(context.Background(), addr, Message{To: "a@b.example"})
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Later || e.Step != "connect" {
		t.Error(err)
	}
}

func TestTheEndOfTheContextEndsASession(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		conn, err := l.Accept() // and no greeting
		if err == nil {
			cancel()
			_, _ = conn.Read(make([]byte, 1))
			conn.Close()
		}
	}()
	_, err = Send(ctx, l.Addr().String(), Message{To: "a@b.example"})
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Later || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"220 x\r\n", "250-a\r\n250 b\r\n", "250\r\n", "25", "250_x\n", "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, text, err := readReply(bufio.NewReaderSize(strings.NewReader(s), maxReplyLine))
		if err == nil && (code < 200 || code > 599 || len(text) > len(s)) {
			t.Errorf("%d %q", code, text)
		}
		new(session).offers(text)
		if line := oneLine(text); strings.ContainsAny(line, "\r\n") || len(line) > 310 {
			t.Errorf("%q", line)
		}
	})
}
