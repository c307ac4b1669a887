package milter

import (
	"context"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// Foreign text stays within its place in the log.
func TestTheLogLine(t *testing.T) {
	h := &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome {
		return message.Outcome{
			Disposition: message.Reject,
			Reply:       message.Reply{Code: 450, Enhanced: "x", Text: "no\nmore"},
			Log:         []message.Note{{Key: "spf", Value: "fail"}, {Key: "author", Value: "e\u202Eve\x1b[2J" + strings.Repeat("x", 9000)}},
		}
	}}
	p := dial(t, h)
	p.hello()
	p.send(gomilter.CodeMacro, "Mi\x00Q\nlevel=ERROR forged\x00")
	p.message("a\x1b\r\n@example.com", "", "From: a@example.com")
	line := p.log.line(t, "msg=message")
	for _, want := range []string{
		"client=192.0.2.1", "helo=client.example.com", "rcpts=1", "ours=false", "spf=fail", "disposition=reject",
		`reply="550 5.7.1 no?more"`, "queue=\"Q?level=ERROR forged\"", "from=a???@example.com", "e?ve?[2J", "ms=",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	if len(line) > 4000 {
		t.Errorf("a line of %d octets", len(line))
	}
}

func TestAMessageGivenUpIsADebugLine(t *testing.T) {
	p := dial(t, &handler{})
	p.hello()
	p.envelope("a@example.com")
	p.send(gomilter.CodeAbort)
	p.send(gomilter.CodeQuit)
	p.closed()
	if line := p.log.line(t, "message given up"); !strings.Contains(line, "level=DEBUG") || !strings.Contains(line, "from=a@example.com") {
		t.Error(line)
	}
	if strings.Contains(p.log.String(), "closed") {
		t.Errorf("an orderly end is no problem:\n%s", p.log)
	}
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"plain text", "a@example.com", "a@example.com"},
		{"controls", "a\r\nb\x1b[2J\x00", "a??b?[2J?"},
		{"other alphabets", "pelé@例え.jp", "pelé@例え.jp"},
		{"what turns the writing", "a\u202eb\u2066c", "a?b?c"},
		{"octets that are not UTF-8", "a\xffb", "a?b"},
		{"a long text", strings.Repeat("x", 30), strings.Repeat("x", 20) + "..."},
		{"not cut inside a character", strings.Repeat("é", 30), strings.Repeat("é", 10) + "..."},
	} {
		if got := clean(c.text, 20); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\r\nb", 5)
	f.Add("\xff\u202e", 100)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = min(max(limit, 0), 1<<16)
		got := clean(text, limit)
		if len(got) > limit+3 || strings.ContainsAny(got, "\r\n\x00\x1b\u202e\u2028") || !strings.HasPrefix(got, clean(got, len(got))) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}
