package dns

import (
	"crypto/rand"
	"errors"
	"time"

	wire "github.com/miekg/dns"
)

// Questions have letters of random case, which nearly all servers return unchanged
// (draft-vixie-dnsext-dns0x20): to forge a reply, the case must be guessed too.

const (
	// plainTime is how long a server that changes the case gets lower case.
	plainTime = time.Hour
	// provingLetters is how many letters in the right case show that a server keeps
	// them.
	provingLetters = 8
)

var errOtherCase = errors.New("the reply has the question in letters of other case, which may be a forgery")

// mixes reports whether the server gets letters of random case.
func (s *server) mixes(now time.Time) bool {
	return s.distant && s.plainUntil.Load() <= now.UnixNano()
}

func (s *server) askPlainly(now time.Time) { s.plainUntil.Store(now.Add(plainTime).UnixNano()) }

// mixCase gives each letter of a name a random case.
func mixCase(name string) string {
	var random [(maxName*4 + 7) / 8]byte // an octet takes four characters at most
	bits := random[:(len(name)+7)/8]
	_, _ = rand.Read(bits) // never fails, says its documentation
	b := []byte(name)
	for i, c := range b {
		if isLetter(c) && bits[i/8]>>(i%8)&1 == 1 {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// proves reports whether the case of a reply is unlikely to match by chance.
func proves(q *wire.Msg) bool {
	letters := 0
	for i := range len(q.Question[0].Name) {
		if isLetter(q.Question[0].Name[i]) {
			letters++
		}
	}
	return letters >= provingLetters
}

// sameCase reports whether a reply to the query has its case.
func sameCase(m, q *wire.Msg) bool {
	return unescape(m.Question[0].Name) == unescape(q.Question[0].Name)
}
