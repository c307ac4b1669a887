package milter

import (
	"regexp"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

func replyOf(t testing.TB, d message.Disposition, r message.Reply) string {
	t.Helper()
	out := appendReply(nil, d, r)
	if n := len(out); n < 6 || out[4] != byte(gomilter.ActReplyCode) || out[n-1] != 0 || int(out[2])<<8+int(out[3]) != n-4 {
		t.Fatalf("packet %q", out)
	}
	return string(out[5 : len(out)-1])
}

func TestReplies(t *testing.T) {
	long := strings.Repeat("word ", 150)
	for _, c := range []struct {
		name        string
		disposition message.Disposition
		reply       message.Reply
		want        string
	}{
		{"as it is", message.Reject, message.Reply{Code: 550, Enhanced: "5.7.26", Text: "DMARC"}, "550 5.7.26 DMARC"},
		{"a temporary one", message.Tempfail, message.Reply{Code: 451, Enhanced: "4.7.24", Text: "DNS"}, "451 4.7.24 DNS"},
		{"the codes follow the disposition", message.Reject, message.Reply{Code: 451, Enhanced: "4.7.1", Text: "x"}, "550 5.7.1 x"},
		{"a 5xx that shall be temporary", message.Tempfail, message.Reply{Code: 550, Enhanced: "5.7.1", Text: "x"}, "451 4.7.1 x"},
		{"an enhanced code of the other class", message.Reject, message.Reply{Code: 554, Enhanced: "4.7.1", Text: "x"}, "554 5.7.1 x"},
		{"no codes", message.Reject, message.Reply{Text: "x"}, "550 5.7.1 x"},
		{"nothing at all", message.Tempfail, message.Reply{}, "451 4.3.0 try again later"},
		{"nothing at all, for good", message.Reject, message.Reply{}, "550 5.7.1 message refused"},
		{"a code that is none", message.Reject, message.Reply{Code: 5500, Enhanced: "5.7", Text: "x"}, "550 5.7.1 x"},
		{"a negative code", message.Reject, message.Reply{Code: -550, Enhanced: "5..1", Text: "x"}, "550 5.7.1 x"},
		{"an enhanced code with more in it", message.Reject, message.Reply{Code: 550, Enhanced: "5.7.1 forged", Text: "x"}, "550 5.7.1 x"},
		{"a percent sign", message.Reject, message.Reply{Text: "100% of %s at 5%"}, "550 5.7.1 100%% of %%s at 5%%"},
		{"line ends of a stranger", message.Reject, message.Reply{Text: "domain x\r\n250 ok"}, "550 5.7.1 domain x  250 ok"},
		{"controls and 8 bits", message.Reject, message.Reply{Text: "a\x00b\x1bc\x7fd caf\u00e9 \xff"}, "550 5.7.1 a?b?c?d caf? ?"},
		{"only blanks", message.Reject, message.Reply{Text: " \r\n "}, "550 5.7.1 message refused"},
	} {
		if got := replyOf(t, c.disposition, c.reply); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	got := strings.Split(replyOf(t, message.Reject, message.Reply{Code: 550, Enhanced: "5.7.1", Text: long}), "\r\n")
	if len(got) != 2 || !strings.HasPrefix(got[0], "550-5.7.1 word") || !strings.HasPrefix(got[1], "550 5.7.1 word") {
		t.Errorf("a long text: %q", got)
	}
	if words := strings.Count(strings.Join(got, " "), "word"); words != 150 {
		t.Errorf("%d words of 150", words)
	}
}

var replyLine = regexp.MustCompile(`^(5[0-9][0-9])[ -]5\.[0-9]{1,3}\.[0-9]{1,3} [ -~]*$`)

func FuzzReply(f *testing.F) {
	f.Add(550, "5.7.1", "refused")
	f.Add(451, "4.7", strings.Repeat("%", 2000))
	f.Add(0, "5.7.1\r\n", "a\r\nb\x00\xff"+strings.Repeat("x", 600)+"%")
	f.Add(599, "9.999.999", strings.Repeat("a ", 700))
	f.Fuzz(func(t *testing.T, code int, enhanced, text string) {
		got := replyOf(t, message.Reject, message.Reply{Code: code, Enhanced: enhanced, Text: text})
		lines := strings.Split(got, "\r\n")
		if len(lines) > maxReplyLines {
			t.Fatalf("%d lines", len(lines))
		}
		for i, line := range lines {
			if len(line) > maxReplyLine || !replyLine.MatchString(line) || line[:3] != got[:3] {
				t.Fatalf("line %q of %q", line, got)
			}
			if last := i == len(lines)-1; (line[3] == ' ') != last {
				t.Fatalf("line %d of %q", i, got)
			}
			if single := strings.ReplaceAll(line, "%%", ""); strings.Contains(single, "%") {
				t.Fatalf("a single percent sign in %q", line)
			}
		}
	})
}

func BenchmarkReplyWorstCase(b *testing.B) {
	r := message.Reply{Code: 550, Enhanced: "5.7.1", Text: strings.Repeat("%", 1<<20)}
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		out = appendReply(out[:0], message.Reject, r)
	}
}
