package e2e

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
)

// A testKey is a key pair with its selector, in the forms of a key file and a DNS
// record. The test makes it, not Signpost.
type testKey struct {
	selector string
	signer   crypto.Signer
	pem      []byte
	record   string
}

// ourKeys are the keys of ourDomain, made once: "rsa", "rsa2" and "ed".
var ourKeys = sync.OnceValue(func() []testKey {
	return []testKey{rsaKey("rsa"), rsaKey("rsa2"), ed25519Key("ed")}
})

// theirKey is the key of foreign domains, selector "sel".
var theirKey = sync.OnceValue(func() testKey { return rsaKey("sel") })

func rsaKey(selector string) testKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	return newKey(selector, key, "v=DKIM1; k=rsa; p=", pub, err)
}

func ed25519Key(selector string) testKey {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	return newKey(selector, key, "v=DKIM1; k=ed25519; p=", pub, err)
}

func newKey(selector string, key crypto.Signer, tags string, pub []byte, err error) testKey {
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return testKey{
		selector: selector,
		signer:   key,
		pem:      pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		record:   tags + base64.StdEncoding.EncodeToString(pub),
	}
}

// at is the DNS name of the key's record in a domain.
func (k testKey) at(domain string) string { return k.selector + "._domainkey." + domain }

// line is the record as a line of a zone file.
func (k testKey) line(domain string) string { return txtLine(k.at(domain), k.record) }

// txtLine is a TXT record as a line of a zone file, in strings of 255 bytes at
// most (RFC 1035 §3.3).
func txtLine(name, text string) string {
	line := name + ". 300 IN TXT"
	for len(text) > 255 {
		line, text = line+fmt.Sprintf(" %q", text[:255]), text[255:]
	}
	return line + fmt.Sprintf(" %q\n", text)
}

// ourZone is the zone that publishes our keys.
func ourZone() string {
	var zone strings.Builder
	for _, k := range ourKeys() {
		zone.WriteString(k.line(ourDomain))
	}
	return zone.String()
}
