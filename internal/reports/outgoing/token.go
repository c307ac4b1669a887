package outgoing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

const (
	// A token has the day of its report, a key that finds the delivery, and a code that only
	// this program can make: 2, 8 and 10 octets, written as 32 letters and digits. Upper and
	// lower case are the same, since some MTAs change them.
	dayOctets, keyOctets, macOctets = 2, 8, 10

	tokenLength  = (dayOctets + keyOctets + macOctets) * 8 / 5
	maxFromLocal = 64 - 1 - tokenLength
	// tokenLife is how long after its day a report may bounce: longer than MTAs keep mail in
	// their queues.
	tokenLife = 21 * 24 * time.Hour
)

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Tokens makes and checks the addresses that reports bounce to: LOCAL+TOKEN@DOMAIN of the
// From address. None can be made without the secret, so a forged bounce silences no
// address.
type Tokens struct {
	secret        []byte
	local, domain string
}

// NewTokens makes tokens with a secret, for the address that reports come from.
func NewTokens(secret []byte, from string) *Tokens {
	address, err := plainAddress(from)
	if err != nil {
		return nil
	}
	at := strings.LastIndexByte(address, '@')
	return &Tokens{secret, strings.ToLower(address[:at]), address[at+1:]}
}

// key identifies the delivery of a report to an address. It is not secret.
func deliveryKey(reportID, address string) [keyOctets]byte {
	sum := sha256.Sum256([]byte(reportID + "\x00" + sameAddress(address)))
	return [keyOctets]byte(sum[:])
}

func (t *Tokens) mac(head []byte) []byte {
	h := hmac.New(sha256.New, t.secret)
	h.Write([]byte("bounce address of a DMARC report\x00" + t.domain + "\x00"))
	h.Write(head)
	return h.Sum(nil)[:macOctets]
}

// address is the reverse-path of a report about a day.
func (t *Tokens) address(day int64, key [keyOctets]byte) string {
	head := binary.BigEndian.AppendUint16(nil, uint16(day))
	head = append(head, key[:]...)
	return t.local + "+" + letters.EncodeToString(append(head, t.mac(head)...)) + "@" + t.domain
}

// read returns the delivery that an address with a true token belongs to. What stands before
// the local part is ignored: some MTAs tag the reverse-paths of mail that leaves.
func (t *Tokens) read(address string) (day int64, key [keyOctets]byte, ok bool) {
	if t == nil {
		return 0, key, false
	}
	at := strings.LastIndexByte(address, '@')
	if at < tokenLength+1 || !strings.EqualFold(strings.TrimSuffix(address[at+1:], "."), t.domain) {
		return 0, key, false
	}
	before, token := strings.ToLower(address[:at-tokenLength]), strings.ToLower(address[at-tokenLength:at])
	if !strings.HasSuffix(before, t.local+"+") {
		return 0, key, false
	}
	octets, err := letters.DecodeString(token)
	if err != nil {
		return 0, key, false
	}
	head := octets[:dayOctets+keyOctets]
	if !hmac.Equal(octets[len(head):], t.mac(head)) {
		return 0, key, false
	}
	return int64(binary.BigEndian.Uint16(head)), [keyOctets]byte(head[dayOctets:]), true
}

// Mine tells whether an address is one that reports bounce to, however old.
func (t *Tokens) Mine(address string) bool {
	_, _, ok := t.read(address)
	return ok
}

// expired tells whether a bounce for the reports about a day comes too late to count.
func expired(day int64, now time.Time) bool {
	end := time.Unix((day+1)*86400, 0)
	return now.After(end.Add(tokenLife)) || now.Before(end)
}
