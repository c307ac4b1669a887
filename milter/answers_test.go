package milter

import (
	"testing"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// Every command is answered where the MTA waits, and only there.
func TestAnswersWithoutAnyNoReplyFlag(t *testing.T) {
	for _, steps := range []uint32{0, oldSteps, 0x400, 0x1004ff} {
		h := &handler{}
		p := dial(t, h)
		p.send(gomilter.CodeOptNeg, offer(6, allActions, steps))
		p.receive()
		for range 2 {
			for _, one := range []packet{
				{'C', "client\x004\x10\x00192.0.2.1\x00"}, {'H', "client\x00"}, {'U', "XFOO\x00"}, {'M', "<a@example.com>\x00"},
				{'R', "<b@example.net>\x00"}, {'T', ""}, {'L', "From\x00a@example.com\x00"}, {'N', ""}, {'B', "text"},
			} {
				if one.code == 'L' && steps&0x80 != 0 {
					p.send(gomilter.Code(one.code), one.data)
					continue
				}
				p.send(gomilter.Code(one.code), one.data)
				p.want(gomilter.ActContinue)
			}
			if got := codes(p.end()); got != "a" {
				t.Errorf("steps %#x: answers %q", steps, got)
			}
		}
		if string(h.last(t).text) != "text" {
			t.Errorf("steps %#x: body %q", steps, h.last(t).text)
		}
	}
}

// SKIP is said only where it was offered, and only when no more is wanted.
func TestSkip(t *testing.T) {
	for _, c := range []struct {
		name    string
		steps   uint32
		wanted  int // pieces of the body that the handler wants
		answers string
		pieces  int // that it gets
	}{
		{"offered, nothing wanted", 0x400, 0, "sss", 0},
		{"offered, one piece wanted", 0x400, 1, "sss", 1},
		{"offered, two pieces wanted", 0x400, 2, "css", 2},
		{"offered, all wanted", 0x400, 9, "ccc", 3},
		{"not offered, nothing wanted", 0, 0, "ccc", 0},
		{"not offered, one piece wanted", 0, 1, "ccc", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			h := &handler{
				header: func(message.Envelope, message.Header) bool { return c.wanted > 0 },
				body:   func([]byte) bool { n++; return n < c.wanted },
			}
			p := dial(t, h)
			p.send(gomilter.CodeOptNeg, offer(6, allActions, c.steps))
			p.receive()
			p.envelope("a@example.com")
			got := ""
			for range 3 {
				p.send(gomilter.CodeBody, "piece")
				got += string(rune(p.receive().code))
			}
			if got != c.answers || n != c.pieces {
				t.Errorf("answers %q, %d pieces", got, n)
			}
			if got := codes(p.end()); got != "a" {
				t.Errorf("at the end %q", got)
			}
		})
	}
}
