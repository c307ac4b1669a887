package milter

import (
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"
)

// The handler gets the field exactly as the client sent it.
func TestHeaderValues(t *testing.T) {
	for _, c := range []struct{ sent, raw, stripped string }{
		// sent by the client; handed over with the leading blank; handed over without
		{"X: one", " one", "one"},
		{"X:none", "none", "none"},
		{"X:  two", "  two", " two"},
		{"X:\ttab", "\ttab", "\ttab"},
		{"X: one\r\n two", " one\n two", "one\n two"},
		{"X:\r\n folded at once", "\n folded at once", "\n folded at once"},
		{"X:", "", ""},
		{"X: caf\xe9", " caf\xe9", "caf\xe9"},
		{"X: crlf\r\n kept", " crlf\r\n kept", "crlf\r\n kept"},
	} {
		h := &handler{}
		p := dial(t, h)
		p.hello()
		p.envelope("a@example.com")
		p.send(gomilter.CodeHeader, "X\x00"+c.raw+"\x00")
		p.end()
		if got := strings.TrimSuffix(h.last(t).head.String(), "\r\n"); got != c.sent {
			t.Errorf("with the leading blank: %q, want %q", got, c.sent)
		}
		if h.last(t).env.BlanksGuessed {
			t.Error("the blanks are said to be guessed")
		}

		p = dial(t, h)
		p.send(gomilter.CodeOptNeg, offer(6, allActions, 0x80))
		p.receive()
		p.envelope("a@example.com")
		p.send(gomilter.CodeHeader, "X\x00"+c.stripped+"\x00")
		p.end()
		want := c.sent
		if c.sent == "X:none" {
			want = "X: none" // the MTA makes no difference between the two
		}
		if got := strings.TrimSuffix(h.last(t).head.String(), "\r\n"); got != want {
			t.Errorf("without the leading blank: %q, want %q", got, want)
		}
		if !h.last(t).env.BlanksGuessed {
			t.Error("the blanks are not said to be guessed")
		}
	}
}

func TestALongFieldWithoutLeadingBlank(t *testing.T) {
	h := &handler{}
	p := dial(t, h)
	p.send(gomilter.CodeOptNeg, offer(6, allActions, 0x80))
	p.receive()
	p.envelope("a@example.com")
	long := strings.Repeat("x", 200_000)
	p.send(gomilter.CodeHeader, "X\x00"+long+"\x00")
	p.end()
	if got := h.last(t).head[0].Value; got != " "+long {
		t.Errorf("%d octets", len(got))
	}
}
