package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"math/rand/v2"
	"strings"
	"testing"
)

// referenceBody implements §3.4.3 and §3.4.4 literally, on the whole body.
func referenceBody(body string, c Canonicalization) string {
	lines := strings.Split(body, "\r\n")
	if c == Relaxed {
		for i, line := range lines {
			fields := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
			text := strings.Join(fields, " ")
			if text != "" && strings.ContainsAny(line[:1], " \t") {
				text = " " + text
			}
			lines[i] = text
		}
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		if c == Simple {
			return "\r\n"
		}
		return ""
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// recorder is a hash that keeps what it is given.
type recorder struct {
	hash.Hash
	bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) { return r.Buffer.Write(p) }
func (r *recorder) Reset()                      { r.Buffer.Reset() }
func (r *recorder) Sum(b []byte) []byte {
	sum := sha256.Sum256(r.Buffer.Bytes())
	return append(b, sum[:]...)
}

func canonicalBody(body string, c Canonicalization, cut func(rest int) int) string {
	r := &recorder{Hash: sha256.New()}
	b := NewBodyHash(c, r)
	for p := []byte(body); len(p) > 0; {
		n := cut(len(p))
		b.Write(p[:n])
		p = p[n:]
	}
	b.Close()
	return r.String()
}

func whole(rest int) int { return rest }

func TestBodyCanonicalization(t *testing.T) {
	for _, tt := range []struct{ name, body, simple, relaxed string }{
		{"an empty body is one line end, or nothing", "", "\r\n", ""},
		{"a line end is one line end, or nothing", "\r\n", "\r\n", ""},
		{"only empty lines", "\r\n\r\n\r\n", "\r\n", ""},
		{"the final line end is added", "a", "a\r\n", "a\r\n"},
		{"line ends at the end are reduced to one", "a\r\n\r\n\r\n", "a\r\n", "a\r\n"},
		{"empty lines elsewhere stay", "\r\n\r\na\r\n\r\nb", "\r\n\r\na\r\n\r\nb\r\n", "\r\n\r\na\r\n\r\nb\r\n"},
		{"§3.4.5", " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},
		{"lines of white space are empty", "a\r\n \t\r\n\t\r\n", "a\r\n \t\r\n\t\r\n", "a\r\n"},
		{"only white space", " \t \r\n", " \t \r\n", ""},
		{"white space without a line end", " \t ", " \t \r\n", ""},
		{"white space at the very end", "a \t ", "a \t \r\n", "a\r\n"},
		{"a tab becomes a blank", "a\tb\r\n", "a\tb\r\n", "a b\r\n"},
		{"a tab at the beginning becomes a blank", "\ta\r\n", "\ta\r\n", " a\r\n"},
		{"a bare CR is text", "a\rb\r\n", "a\rb\r\n", "a\rb\r\n"},
		{"a bare LF is text", "a \nb\n", "a \nb\n\r\n", "a \nb\n\r\n"},
		{"white space before a bare CR stays", "a \t\rb\r\n", "a \t\rb\r\n", "a \rb\r\n"},
		{"CR CR LF is a CR and a line end", "a\r\r\n\r\n", "a\r\r\n", "a\r\r\n"},
		{"a CR at the end is text", "a\r\n\r", "a\r\n\r\r\n", "a\r\n\r\r\n"},
		{"blank and CR at the end are text", "a \r", "a \r\r\n", "a \r\r\n"},
		{"a NUL is text", "\x00 \x00\r\n", "\x00 \x00\r\n", "\x00 \x00\r\n"},
		{"an exclamation mark after a blank is no control", "wait !x !y !z ok\r\n", "wait !x !y !z ok\r\n", "wait !x !y !z ok\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for c, want := range map[Canonicalization]string{Simple: tt.simple, Relaxed: tt.relaxed} {
				for size := 1; size <= len(tt.body)+1; size++ {
					got := canonicalBody(tt.body, c, func(rest int) int { return min(rest, size) })
					if got != want {
						t.Fatalf("%s in pieces of %d: %q, want %q", c, size, got, want)
					}
				}
			}
		})
	}
}

// randomBody has many of the octets that canonicalization changes.
func randomBody(r *rand.Rand, n int) string {
	pieces := []string{" ", "\t", "\r\n", "\r", "\n", "a", "!", "word", "  ", " \r\n", strings.Repeat("x", 70), "\x80", "\r\n\r\n"}
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// denseRandomBody is mostly white space and line ends.
func denseRandomBody(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "  \t\r\n\na"[r.IntN(7)]
	}
	return string(b)
}

func TestBodyCanonicalizationIsWhatTheReferenceSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		body := randomBody(r, r.IntN(400))
		if i%30 == 0 { // long enough to bypass the buffers
			body = randomBody(r, 20000)
		}
		if i%60 == 0 {
			body = denseRandomBody(r, 20000)
		}
		for _, c := range []Canonicalization{Simple, Relaxed} {
			want := referenceBody(body, c)
			if got := canonicalBody(body, c, whole); got != want {
				t.Fatalf("%s of %q:\n got %q\nwant %q", c, body, got, want)
			}
			// The body may be cut anywhere.
			if got := canonicalBody(body, c, func(rest int) int { return 1 + r.IntN(rest) }); got != want {
				t.Fatalf("%s of %q in pieces:\n got %q\nwant %q", c, body, got, want)
			}
		}
	}
}

// The reader skips ahead where there is no white space; it must continue at the right
// octet.
func TestRelaxedBodyAfterALeap(t *testing.T) {
	for _, ending := range []string{"", " ", "\t", "\r", "\n", " \r\n", "\r\n", "\r\n\r\n", "  x", "\tx", " x ", " \t \r\n \r\nx", "x\r\n y", " \r", "\r \n"} {
		for n := lookEvery - 40; n < lookEvery+40; n++ {
			for _, far := range []int{0, lookEvery, lookAt, 2*lookAt + lookEvery} {
				body := strings.Repeat("x", n+far) + ending + strings.Repeat("y", lookEvery) + ending
				want := referenceBody(body, Relaxed)
				if got := canonicalBody(body, Relaxed, whole); got != want {
					t.Fatalf("%d octets and %q: %d octets, want %d", n+far, ending, len(got), len(want))
				}
			}
		}
	}
}

func TestTheHashesOfAnEmptyBody(t *testing.T) {
	for c, want := range map[Canonicalization]string{
		Simple:  "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=",
		Relaxed: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
	} {
		b := NewBodyHash(c, sha256.New())
		b.Close()
		b.Close()
		b.Write([]byte("too late"))
		if got := base64.StdEncoding.EncodeToString(b.Sum()); got != want {
			t.Errorf("%s: %s, want %s", c, got, want)
		}
	}
}

func TestWritingABodyAllocatesNothing(t *testing.T) {
	for _, body := range [][]byte{textBody(100000), htmlBody(100000), base64Body(100000), blankBody(100000), denseBody(100000)} {
		for _, c := range []Canonicalization{Simple, Relaxed} {
			b := NewBodyHash(c, sha256.New())
			if n := testing.AllocsPerRun(10, func() { b.Write(body) }); n != 0 {
				t.Errorf("%s: %v allocations for %.20q…", c, n, body)
			}
		}
	}
}
