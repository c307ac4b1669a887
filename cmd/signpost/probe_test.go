package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

func TestProbeListsTheFieldsThatPostfixWouldRemove(t *testing.T) {
	h := message.Header{
		{Name: "Authentication-Results", Value: " a; one"}, {Name: "Subject", Value: " hello"},
		{Name: "Authentication-Results ", Value: " a; two"}, {Name: "authentication-results\t", Value: " b; three"},
		{Name: "Authentication-Result", Value: " a; other"}, {Name: "AUTHENTICATION-RESULTS", Value: " a; four"},
	}
	remove := func(name string, n uint32) gomilter.ModifyAction {
		return gomilter.ModifyAction{Code: gomilter.ActChangeHeader, HeaderIndex: n, HeaderName: name}
	}
	for _, c := range []struct {
		name    string
		changes []gomilter.ModifyAction
		want    string
	}{
		{"from the bottom up, as we do", []gomilter.ModifyAction{remove("Authentication-Results", 4), remove("Authentication-Results", 2), remove("Authentication-Results", 1)}, "four|two|one"},
		{"each deletion counts anew", []gomilter.ModifyAction{remove("Authentication-Results", 1), remove("Authentication-Results", 1)}, "one|two"},
		{"field 0 is field 1", []gomilter.ModifyAction{remove("authentication-results", 0)}, "one"},
		{"a field that is not there", []gomilter.ModifyAction{remove("Authentication-Results", 5)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := (&conversation{changes: c.changes}).report(h)
			var got []string
			for _, f := range r.Removed {
				_, word, _ := strings.Cut(f.Value, "; ")
				got = append(got, word)
			}
			if strings.Join(got, "|") != c.want || len(r.Removed)+len(r.Other) != len(c.changes) {
				t.Errorf("removed are %q, want %s; others %q", got, c.want, r.Other)
			}
		})
	}
	if h[0].Value != " a; one" || h[5].Value != " a; four" {
		t.Error("the message itself is changed")
	}
}

// sentTo runs a milter that agrees to everything, and returns the packets of one probe.
func sentTo(t *testing.T, args ...string) []string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	packets := make(chan []string, 1)
	go func() {
		var all []string
		defer func() { packets <- all }()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for r := bufio.NewReader(conn); ; {
			var size uint32
			if binary.Read(r, binary.BigEndian, &size) != nil {
				return
			}
			packet := make([]byte, size)
			if _, err := io.ReadFull(r, packet); err != nil {
				return
			}
			all = append(all, string(packet))
			switch gomilter.Code(packet[0]) {
			case gomilter.CodeOptNeg:
				conn.Write(append([]byte{0, 0, 0, 13, 'O', 0, 0, 0, 6}, make([]byte, 8)...))
			case gomilter.CodeMacro, gomilter.CodeQuit:
			default:
				conn.Write([]byte{0, 0, 0, 1, 'c'})
			}
		}
	}()
	if r := execute(t, "From: a@example.com\n\nhello\n", append([]string{"probe", "inet:" + l.Addr().String(), "-"}, args...)...); r.code != exitOK {
		t.Fatalf("exit %d: %s", r.code, r.stderr)
	}
	return <-packets
}

func TestProbeWithoutAClientsAddress(t *testing.T) {
	if sent := sentTo(t, "--ip", ""); !slices.Contains(sent, "Cunknown\x00U") {
		t.Errorf("sent %q", sent)
	}
}

func TestProbeSendsPathsInOnePairOfBrackets(t *testing.T) {
	for _, c := range []struct{ from, want string }{
		{"", "M<>\x00"}, {"<>", "M<>\x00"}, {"a@example.com", "M<a@example.com>\x00"}, {"<a@example.com>", "M<a@example.com>\x00"},
	} {
		sent := sentTo(t, "--from", c.from, "--rcpt", "b@example.com")
		if !slices.Contains(sent, c.want) || !slices.Contains(sent, "R<b@example.com>\x00") {
			t.Errorf("--from %q: sent %q, want %q", c.from, sent, c.want)
		}
	}
}

// A program that accepts connections and says nothing does not hold the command.
func TestProbeOfASilentMilter(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the kernel accepts the connection
	r := execute(t, "From: a@example.com\n\nhello\n", "probe", "inet:"+l.Addr().String(), "-", "--timeout", "50ms")
	if want := "signpost probe: no answer from inet:" + l.Addr().String() + " in 50ms; if Signpost listens there: signpost status; --timeout waits longer\n"; r.code != exitFailure || r.stderr != want {
		t.Errorf("exit %d, %q, want %q", r.code, r.stderr, want)
	}
}
