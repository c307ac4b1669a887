package dkim

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// slowRun implements the comment of unchangedRun.
func slowRun(p []byte) int {
	for i, c := range p {
		if c == '\t' || c == ' ' && (i+1 == len(p) || strings.IndexByte(" \t\r", p[i+1]) >= 0) {
			return i
		}
	}
	return len(p)
}

// slowReduced is what reduce writes for p.
func slowReduced(p []byte) []byte {
	var out []byte
	for i := range max(len(p)-2, 0) {
		switch {
		case !isWSP(p[i]):
			out = append(out, p[i])
		case !isWSP(p[i+1]) && string(p[i+1:i+3]) != "\r\n":
			out = append(out, ' ')
		}
	}
	return out
}

// checkRelax compares both with the reference, on each kind of processor.
func checkRelax(t *testing.T, p []byte) {
	t.Helper()
	for _, kind := range processors {
		kind.use(func() {
			if got, want := unchangedRun(p), slowRun(p); got != want {
				t.Errorf("%s: of %q %d octets stay, want %d", kind.name, p, got, want)
			}
			block := p[:min(len(p), maxBlock+2)]
			var room [maxBlock]byte
			if got, want := room[:reduce(&room, block)], slowReduced(block); !bytes.Equal(got, want) {
				t.Errorf("%s: of %q is left\n%q, want\n%q", kind.name, block, got, want)
			}
		})
	}
}

// Each kind of white space at each position of a vector, and across two.
func TestRelaxAtEveryPlace(t *testing.T) {
	for _, s := range []string{"\t", " ", "  ", " \t", "\t ", " \r\n", "\t\r\n", " \r", " \rx", "\r\n", " \n", " \x00", "\t\x80", " \xa0", "\xa0", "   ", " \r\r\n"} {
		for at := range 140 {
			p := bytes.Repeat([]byte("x"), 150)
			copy(p[at:], s)
			checkRelax(t, p)
			checkRelax(t, p[:at+len(s)])
			checkRelax(t, append(bytes.Repeat([]byte(s), 40), p[:at]...))
		}
	}
}

func TestRelaxOfRandomText(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		letters := []string{"x \t\r\n", "xxxxxxxxx  \r\n", "abcdefghijklmnopqrstuvwxyz\x00\xa0\xff "}[random.IntN(3)]
		p := make([]byte, random.IntN(maxBlock+100))
		for i := range p {
			p[i] = letters[random.IntN(len(letters))]
		}
		checkRelax(t, p)
		body := string(p)
		for _, kind := range processors {
			kind.use(func() {
				if got, want := canonicalBody(body, Relaxed, whole), referenceBody(body, Relaxed); got != want {
					t.Errorf("%s: %q:\n got %q\nwant %q", kind.name, body, got, want)
				}
			})
		}
	}
}

func FuzzRelax(f *testing.F) {
	for _, s := range []string{"", "\t", "a  b \r\n", " \rx", "<td>\r\n\t\t", strings.Repeat("x", 40) + " \r\n"} {
		f.Add([]byte(s), 70)
	}
	f.Fuzz(func(t *testing.T, p []byte, times int) {
		if len(p) > 0 {
			p = bytes.Repeat(p, 1+max(times, -times, 0)%(1+(maxBlock+100)/len(p)))
		}
		checkRelax(t, p)
		checkRelax(t, append([]byte("0123456789"), p...))
	})
}
