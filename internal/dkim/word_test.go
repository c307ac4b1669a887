package dkim

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// Processing eight octets at a time gives the same results as one at a time.
func TestWordsAgreeWithOctets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const telling = " \t\r\n\x00\x1f!@AZ[`az{\x7f\x80\x9f\xa0\xc1\xda\xff"
	for range 20000 {
		text := make([]byte, random.IntN(30))
		for i := range text {
			text[i] = telling[random.IntN(len(telling))]
		}
		s := string(text)
		for _, least := range []byte{' ', ' ' + 1, 128} {
			want := 0
			for want < len(s) && s[want] >= least {
				want++
			}
			if got := runOf(s, least); got != want {
				t.Fatalf("runOf(%q, %d) is %d, want %d", s, least, got, want)
			}
		}
		strip := strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "")
		if got, want := stripFWS(s), strip.Replace(s); got != want {
			t.Fatalf("stripFWS(%q) is %q, want %q", s, got, want)
		}
		if len(s) < 8 {
			continue
		}
		w, low := word(s), lowerWord(word(s))
		for i := range 8 {
			c := s[i]
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			if got := byte(low >> (8 * i)); got != c {
				t.Fatalf("lowerWord of %q has %q at %d, want %q", s, got, i, c)
			}
			for _, other := range []byte(" \t\r\n\x7f") {
				if got := differ(w, other)>>(8*i)&0x80 != 0; got != (s[i] != other) {
					t.Fatalf("differ(%q, %q) at %d is %v", s, other, i, got)
				}
			}
		}
	}
}
