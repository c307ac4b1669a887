package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/message"
)

// zone is a resolver of TXT records from memory.
type zone map[string][]string

var errServFail = errors.New("SERVFAIL")

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if strings.HasPrefix(name, "servfail.") {
		return nil, errServFail
	}
	return z[name], nil
}

var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	keys["ed25519"] = ed
	for name, bits := range map[string]int{"rsa1024": 1024, "rsa2048": 2048} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		keys[name] = key
	}
	return keys
})

// testZone publishes the test keys under their names as selectors.
func testZone(t testing.TB) zone {
	t.Helper()
	z := zone{}
	for name, key := range testKeys() {
		record, err := KeyRecord(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		z[name+"._domainkey.example.org"] = []string{record}
	}
	return z
}

// header makes a header of lines "Name: value".
func header(lines ...string) message.Header {
	h := make(message.Header, len(lines))
	for i, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h[i] = message.Field{Name: name, Value: value}
	}
	return h
}

func plainHeader() message.Header {
	return header("Received: from a.example by b.example;\r\n\tSat, 21 Nov 2026 12:00:00 +0000",
		"From: Ann <ann@example.org>", "To:  Bob <bob@example.net>", "Subject: a \t test\r\n  of folding ",
		"Date: Sat, 21 Nov 2026 12:00:00 +0000", "Message-ID: <1@example.org>")
}

var plainNames = []string{"From", "To", "Subject", "Date", "Message-ID", "From", "Subject", "Reply-To"}

var testTime = time.Unix(1795262400, 0)

func params(key string) SignParams {
	return SignParams{Domain: "example.org", Selector: key, Key: testKeys()[key], Headers: plainNames, Time: testTime}
}

// sign signs and returns the header with the new fields on top.
func sign(t testing.TB, h message.Header, body string, p ...SignParams) message.Header {
	t.Helper()
	s, err := NewSigning(h, p)
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte(body))
	fields, err := s.Fields()
	if err != nil {
		t.Fatal(err)
	}
	signed := message.Header{}
	for _, f := range fields {
		signed = append(signed, message.Field{Name: f.Name, Value: " " + f.Value})
	}
	return append(signed, h...)
}

// verify judges a message with every key looked up.
func verify(h message.Header, body string, z Resolver, opt Options) []Outcome {
	v := NewVerification(h, opt)
	for i := range v.Keys() {
		v.LookupKey(context.Background(), i, z)
	}
	v.Write([]byte(body))
	return v.Finish()
}

const plainBody = "Hello,\r\n\r\n  this is  a test. \r\n\r\n\r\n"

func TestWhatWeSignWeVerify(t *testing.T) {
	z := testZone(t)
	for name := range testKeys() {
		for _, hc := range []Canonicalization{Simple, Relaxed} {
			for _, bc := range []Canonicalization{Simple, Relaxed} {
				t.Run("SIG-013 "+name+" "+string(hc)+"/"+string(bc), func(t *testing.T) {
					p := params(name)
					p.HeaderCanon, p.BodyCanon = hc, bc
					h := sign(t, plainHeader(), plainBody, p)
					out := verify(h, plainBody, z, Options{Now: testTime})
					if len(out) != 1 || out[0].Result != Pass {
						t.Fatalf("%+v", out)
					}
					if out := verify(h, plainBody+"x", z, Options{}); out[0].Result != Fail || out[0].Reason != reasonBody {
						t.Errorf("changed body: %+v", out)
					}
					h[2].Value += "x"
					if out := verify(h, plainBody, z, Options{}); out[0].Result != Fail || out[0].Reason != reasonHeader {
						t.Errorf("changed field: %+v", out)
					}
				})
			}
		}
	}
}
