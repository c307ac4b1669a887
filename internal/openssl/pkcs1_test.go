package openssl

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"runtime"
	"testing"
)

func pkcs1Of(t testing.TB, file string) []byte {
	t.Helper()
	return x509.MarshalPKCS1PrivateKey(rsaKey(t, file))
}

func TestSoundRSAKeysAreKnownWithoutX509(t *testing.T) {
	for _, file := range []string{"rsa1024.pem", "rsa2048-pkcs1.pem", "rsa2048-pkcs8.pem", "rsa4096.pem"} {
		public := CheckPKCS1(pkcs1Of(t, file))
		if public == nil || !public.Equal(rsaKey(t, file).Public()) {
			t.Errorf("%s: %v", file, public)
		}
	}
	block, _ := pem.Decode(testFile(t, "rsa2048-pkcs8.pem"))
	if !bytes.Equal(PKCS1Within(block.Bytes), pkcs1Of(t, "rsa2048-pkcs8.pem")) {
		t.Error("the key within PKCS #8 is another")
	}
	block, _ = pem.Decode(testFile(t, "ed25519-pkcs8.pem"))
	if PKCS1Within(block.Bytes) != nil || PKCS1Within(nil) != nil {
		t.Error("there is an RSA key where there is none")
	}
}

func nextPrime(p *big.Int) *big.Int {
	for p = new(big.Int).Set(p); ; {
		if p.Add(p, big.NewInt(2)).ProbablyPrime(20) {
			return p
		}
	}
}

// withPrimes is a key whose numbers fit together.
func withPrimes(p, q *big.Int) pkcs1Key {
	one, e := big.NewInt(1), big.NewInt(65537)
	dP := new(big.Int).ModInverse(e, new(big.Int).Sub(p, one))
	dQ := new(big.Int).ModInverse(e, new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(e, new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)))
	return pkcs1Key{N: new(big.Int).Mul(p, q), E: 65537, D: d, P: p, Q: q, DP: dP, DQ: dQ, QInv: new(big.Int).ModInverse(q, p)}
}

// The test's own keys are sound, so that what makes them unsound is what is changed.
func TestWithPrimes(t *testing.T) {
	var k pkcs1Key
	if _, err := asn1.Unmarshal(pkcs1Of(t, "rsa1024.pem"), &k); err != nil {
		t.Fatal(err)
	}
	far := new(big.Int).SetBit(k.P, k.P.BitLen()-3, k.P.Bit(k.P.BitLen()-3)^1)
	if k := withPrimes(k.P, nextPrime(far)); CheckPKCS1(marshalKey(t, k)) == nil {
		t.Error("a key with primes far apart is unsound")
	}
	close := marshalKey(t, withPrimes(k.P, nextPrime(k.P)))
	if _, err := x509.ParsePKCS1PrivateKey(close); err == nil {
		t.Error("x509 has become less strict about close primes")
	}
}

func marshalKey(t *testing.T, k pkcs1Key) []byte {
	t.Helper()
	der, err := asn1.Marshal(struct {
		Version               int
		N                     *big.Int
		E                     int
		D, P, Q, DP, DQ, QInv *big.Int
	}{k.Version, k.N, k.E, k.D, k.P, k.Q, k.DP, k.DQ, k.QInv})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// What is not of the usual form, or does not fit together, is left to x509.
func TestUnCheckPKCS1KeysAreLeftToX509(t *testing.T) {
	good := pkcs1Of(t, "rsa1024.pem")
	add := func(n *big.Int) { n.Add(n, big.NewInt(2)) }
	for name, change := range map[string]func(k *pkcs1Key){
		"nothing is changed": nil,
		"version":            func(k *pkcs1Key) { k.Version = 1 },
		"modulus":            func(k *pkcs1Key) { add(k.N) },
		"public exponent":    func(k *pkcs1Key) { k.E = 3 },
		"private exponent":   func(k *pkcs1Key) { add(k.D) },
		"a prime":            func(k *pkcs1Key) { add(k.P) },
		"the other prime":    func(k *pkcs1Key) { add(k.Q) },
		"dP":                 func(k *pkcs1Key) { add(k.DP) },
		"dQ":                 func(k *pkcs1Key) { add(k.DQ) },
		"qInv":               func(k *pkcs1Key) { add(k.QInv) },
		"a negative number":  func(k *pkcs1Key) { k.DP.Neg(k.DP) },
		"a prime of zero":    func(k *pkcs1Key) { k.P.SetInt64(0) },
		"a prime of one":     func(k *pkcs1Key) { k.P.SetInt64(1); k.Q.Set(k.N) },
		"primes the wrong way round": func(k *pkcs1Key) {
			k.P, k.Q = k.Q, k.P
		},
		"primes that are neighbours": func(k *pkcs1Key) { *k = withPrimes(k.P, nextPrime(k.P)) },
		"a private exponent that is short": func(k *pkcs1Key) {
			k.D.Mod(k.D, new(big.Int).Sub(k.P, big.NewInt(1)))
		},
	} {
		var k pkcs1Key
		if _, err := asn1.Unmarshal(good, &k); err != nil {
			t.Fatal(err)
		}
		if change == nil {
			change = func(*pkcs1Key) {}
		}
		change(&k)
		if sound := CheckPKCS1(marshalKey(t, k)) != nil; sound != (name == "nothing is changed") {
			t.Errorf("%s: sound is %v", name, sound)
		}
	}
	if CheckPKCS1(append(good, 0)) != nil || CheckPKCS1(good[:len(good)-1]) != nil || CheckPKCS1(nil) != nil {
		t.Error("trailing or missing octets are sound")
	}
}

// FuzzSoundRSA holds CheckPKCS1 to crypto/x509: what it calls sound is a key there.
func FuzzSoundRSA(f *testing.F) {
	good := pkcs1Of(f, "rsa1024.pem")
	f.Add(good)
	f.Fuzz(func(t *testing.T, der []byte) {
		public := CheckPKCS1(der)
		if public == nil {
			return
		}
		key, err := x509.ParsePKCS1PrivateKey(der)
		if err != nil || !public.Equal(key.Public().(*rsa.PublicKey)) {
			t.Errorf("x509 says %v of %x", err, der)
		}
	})
}

func TestAVaultKeepsOctets(t *testing.T) {
	for name, v := range map[string]*Memory{"mapped memory": NewMemory(), "the heap": nil} {
		var kept [][]byte
		size := func(i int) int { return i * 7919 % (memoryPages / 8) }
		for i := range 40 { // more than one mapping has
			octets := bytes.Repeat([]byte{byte(i)}, size(i))
			kept = append(kept, v.Copy(octets))
			clear(octets)
		}
		kept = append(kept, v.Copy(bytes.Repeat([]byte{40}, 2*memoryPages)))
		for i, octets := range kept {
			want := size(i)
			if i == 40 {
				want = 2 * memoryPages
			}
			if !bytes.Equal(octets, bytes.Repeat([]byte{byte(i)}, want)) {
				t.Errorf("%s: the octets %d are others", name, i)
			}
		}
		runtime.KeepAlive(v)
	}
}
