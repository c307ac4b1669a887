package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// rsaText is a 2048-bit key in both forms of p=.
func rsaText(t testing.TB) (spki, pkcs1 string) {
	t.Helper()
	key := testKeys()["rsa2048"].Public().(*rsa.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der), base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(key))
}

// rsaOf makes p= of a modulus of so many bits. Its factors are unknown.
func rsaOf(bits int, e *big.Int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	n.Add(n, big.NewInt(1))
	der, err := asn1.Marshal(struct{ N, E *big.Int }{n, e})
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func TestParseKey(t *testing.T) {
	spki, pkcs1 := rsaText(t)
	good := big.NewInt(65537)
	ed := base64.StdEncoding.EncodeToString(testKeys()["ed25519"].Public().(ed25519.PublicKey))
	for _, tt := range []struct {
		name, record string
		want         error
	}{
		{"as everybody writes it", "v=DKIM1; k=rsa; p=" + spki, nil},
		{"without v=", "k=rsa;p=" + spki, nil},
		{"v= is not first", "k=rsa; v=DKIM1; p=" + spki, errKeyOrder},
		{"v= is last", "p=" + spki + "; v=DKIM1", errKeyOrder},
		{"v= after an empty tag is the first", "; v=DKIM1; p=" + spki, nil},
		{"another version that is not first", "k=rsa; v=DKIM2; p=" + spki, errKeyVersion},
		{"v= in lower case", "v=dkim1; p=" + spki, errKeyVersion},
		{"another version", "v=DKIM1.0; p=" + spki, errKeyVersion},
		{"v= empty", "v=; p=" + spki, errKeyVersion},
		{"V= is an unknown tag", "V=DKIM2; p=" + spki, nil},
		{"revoked", "v=DKIM1; p=", ErrKeyRevoked},
		{"revoked, with white space", "v=DKIM1; p= ;", ErrKeyRevoked},
		{"no p=", "v=DKIM1; k=rsa", errNoKey},
		{"blanks, tabs and folds in p=", "p=" + spki[:9] + " " + spki[9:20] + "\t" + spki[20:30] + "\r\n " + spki[30:], nil},
		{"bare line ends in p=", "p=" + spki[:9] + "\n" + spki[9:20] + "\r" + spki[20:] + "\n", nil},
		{"padding is missing", "p=" + strings.TrimRight(spki, "="), nil},
		{"garbage", "p=@@@", errKeyBase64},
		{"only padding", "p==", errKeyBase64},
		{"text after the padding", "k=ed25519; p=" + ed + "AAAA", errKeyBase64},
		{"RSAPublicKey", "v=DKIM1; p=" + pkcs1, nil},
		{"k= unknown", "k=dsa; p=" + spki, errKeyType},
		{"k= empty", "k=; p=" + spki, errKeyType},
		{"the ABNF has k= in any case", "k=RSA; p=" + spki, nil},
		{"Ed25519", "k=ed25519; p=" + ed, nil},
		{"Ed25519 of 31 octets", "k=ed25519; p=" + base64.StdEncoding.EncodeToString(make([]byte, 31)), errNotEd25519},
		{"Ed25519 of 33 octets", "k=ed25519; p=" + base64.StdEncoding.EncodeToString(make([]byte, 33)), errNotEd25519},
		{"Ed25519 in SubjectPublicKeyInfo", "k=ed25519; p=MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", errNotEd25519},
		{"Ed25519 said to be RSA", "p=" + ed, errNotRSA},
		{"h= has no known hash", "h=md5; p=" + spki, errKeyHash},
		{"h= empty", "h=; p=" + spki, errKeyHash},
		{"h= among others", "h = sha1 : SHA256 :other; p=" + spki, nil},
		{"h= ends in a colon", "h=sha256:; p=" + spki, nil},
		{"h= begins with a colon", "h=:sha256; p=" + spki, nil},
		{"h= is a colon", "h=:; p=" + spki, errKeyHash},
		{"h= with a comma names one unknown hash", "h=sha1,sha256; p=" + spki, errKeyHash},
		{"s= ends in a colon", "s=email:; p=" + spki, nil},
		{"t= ends in a colon", "t=s:; p=" + spki, nil},
		{"s=tlsrpt", "s=tlsrpt; p=" + spki, errKeyService},
		{"s= empty", "s=; p=" + spki, errKeyService},
		{"s=email", "s=tlsrpt:email; p=" + spki, nil},
		{"s=*", "s=tlsrpt : *; p=" + spki, nil},
		{"flags unknown", "t=n:extra; p=" + spki, nil},
		{"t= empty", "t=; p=" + spki, nil},
		{"n=", "n=a=20b; p=" + spki, nil},
		{"g= is ignored", "g=; k=rsa; p=" + spki, nil},
		{"some text", "hello", errNoEquals},
		{"nothing", "", errEmptyList},
		{"an SPF record", "v=spf1 -all", errKeyVersion},
		{"a DMARC record", "v=DMARC1; p=none", errKeyVersion},
		{"p= twice", "p=; p=" + spki, errDuplicateTag},
		{"an unknown tag twice", "x=; x=; p=" + spki, errDuplicateTag},
		{"a DomainKeys policy", "o=-;", errNoKey},
		{"empty tags are common", "v=DKIM1;; k=rsa;; p=" + spki + ";;", nil},
		{"a tag without =", "k=rsa; t; p=" + spki, errNoEquals},
		{"quotes left in the data", `"v=DKIM1; p=` + spki + `"`, errTagName},
		{"a backslash left in the data", `v=DKIM1\; p=` + spki, errKeyVersion},
		{"a NUL", "v=DKIM1;\x00p=" + spki, errControl},
		{"512 bits", "p=" + rsaOf(512, good), errKeyTooShort},
		{"1023 bits", "p=" + rsaOf(1023, good), errKeyTooShort},
		{"1024 bits", "p=" + rsaOf(1024, good), nil},
		{"4096 bits", "p=" + rsaOf(4096, good), nil},
		{"4097 bits", "p=" + rsaOf(4097, good), errKeyTooLong},
		{"8192 bits", "p=" + rsaOf(8192, good), errKeyTooLong},
		{"16384 bits", "p=" + rsaOf(16384, good), errKeyTooLong},
		{"65536 bits", "p=" + rsaOf(65536, good), errKeyTooLong},
		{"a record that is too long", "p=" + strings.Repeat("A", 17<<10), errRecordTooLong},
		{"e=3", "p=" + rsaOf(2048, big.NewInt(3)), nil},
		{"e=1", "p=" + rsaOf(2048, big.NewInt(1)), errExponent},
		{"e=0", "p=" + rsaOf(2048, big.NewInt(0)), errExponent},
		{"e is even", "p=" + rsaOf(2048, big.NewInt(65536)), errExponent},
		{"e of 31 bits", "p=" + rsaOf(2048, big.NewInt(1<<31-1)), nil},
		{"e of 32 bits", "p=" + rsaOf(2048, big.NewInt(1<<31+1)), errExponent},
		{"e of 512 bits", "p=" + rsaOf(2048, new(big.Int).Add(new(big.Int).Lsh(good, 512), big.NewInt(1))), errExponent},
		{"a longer key has no larger e", "p=" + rsaOf(2056, big.NewInt(65539)), errExponent},
		{"a longer key with e=65537", "p=" + rsaOf(2056, good), nil},
		{"e below zero", "p=" + rsaOf(2048, big.NewInt(-3)), errNotRSA},
		{"an even modulus", "p=" + base64.StdEncoding.EncodeToString([]byte("\x30\x06\x02\x01\x10\x02\x01\x03")), errNotRSA},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, err := ParseKey(tt.record)
			if err != tt.want {
				t.Fatalf("%.200q: %v, want %v", tt.record, err, tt.want)
			}
			if (key != nil && key.Public != nil) != (err == nil) {
				t.Errorf("key %+v with error %v", key, err)
			}
		})
	}
}

func TestParseKeyFindsWhatTheTagsSay(t *testing.T) {
	spki, _ := rsaText(t)
	key, err := ParseKey("v=DKIM1; h=sha256; t=Y:s:x; p=" + spki)
	if err != nil {
		t.Fatal(err)
	}
	if key.Type != RSA || key.Bits != 2048 || !key.Testing || !key.Strict || key.sha1 || !key.sha256 {
		t.Errorf("%+v", key)
	}
	if !key.Public.(*rsa.PublicKey).Equal(testKeys()["rsa2048"].Public()) {
		t.Error("it is another key")
	}
	if key, err := parseKey("p="+rsaOf(512, big.NewInt(3)), 512, ""); err != nil || key.Bits != 512 {
		t.Errorf("a lower limit: %v, %v", key, err)
	}
}

func TestParseRSAAgreesWithTheStandardLibrary(t *testing.T) {
	key := testKeys()["rsa1024"].Public().(*rsa.PublicKey)
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if got := marshalRSA(key); string(got) != string(spki) {
		t.Errorf("marshalled %x, want %x", got, spki)
	}
	for _, der := range [][]byte{spki, x509.MarshalPKCS1PublicKey(key)} {
		for i := range der {
			for _, change := range []byte{1, 0x80, 0xff} {
				der[i] ^= change
				ours, err := parseRSA(der, 0)
				var theirs *rsa.PublicKey
				if public, err := x509.ParsePKIXPublicKey(der); err == nil {
					theirs, _ = public.(*rsa.PublicKey)
				} else if public, err := x509.ParsePKCS1PublicKey(der); err == nil {
					theirs = public
				}
				// Both accept the key and read the same key, or crypto/x509 is
				// stricter about the encoding.
				if err == nil && theirs != nil && !ours.Equal(theirs) {
					t.Errorf("octet %d xor %#x: we read another key", i, change)
				}
				if theirs != nil && err != nil && theirs.N.Bit(0) == 1 && theirs.E&1 == 1 && theirs.E >= 3 {
					t.Errorf("octet %d xor %#x: only they accept it: %v", i, change, err)
				}
				der[i] ^= change
			}
			if key, err := parseRSA(der[:i], 0); err == nil {
				t.Errorf("cut off at %d: %v", i, key)
			}
		}
		if _, err := parseRSA(append(der[:len(der):len(der)], 0), 0); err == nil {
			t.Error("an octet too many is accepted")
		}
	}
}

func TestParseRSAIsStrictAboutTheEncoding(t *testing.T) {
	key := testKeys()["rsa1024"].Public().(*rsa.PublicKey)
	inner := x509.MarshalPKCS1PublicKey(key)
	info := func(unused byte, inner []byte, after ...byte) []byte {
		algorithm := append(appendDER(nil, 0x06, []byte(rsaEncryption)), 0x05, 0x00)
		text := append(appendDER(nil, 0x30, algorithm), appendDER(nil, 0x03, append([]byte{unused}, inner...))...)
		return appendDER(nil, 0x30, append(text, after...))
	}
	for _, tt := range []struct {
		name string
		der  []byte
		want error
	}{
		{"as it should be", info(0, inner), nil},
		{"bits that are not used", info(1, inner), errNotRSA},
		{"an octet after the key", info(0, append(slices.Clone(inner), 0)), errNotRSA},
		{"an octet after the bit string", info(0, inner, 0), errNotRSA},
		{"no key", info(0, nil), errNotRSA},
		{"an indefinite length", append([]byte{0x30, 0x80}, inner[2:]...), errNotRSA},
		{"a length of three octets", append([]byte{0x30, 0x83, 0}, inner[2:]...), errNotRSA},
		{"a set", append([]byte{0x31}, inner[1:]...), errNotRSA},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseRSA(tt.der, 0); err != tt.want {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestKeyRecord(t *testing.T) {
	for name, key := range testKeys() {
		record, err := KeyRecord(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := ParseKey(record)
		if err != nil || !parsed.Public.(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
			t.Errorf("%s: %q gives %v, %v", name, record, parsed, err)
		}
	}
	if record, err := KeyRecord(nil); err == nil {
		t.Errorf("a record of nothing: %q", record)
	}
	if got, err := KeyRecord(ed25519.PublicKey(make([]byte, 32))); err != nil || got != "v=DKIM1; k=ed25519; p="+strings.Repeat("A", 43)+"=" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSeveralRecordsAtOneName(t *testing.T) {
	right, wrong := testZone(t)["rsa2048._domainkey.example.org"][0], testZone(t)["rsa1024._domainkey.example.org"][0]
	h := sign(t, plainHeader(), plainBody, params("rsa2048"))
	for _, tt := range []struct {
		name    string
		records []string
		want    Result
		reason  string
	}{
		{"none", nil, PermError, reasonNoRecord},
		{"one", []string{right}, Pass, ""},
		{"an SPF record first", []string{"v=spf1 -all", right}, Pass, ""},
		{"a revoked one first", []string{"p=", right}, Pass, ""},
		{"the wrong one first", []string{wrong, right}, Pass, ""},
		{"the wrong one last", []string{right, wrong}, Pass, ""},
		{"only wrong ones", []string{wrong, wrong}, Fail, reasonHeader},
		{"a wrong one and one of another type", []string{"k=ed25519; p=" + strings.Repeat("A", 43), wrong}, Fail, reasonHeader},
		{"of more than two none is tried", []string{wrong, wrong, right}, PermError, reasonManyKeys},
		{"of more than two none is tried, in any order", []string{right, wrong, wrong}, PermError, reasonManyKeys},
		{"a revoked one says more than text", []string{"v=spf1 -all", "p="}, PermError, "key record: " + ErrKeyRevoked.Error()},
		{"a key that is too long is passed over", []string{"p=" + rsaOf(4104, big.NewInt(3)), wrong, right}, Pass, ""},
		{"no more than sixteen are read", append(strings.Split(strings.Repeat("x;", 15)+"x", ";"), right), PermError, "key record: " + errNoEquals.Error()},
		{"revoked", []string{"p="}, PermError, "key record: " + ErrKeyRevoked.Error()},
		{"text", []string{"hello"}, PermError, "key record: " + errNoEquals.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := verify(h, plainBody, zone{"rsa2048._domainkey.example.org": tt.records}, Options{})
			if out[0].Result != tt.want || out[0].Reason != tt.reason {
				t.Errorf("%s (%s), want %s (%s)", out[0].Result, out[0].Reason, tt.want, tt.reason)
			}
		})
	}
}

func TestBase64(t *testing.T) {
	for n := range 100 {
		data := []byte(strings.Repeat("\xff\x00\x7f", 40)[:n])
		text := base64.StdEncoding.EncodeToString(data)
		for _, variant := range []string{text, strings.TrimRight(text, "="), strings.Join(strings.Split(text, ""), " \r\n\t")} {
			if got, ok := appendBase64(nil, variant, n); !ok || string(got) != string(data) {
				t.Errorf("%q: %x, %v", variant, got, ok)
			}
		}
		if n > 0 {
			if got, ok := appendBase64(nil, text, n-1); ok || len(got) != n-1 {
				t.Errorf("%q within %d octets: %d, %v", text, n-1, len(got), ok)
			}
		}
	}
	for _, bad := range []string{"A", "AAAAA", "=", "==", "A===", "AA=", "AA===", "AAA==", "AAAA=", "AAAA====", "AA==AA", "A*AA", "AA-_", "ÄÄ"} {
		if got, ok := appendBase64(nil, bad, 100); ok {
			t.Errorf("%q: %x", bad, got)
		}
	}
}

func TestQuotedPrintable(t *testing.T) {
	for _, tt := range []struct{ encoded, text string }{
		{"plain", "plain"}, {"a=20b", "a b"}, {"=3B=3D", ";="}, {"=C3=BC", "ü"}, {"ü", "ü"},
		{"=", "="}, {"=4", "=4"}, {"=ag", "=ag"}, {"=3d", "=3d"}, {"==41", "=A"},
	} {
		if got := decodeQP(tt.encoded); got != tt.text {
			t.Errorf("%q is %q, want %q", tt.encoded, got, tt.text)
		}
	}
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	for _, utf8 := range []bool{false, true} {
		encoded := encodeQP(string(all), utf8)
		if decodeQP(encoded) != string(all) {
			t.Errorf("not the way back: %q", encoded)
		}
		if strings.ContainsAny(encoded, "; \t\r\n\x00\x7f") {
			t.Errorf("§2.11: these must be encoded: %q", encoded)
		}
	}
	// RFC 8616 §5
	if got := encodeQP("ü;", false) + " " + encodeQP("ü;", true); got != "=C3=BC=3B ü=3B" {
		t.Error(got)
	}
}

// appendDER writes an element.
func appendDER(dst []byte, tag byte, content []byte) []byte {
	dst = append(dst, tag)
	switch n := len(content); {
	case n < 0x80:
		dst = append(dst, byte(n))
	case n < 0x100:
		dst = append(dst, 0x81, byte(n))
	default:
		dst = append(dst, 0x82, byte(n>>8), byte(n))
	}
	return append(dst, content...)
}
