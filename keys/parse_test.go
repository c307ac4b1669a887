package keys

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files under testdata were made by openssl, ssh-keygen and dkimpy, and for
// no other purpose than these tests; one is the key of RFC 6376 appendix C.
func testFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseReadsWhatOtherToolsWrite(t *testing.T) {
	for _, c := range []struct {
		name, file string
		alg        Algorithm
		bits       int
	}{
		{"PKCS #1 of openssl genrsa -traditional", "rsa2048-pkcs1.pem", RSA, 2048},
		{"PKCS #8 of openssl genrsa", "rsa2048-pkcs8.pem", RSA, 2048},
		{"a long key", "rsa4096.pem", RSA, 4096},
		{"the key of RFC 6376 appendix C", "rfc6376-appendix-c.pem", RSA, 1024},
		{"Ed25519 of openssl genpkey", "ed25519-pkcs8.pem", Ed25519, 256},
		{"the base64 of a seed, as dkimpy writes it", "ed25519-dkimpy.key", Ed25519, 256},
		{"a key behind its certificate", "certificate-and-key.pem", RSA, 2048},
	} {
		t.Run(c.name, func(t *testing.T) {
			signer, err := parse(testFile(t, c.file))
			if err != nil {
				t.Fatal(err)
			}
			k, err := newKey(Ref{"example.com", "s"}, signer)
			if err != nil {
				t.Fatal(err)
			}
			if k.Algorithm != c.alg || k.Bits != c.bits {
				t.Errorf("got %s of %d bits, want %s of %d", k.Algorithm, k.Bits, c.alg, c.bits)
			}
			checkSigns(t, k)
		})
	}
}

// checkSigns holds the private half of a key to its public half.
func checkSigns(t *testing.T, k *Key) {
	t.Helper()
	digest := sha256.Sum256([]byte("a message"))
	hash := crypto.SHA256
	if k.Algorithm == Ed25519 {
		hash = 0
	}
	sig, err := k.Signer.Sign(rand.Reader, digest[:], hash)
	if err != nil {
		t.Fatal(err)
	}
	switch pub := k.Signer.Public().(type) {
	case *rsa.PublicKey:
		if err := rsa.VerifyPKCS1v15(pub, hash, digest[:], sig); err != nil {
			t.Error(err)
		}
	case ed25519.PublicKey:
		if !ed25519.Verify(pub, digest[:], sig) {
			t.Error("the signature does not verify")
		}
	}
}

func TestASeedMayBeFoldedUnpaddedAndEndWithAnEmptyLine(t *testing.T) {
	want, err := parse(testFile(t, "ed25519-dkimpy.key"))
	if err != nil {
		t.Fatal(err)
	}
	seed := strings.TrimSpace(string(testFile(t, "ed25519-dkimpy.key")))
	for _, text := range []string{seed + "\n\n", strings.TrimRight(seed, "="), "  " + seed[:20] + "\r\n\t" + seed[20:] + "\r\n"} {
		got, err := parse([]byte(text))
		if err != nil || !bytes.Equal(got.(ed25519.PrivateKey), want.(ed25519.PrivateKey)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseSaysWhatIsInTheFileInstead(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "the file is empty"},
		{"white space", " \r\n\t\n", "the file is empty"},
		{"words", "please, sign my mail", errNoKey.Error()},
		{"base64 of another length", "bm90IGEga2V5", "its base64 is 9 octets: an Ed25519 seed has 32, and RSA keys need their PEM lines (-----BEGIN …)"},
		{"a public key", string(testFile(t, "public.pem")), "it holds the public key only: put the private key there"},
		{"a passphrase, in PKCS #1", string(testFile(t, "encrypted-pkcs1.pem")), "it is locked with a passphrase, which cannot be entered when the daemon starts: unlock it with openssl pkey -in FILE -out NEWFILE"},
		{"a passphrase, in PKCS #8", string(testFile(t, "encrypted-pkcs8.pem")), "it is locked with a passphrase, which cannot be entered when the daemon starts: unlock it with openssl pkey -in FILE -out NEWFILE"},
		{"an OpenSSH key", string(testFile(t, "openssh.pem")), "it is in the form of OpenSSH: change it with ssh-keygen -p -m PKCS8 -f FILE"},
		{"an elliptic curve key behind its parameters", string(testFile(t, "ec.pem")), `DKIM has no algorithm for "EC PRIVATE KEY": make an RSA or Ed25519 key`},
		{"a key that cannot sign", string(testFile(t, "x25519.pem")), "its key cannot sign (*ecdh.PrivateKey): make an RSA or Ed25519 key"},
		{"two keys", string(testFile(t, "two-keys.pem")), "there is more than one private key in it: leave one, and give the other a file and a selector of its own"},
		{"an RSA key whose octets are not one", "-----BEGIN RSA PRIVATE KEY-----\nZm9v\n-----END RSA PRIVATE KEY-----\n", "its RSA key is damaged: copy the file again, whole; openssl pkey -in FILE -check says more"},
		{"half a file", string(testFile(t, "cut-off.pem")), "its PEM text is damaged: copy the file again, whole"},
		{"a certificate without its key", strings.Split(string(testFile(t, "certificate-and-key.pem")), "-----BEGIN PRIVATE")[0], errNoKey.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parse([]byte(c.text)); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	t.Run("a key of RSA-PSS", func(t *testing.T) {
		_, err := parse(testFile(t, "rsa-pss.pem"))
		if err == nil || !strings.HasPrefix(err.Error(), "its key is damaged or of a kind that DKIM does not have") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a key whose numbers do not fit together", func(t *testing.T) {
		text := testFile(t, "rsa2048-pkcs1.pem")
		i := bytes.LastIndexByte(text[:len(text)-60], '\n') + 3
		text[i] ^= 1 // another letter of base64, within the private numbers
		if _, err := parse(text); err == nil {
			t.Error("it was taken")
		}
	})
}

func TestSIG_027_ErrorsNeverShowKeyMaterial(t *testing.T) {
	for _, file := range []string{"cut-off.pem", "ed25519-dkimpy.key", "rsa-pss.pem", "ec.pem"} {
		text := testFile(t, file)
		// A seed of 31 octets is as secret as one of 32.
		if _, err := parse(text[:len(text)-3]); err != nil {
			for i := 0; i+8 <= len(text); i++ {
				if part := string(text[i : i+8]); !strings.ContainsAny(part, "- \n") && strings.Contains(err.Error(), part) {
					t.Errorf("%s: the error shows %q", file, part)
				}
			}
		}
	}
}

func TestRSAKeyLengths(t *testing.T) {
	// Keys are judged by the length of their modulus alone; 8193 bits need not be
	// a product of primes for that.
	of := func(bits int) *Key { return &Key{Private: &Private{Bits: bits}} }
	for _, c := range []struct {
		name    string
		bits    int
		refused bool
		warning string
	}{
		{"under 1024 bits, which verifiers must refuse (RFC 8301 §3.2)", 1023, true, ""},
		{"1024 bits sign with a warning", 1024, false, "an RSA key of 1024 bits is weak: make one of 2048 bits under a new selector"},
		{"2047 bits sign with a warning", 2047, false, "an RSA key of 2047 bits is weak: make one of 2048 bits under a new selector"},
		{"2048 bits are good", 2048, false, ""},
		{"4096 bits are good", 4096, false, ""},
		{"above 4096 not everybody verifies", 4097, false, "verifiers need not accept an RSA key of 4097 bits, only up to 4096 (RFC 8301 §3.2)"},
		{"beyond 8192 a signature takes too long", 8193, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := of(c.bits)
			err := k.judgeRSA()
			if (err != nil) != c.refused || strings.Join(k.Warnings, "|") != c.warning {
				t.Errorf("error %v, warnings %q", err, k.Warnings)
			}
		})
	}
	t.Run("a real key of 512 bits is refused", func(t *testing.T) {
		signer, err := parse(testFile(t, "rsa512.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newKey(Ref{"example.com", "s"}, signer); err == nil || !strings.Contains(err.Error(), "512 bits") {
			t.Errorf("got %v", err)
		}
	})
}

func FuzzParse(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.*")
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > maxKeyFile {
			return
		}
		signer, err := parse(text)
		if (signer == nil) == (err == nil) {
			t.Fatalf("signer %v, error %v", signer, err)
		}
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("the error is more than one line: %q", err)
			}
			return
		}
		if k, err := newKey(Ref{"example.com", "s"}, signer); err == nil && !strings.HasPrefix(k.Record(), "v=DKIM1; k=") {
			t.Fatalf("no record for a key that was taken: %q", k.Record())
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, file := range []string{"rsa2048-pkcs8.pem", "rsa4096.pem", "ed25519-pkcs8.pem"} {
		b.Run(file, func(b *testing.B) {
			text := testFile(b, file)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("64 KiB of PEM without an end", func(b *testing.B) {
		text := bytes.Repeat([]byte("-----BEGIN A-----\n"), maxKeyFile/18)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := parse(text); err == nil {
				b.Fatal("taken")
			}
		}
	})
}

// Editors of Windows put a byte order mark in front.
func TestAByteOrderMarkInFrontOfAKeyIsSkipped(t *testing.T) {
	seed := base64.StdEncoding.EncodeToString(make([]byte, ed25519.SeedSize))
	for name, text := range map[string][]byte{
		"PEM": testFile(t, "rsa2048-pkcs8.pem"), "PEM, PKCS #1": testFile(t, "rsa2048-pkcs1.pem"), "a seed": []byte(seed + "\r\n"),
	} {
		want, err := parse(text)
		check(t, err)
		got, err := parse(append([]byte("\ufeff"), text...))
		if err != nil || !got.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(want.Public()) {
			t.Errorf("%s: %v", name, err)
		}
		for order, mark := range map[string]binary.ByteOrder{"UTF-16, little end first": binary.LittleEndian, "UTF-16, big end first": binary.BigEndian} {
			wide := make([]byte, 2)
			mark.PutUint16(wide, 0xfeff)
			for _, b := range text {
				wide = append(wide, 0, 0)
				mark.PutUint16(wide[len(wide)-2:], uint16(b))
			}
			if _, err := parse(wide); err == nil || !strings.Contains(err.Error(), "UTF-16: change it with iconv -f UTF-16 -t ASCII FILE") {
				t.Errorf("%s, %s: %v", name, order, err)
			}
		}
	}
}
