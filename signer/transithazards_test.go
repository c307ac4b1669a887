package signer

import (
	"bytes"
	"strings"
	"testing"

	"signpost/internal/message"
)

// seen is what textHazards makes of a text, one octet after the other, as plain as may be.
func seen(text string) (o textHazards) {
	column := 0
	for i := range len(text) {
		c := text[i]
		afterCR := i > 0 && text[i-1] == '\r'
		o.eightBit = o.eightBit || c >= 0x80
		o.bareLF = o.bareLF || (c == '\n' && !afterCR)
		o.bareCR = o.bareCR || (c != '\n' && afterCR)
		if c == '\n' {
			column = 0
			continue
		}
		if column++; column > maxLine+1 || (column > maxLine && c != '\r') {
			o.tooLong = true
		}
	}
	o.bareCR = o.bareCR || strings.HasSuffix(text, "\r")
	return o
}

// inPieces is what textHazards makes of a text that comes in pieces of a size.
func inPieces(text string, size int) textHazards {
	var o textHazards
	for p := []byte(text); len(p) > 0; {
		n := min(size, len(p))
		o.write(p[:n])
		p = p[n:]
	}
	o.end()
	return textHazards{eightBit: o.eightBit, bareCR: o.bareCR, bareLF: o.bareLF, tooLong: o.tooLong}
}

func TestWhatWillBreakOnTheWay(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name, text string
		want       textHazards
	}{
		{"nothing", "", textHazards{}},
		{"plain lines", "hello\r\n\r\nworld\r\n", textHazards{}},
		{"an octet of 8 bits", "hell\xf6\r\n", textHazards{eightBit: true}},
		{"one among eight", "1234567\x80\r\n", textHazards{eightBit: true}},
		{"DEL is of 7", "\x7f\r\n", textHazards{}},
		{"a bare CR", "a\rb\r\n", textHazards{bareCR: true}},
		{"a bare CR at the end", "a\r", textHazards{bareCR: true}},
		{"two CRs", "a\r\r\n", textHazards{bareCR: true}},
		{"a bare LF", "a\nb\r\n", textHazards{bareLF: true}},
		{"a bare LF at the front", "\n", textHazards{bareLF: true}},
		{"LF CR", "a\n\rb", textHazards{bareLF: true, bareCR: true}},
		{"998 octets", x(998) + "\r\n" + x(998) + "\r\n", textHazards{}},
		{"999 octets", x(10) + "\r\n" + x(999) + "\r\n", textHazards{tooLong: true}},
		{"998 octets without an end", x(998), textHazards{}},
		{"1000 octets without an end", x(1000), textHazards{tooLong: true}},
		{"VT and other octets near CR and LF", "\x0b\x0c\x0e\x09\x8d\x8a\r\n", textHazards{eightBit: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 7, 8, 9, 64, 1000, 1 << 20} {
				if got := inPieces(c.text, size); got != c.want {
					t.Errorf("in pieces of %d: %+v, want %+v", size, got, c.want)
				}
			}
		})
	}
}

func FuzzTextHazards(f *testing.F) {
	f.Add("a\r\nb\n\xffc\r", uint16(3))
	f.Add(strings.Repeat("x", 997)+"\r\n"+strings.Repeat("y", 1200), uint16(500))
	f.Fuzz(func(t *testing.T, text string, size uint16) {
		got, want := inPieces(text, int(size)+1), seen(text)
		if longest(text) == maxLine+1 {
			got.tooLong = want.tooLong // it is reported one octet later, if that is no CR
		}
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// longest is the length of the longest line.
func longest(text string) int {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n = max(n, len(strings.TrimSuffix(line, "\r")))
	}
	return n
}

func TestAFragileMessageIsSignedWithANote(t *testing.T) {
	s, _ := newSigner(t, "domains:\n  - domain: example.com\n    selectors: [ed1]\n")
	simple, _ := newSigner(t, "canonicalization: simple/simple\ndomains:\n  - domain: example.com\n    selectors: [ed1]\n")
	for _, c := range []struct {
		name   string
		signer *Signer
		env    message.Envelope
		header string
		body   string
		want   string // of the note; "" none
	}{
		{"nothing", s, message.Envelope{}, "", "hello\r\n", ""},
		{"an 8-bit body", s, message.Envelope{}, "", "h\xc3\xa9\r\n", "the body is 8-bit and its header does not say so"},
		{"a well-formed 8-bit body of sendmail(1), which has no BODY=", s, message.Envelope{}, "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n", "h\xc3\xa9\r\n", ""},
		{"the encoding in capitals, with a comment", s, message.Envelope{}, "mime-version: 1.0\nContent-Transfer-Encoding:  8BIT (raw)\n", "h\xc3\xa9\r\n", ""},
		{"the encoding is folded", s, message.Envelope{}, "MIME-Version: 1.0\nContent-Transfer-Encoding:\n 8bit\n", "h\xc3\xa9\r\n", ""},
		{"a binary body", s, message.Envelope{}, "MIME-Version: 1.0\nContent-Transfer-Encoding: binary\n", "h\xc3\xa9\r\n", ""},
		{"parts with encodings of their own", s, message.Envelope{}, "MIME-Version: 1.0\nContent-Type: Multipart/Mixed; boundary=x\n", "h\xc3\xa9\r\n", ""},
		{"an 8-bit body that is said to be of 7", s, message.Envelope{}, "MIME-Version: 1.0\nContent-Transfer-Encoding: 7bit\n", "h\xc3\xa9\r\n", "its header does not say so"},
		{"parts that are said to be of 7", s, message.Envelope{}, "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\nContent-Transfer-Encoding: 7bit\n", "h\xc3\xa9\r\n", "its header does not say so"},
		{"an 8-bit body that is said to be encoded", s, message.Envelope{}, "MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n", "h\xc3\xa9\r\n", "its header does not say so"},
		{"8bit without MIME-Version", s, message.Envelope{}, "Content-Transfer-Encoding: 8bit\n", "h\xc3\xa9\r\n", "its header does not say so"},
		{"8bit without 8-bit octets", s, message.Envelope{}, "MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n", "hello\r\n", ""},
		{"an 8-bit body that was announced", s, message.Envelope{EightBit: true}, "", "h\xc3\xa9\r\n", ""},
		{"an 8-bit header", s, message.Envelope{EightBit: true}, "X: h\xc3\xa9\n", "", "the header is 8-bit without SMTPUTF8"},
		{"an 8-bit header of SMTPUTF8", s, message.Envelope{SMTPUTF8: true}, "X: h\xc3\xa9\n", "", ""},
		{"a long line", s, message.Envelope{}, "", strings.Repeat("x", 1500) + "\r\n", "a line is longer than 998 octets"},
		{"a long header line", s, message.Envelope{}, "References: " + strings.Repeat("x", 998) + "\n", "", "a line is longer than 998 octets"},
		{"a long header in folds", s, message.Envelope{}, "References: " + strings.Repeat("x\n ", 998) + "x\n", "", ""},
		{"a bare CR", s, message.Envelope{}, "", "a\rb\r\n", "a CR or LF stands alone"},
		{"blanks that are guessed", s, message.Envelope{BlanksGuessed: true}, "", "", ""},
		{"blanks that are guessed and c=simple", simple, message.Envelope{BlanksGuessed: true}, "", "", "write signer.canonicalization: relaxed/relaxed"},
		{"blanks that are seen and c=simple", simple, message.Envelope{}, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var trace message.Trace
			tx := c.signer.Explain(t.Context(), c.env, &trace)
			tx.Header(c.env, header(t, "From: a@example.com\n"+c.header))
			tx.Body([]byte(c.body))
			out := tx.End()
			got := noteOf(out, "fragile")
			if len(out.Insert) != 1 || (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("the note is %q, want %q in it; outcome %+v", got, c.want, out)
			}
			last := trace.Steps[len(trace.Steps)-5:]
			told := 0
			for _, step := range last {
				if !strings.HasPrefix(step.Result, noHazard) {
					told++
				}
			}
			if told > 0 != (c.want != "") {
				t.Errorf("the trace ends in %+v", last)
			}
		})
	}
}

// The advice has to hold where the next hop lacks 8BITMIME: there BODY= changes nothing.
func TestTheAdviceOn8BitMailIsOneThatHelps(t *testing.T) {
	s, _ := newSigner(t, "domains:\n  - domain: example.com\n    selectors: [ed1]\n")
	for _, env := range []message.Envelope{{}, {EightBit: true}} {
		var trace message.Trace
		tx := s.Explain(t.Context(), env, &trace)
		tx.Header(env, header(t, "From: a@example.com\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n"))
		tx.Body([]byte("h\xc3\xa9\r\n"))
		if note := noteOf(tx.End(), "fragile"); note != "" {
			t.Errorf("the note is %q", note)
		}
		step := trace.Steps[len(trace.Steps)-5]
		if step.Rule != "8-bit body" || !strings.Contains(step.Result, "disable_mime_output_conversion = yes") || strings.Contains(step.Result, "say BODY=") {
			t.Errorf("%+v", step)
		}
	}
}

func TestLookingAtOctetsAllocatesNothing(t *testing.T) {
	p := bytes.Repeat([]byte("hello, world; this is a line of usual length that stands in a letter\r\n"), 100)
	var o textHazards
	if n := testing.AllocsPerRun(100, func() { o.write(p) }); n != 0 {
		t.Errorf("%v allocations a piece", n)
	}
}

func BenchmarkTextHazards(b *testing.B) {
	for name, line := range map[string]string{
		"lines":   "hello, world; this is a line of usual length that stands in a letter\r\n",
		"empty":   "\r\n",
		"endless": strings.Repeat("x", 70),
	} {
		b.Run(name, func(b *testing.B) {
			p := bytes.Repeat([]byte(line), 64<<10/len(line))
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				var o textHazards
				o.write(p)
			}
		})
	}
}

// BenchmarkSignBody is what signing costs by the octet, with and without a look at
// what will break.
func BenchmarkSignBody(b *testing.B) {
	s, _ := newSigner(b, "domains:\n  - domain: example.com\n    selectors: [ed1]\n")
	h := header(b, letter)
	p := bytes.Repeat([]byte("hello, world; this is a line of usual length that stands in a letter\r\n"), 64<<10/70)
	tx := s.Explain(b.Context(), message.Envelope{}, nil)
	tx.Header(message.Envelope{}, h)
	for name, write := range map[string]func(){
		"with":    func() { tx.Body(p) },
		"without": func() { tx.job.Write(p) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				write()
			}
		})
	}
}
