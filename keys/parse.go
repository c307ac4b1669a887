package keys

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"signpost/internal/openssl"
)

// maxKeyFile bounds a key file, in bytes. An RSA key of 8192 bits has 6,400.
const maxKeyFile = 64 << 10

var errNoKey = errors.New("there is no private key in it: it must hold RSA or Ed25519 in PEM, or the base64 of an Ed25519 seed")

// parse reads the one private key in a key file. It skips certificates and parameters. No error
// repeats the file's text, since that may be key material.
func parse(text []byte) (crypto.Signer, error) { return parseWith(text, noRSA) }

// parseWith is parse with another reader of RSA keys in PKCS #1. If it returns nil, crypto/x509
// reads the key.
func parseWith(text []byte, readRSA func(pkcs1 []byte) crypto.Signer) (crypto.Signer, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // the byte order mark of some editors
	if bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff}) {
		return nil, errors.New("its text is UTF-16: change it with iconv -f UTF-16 -t ASCII FILE")
	}
	if !bytes.Contains(text, []byte("-----BEGIN")) {
		return parseSeed(text)
	}
	var key crypto.Signer
	other := ""
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			other = block.Type
			continue
		}
		if key != nil {
			return nil, errors.New("there is more than one private key in it: leave one, and give the other a file and a selector of its own")
		}
		var err error
		if key, err = parseBlock(block, readRSA); err != nil {
			return nil, err
		}
	}
	switch {
	case key != nil:
		return key, nil
	case strings.HasSuffix(other, "PUBLIC KEY"):
		return nil, errors.New("it holds the public key only: put the private key there")
	case other == "":
		return nil, errors.New("its PEM text is damaged: copy the file again, whole")
	}
	return nil, errNoKey
}

func noRSA([]byte) crypto.Signer { return nil }

func parseBlock(block *pem.Block, readRSA func(pkcs1 []byte) crypto.Signer) (crypto.Signer, error) {
	const plain = "openssl pkey -in FILE -out NEWFILE"
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, errors.New("it is locked with a passphrase, which cannot be entered when the daemon starts: unlock it with " + plain)
	case block.Type == "OPENSSH PRIVATE KEY":
		return nil, errors.New("it is in the form of OpenSSH: change it with ssh-keygen -p -m PKCS8 -f FILE")
	case block.Type == "RSA PRIVATE KEY":
		if key := readRSA(block.Bytes); key != nil {
			return key, nil
		}
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("its RSA key is damaged: copy the file again, whole; openssl pkey -in FILE -check says more")
		}
		return key, nil
	case block.Type != "PRIVATE KEY":
		return nil, fmt.Errorf("DKIM has no algorithm for %s: make an RSA or Ed25519 key", kindOf(block.Type))
	}
	if pkcs1 := openssl.PKCS1Within(block.Bytes); pkcs1 != nil {
		if key := readRSA(pkcs1); key != nil {
			return key, nil
		}
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("its key is damaged or of a kind that DKIM does not have (%v)", err)
	}
	key, ok := any.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("its key cannot sign (%T): make an RSA or Ed25519 key", any)
	}
	return key, nil
}

// kindOf shortens a PEM type for a message.
func kindOf(pemType string) string {
	const longest = 40
	if len(pemType) > longest {
		pemType = pemType[:longest]
	}
	return fmt.Sprintf("%q", pemType)
}

// parseSeed reads the base64 of an Ed25519 seed (RFC 8032 §5.1.5), padded or not.
func parseSeed(text []byte) (crypto.Signer, error) {
	word := strings.Join(strings.Fields(string(text)), "")
	if word == "" {
		return nil, errors.New("the file is empty")
	}
	seed, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(word, "="))
	if err != nil {
		return nil, errNoKey
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("its base64 is %d octets: an Ed25519 seed has %d, and RSA keys need their PEM lines (-----BEGIN …)", len(seed), ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
