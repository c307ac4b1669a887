package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"slices"
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
				t.Run(""+name+" "+string(hc)+"/"+string(bc), func(t *testing.T) {
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

func TestTwoSignaturesShareOnePass(t *testing.T) {
	p := []SignParams{params("rsa2048"), params("ed25519"), params("rsa1024")}
	p[2].BodyCanon = Simple
	s, err := NewSigning(plainHeader(), p)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.bodies) != 2 {
		t.Errorf("%d passes over the body, want 2", len(s.bodies))
	}
	h := sign(t, plainHeader(), plainBody, p...)
	out := verify(h, plainBody, testZone(t), Options{Now: testTime})
	for i, o := range out {
		if o.Result != Pass || o.Selector != p[i].Selector {
			t.Errorf("signature %d: %+v", i, o)
		}
	}
}

// lines returns the lines of a folded value, the first with the field's name.
func lines(value string) []string { return strings.Split(fieldName+": "+value, "\r\n") }

func TestTheFieldWeWrite(t *testing.T) {
	many := []string{"From"}
	for range 300 {
		many = append(many, "X-Some-Header", "From", "To")
	}
	long := strings.Repeat("abcdefghi.", 20) + "example.org"
	for _, tt := range []struct {
		name   string
		change func(*SignParams)
		want   string // its beginning
	}{
		{"as it is by default", func(p *SignParams) {},
			"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org;\r\n s=ed25519; t=1795262400; h=From:To:Subject:Date:Message-ID:From:Subject:\r\n Reply-To; bh="},
		{"x=", func(p *SignParams) { p.Expire = 7 * 24 * time.Hour }, "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org;\r\n s=ed25519; t=1795262400; x=1795867200; h=From:"},
		{"no t=", func(p *SignParams) { p.Time = time.Time{} }, "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org;\r\n s=ed25519; h=From:"},
		{"c=", func(p *SignParams) { p.HeaderCanon, p.BodyCanon = Simple, Relaxed }, "v=1; a=ed25519-sha256; c=simple/relaxed; d="},
		{"i= with a local part that needs encoding", func(p *SignParams) { p.AUID = "a b;=c@Sub.Example.org" },
			"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org;\r\n s=ed25519; i=a=20b=3B=3Dc@sub.example.org; t="},
		{"i= of only a domain", func(p *SignParams) { p.AUID = "@example.org" }, "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org;\r\n s=ed25519; i=@example.org; t="},
		{"A-labels in lower case", func(p *SignParams) { p.Domain, p.Selector = "BÜCHER.example", "ED" },
			"v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=xn--bcher-kva.example; s=ed; t="},
		{"U-labels for an internationalized header", func(p *SignParams) {
			p.Domain, p.Selector, p.AUID, p.UTF8 = "xn--bcher-kva.example", "ED", "jürgen@XN--BCHER-KVA.example", true
		}, "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=bücher.example;\r\n s=ed; i=jürgen@bücher.example; t="},
		{"without an internationalized header i= is all ASCII", func(p *SignParams) { p.Domain, p.AUID = "bücher.example", "jürgen@bücher.example" },
			"v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=xn--bcher-kva.example; s=ed25519; i=j=C3=BCrgen@xn--bcher-kva.example;\r\n t="},
		{"a long h=", func(p *SignParams) { p.Headers = many }, ""},
		{"a long domain", func(p *SignParams) { p.Domain = long }, "v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=" + long + ";\r\n s="},
		{"a long RSA signature", func(p *SignParams) { p.Key = testKeys()["rsa2048"] }, "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org;\r\n s=ed25519; t="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := params("ed25519")
			tt.change(&p)
			value := sign(t, plainHeader(), plainBody, p)[0].Value[1:]
			if !strings.HasPrefix(value, tt.want) {
				t.Errorf("got %q,\nwant %q…", value, tt.want)
			}
			for i, line := range lines(value) {
				// Only a word that is too long by itself makes a longer line.
				if len(line) > 78 && strings.Contains(strings.TrimSpace(line), " ") || len(line) > 998 {
					t.Errorf("a line of %d: %q", len(line), line)
				}
				if strings.TrimSpace(line) == "" || i > 0 && line[0] != ' ' {
					t.Errorf("a fold that is none: %q", line)
				}
			}
			s, err := parseSignature(" " + value)
			if err != nil {
				t.Fatal(err)
			}
			// Neither l=, z= nor q=.
			for _, tag := range []string{" l=", " z=", " q="} {
				if strings.Contains(value, tag) {
					t.Errorf("has %s: %q", tag, value)
				}
			}
			z := zone{s.keyName(): {testRecord(t, p.Key)}}
			if o := verify(append(message.Header{{Name: fieldName, Value: " " + value}}, plainHeader()...), plainBody, z, Options{})[0]; o.Result != Pass {
				t.Errorf("%+v", o)
			}
		})
	}
}

func testRecord(t testing.TB, key crypto.Signer) string {
	t.Helper()
	record, err := KeyRecord(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func TestSigningIsDeterministic(t *testing.T) {
	for _, key := range []string{"ed25519", "rsa2048"} {
		a, b := sign(t, plainHeader(), plainBody, params(key)), sign(t, plainHeader(), plainBody, params(key))
		if a[0] != b[0] {
			t.Errorf("%s: %q and %q", key, a[0].Value, b[0].Value)
		}
	}
}

// weak is a key with a chosen public key; it fails when it signs.
type weak struct {
	public crypto.PublicKey
	data   []byte
	err    error
}

func (w weak) Public() crypto.PublicKey { return w.public }
func (w weak) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return w.data, w.err
}

func TestWhatCannotBeSignedIsRefused(t *testing.T) {
	short, err := ParseKey("p=" + rsaOf(1024, big.NewInt(3)))
	if err != nil {
		t.Fatal(err)
	}
	tooShort := short.Public.(*rsa.PublicKey)
	tooShort.N = new(big.Int).Rsh(tooShort.N, 1)
	fine := func(*SignParams) {}
	for _, tt := range []struct {
		name   string
		header message.Header
		change func(*SignParams)
		want   string
	}{
		{"no From", header("To: x"), fine, "0 From fields"},
		{"two From", append(plainHeader(), header("from: y")...), fine, "2 From fields"},
		{"a From with a blank before the colon is one", append(plainHeader(), header("From : y")...), fine, "2 From fields"},
		{"From is not to be signed", plainHeader(), func(p *SignParams) { p.Headers = []string{"To", "X-From"} }, "the header fields to be signed lack From"},
		{"no names at all", plainHeader(), func(p *SignParams) { p.Headers = nil }, "the header fields to be signed lack From"},
		{"a name that is none", plainHeader(), func(p *SignParams) { p.Headers = append(slices.Clone(plainNames), "X Y") }, `"X Y" cannot be signed`},
		{"a name with a semicolon", plainHeader(), func(p *SignParams) { p.Headers = append(slices.Clone(plainNames), "X;Y") }, `"X;Y" cannot be signed`},
		{"a name with a colon", plainHeader(), func(p *SignParams) { p.Headers = append(slices.Clone(plainNames), "X:") }, `"X:" cannot be signed`},
		{"an empty name", plainHeader(), func(p *SignParams) { p.Headers = append(slices.Clone(plainNames), "") }, `"" cannot be signed`},
		{"signatures are not to be named once more than there are", plainHeader(),
			func(p *SignParams) { p.Headers = append(slices.Clone(plainNames), "DKIM-Signature") }, "more often than the field"},
		{"a NUL in a signed field", append(plainHeader(), header("Reply-To: a\x00b")...), fine, `"Reply-To" has a NUL`},
		{"a bare CR in a signed field", append(plainHeader(), header("Reply-To: a\rb")...), fine, `"Reply-To" has a NUL`},
		{"a bare LF in a signed field", append(plainHeader(), header("Reply-To: a\nb")...), fine, `"Reply-To" has a NUL`},
		{"a CRLF that folds nothing", append(plainHeader(), header("Reply-To: a\r\nb")...), fine, `"Reply-To" has a NUL`},
		{"a domain of one label", plainHeader(), func(p *SignParams) { p.Domain = "org" }, `domain "org" is not`},
		{"no domain", plainHeader(), func(p *SignParams) { p.Domain = "" }, `domain "" is not`},
		{"a domain with a blank", plainHeader(), func(p *SignParams) { p.Domain = "a b.example" }, `domain "a b.example" is not`},
		{"no selector", plainHeader(), func(p *SignParams) { p.Selector = "" }, `selector "" is not`},
		{"a selector with an empty label", plainHeader(), func(p *SignParams) { p.Selector = "a..b" }, `selector "a..b" is not`},
		{"both too long", plainHeader(), func(p *SignParams) { p.Selector = strings.Repeat("a.", 120) + "a" }, "too long for DNS"},
		{"i= of another domain", plainHeader(), func(p *SignParams) { p.AUID = "x@example.com" }, `identity "x@example.com" is not`},
		{"i= without a domain", plainHeader(), func(p *SignParams) { p.AUID = "example.org" }, `identity "example.org" is not`},
		{"no key", plainHeader(), func(p *SignParams) { p.Key = nil }, "no key"},
		{"a short key", plainHeader(), func(p *SignParams) { p.Key = weak{public: tooShort} }, "1023 bits"},
		{"a key of another kind", plainHeader(), func(p *SignParams) { p.Key = weak{public: "dsa"} }, "type string cannot sign"},
		{"a canonicalization that is none", plainHeader(), func(p *SignParams) { p.BodyCanon = "nowsp" }, `"relaxed"/"nowsp"`},
		{"x= without t=", plainHeader(), func(p *SignParams) { p.Time, p.Expire = time.Time{}, time.Hour }, "expiry of 1h0m0s"},
		{"x= that is t=", plainHeader(), func(p *SignParams) { p.Expire = time.Millisecond }, "expiry of 1ms"},
		{"x= before t=", plainHeader(), func(p *SignParams) { p.Expire = -time.Hour }, "expiry of -1h0m0s"},
		{"a time before times", plainHeader(), func(p *SignParams) { p.Time = time.Unix(-1, 0) }, "before 1970"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := params("ed25519")
			tt.change(&p)
			_, err := NewSigning(tt.header, []SignParams{params("rsa2048"), p})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want …%s…", err, tt.want)
			}
		})
	}
}

func TestAKeyThatFailsIsAnError(t *testing.T) {
	broken := errors.New("the token was pulled out")
	for name, key := range map[string]weak{"an error": {err: broken}, "no signature": {}} {
		key.public = testKeys()["ed25519"].Public()
		p := params("ed25519")
		p.Key = key
		s, err := NewSigning(plainHeader(), []SignParams{params("ed25519"), p})
		if err != nil {
			t.Fatal(err)
		}
		fields, err := s.Fields()
		if err == nil || fields != nil || key.err != nil && !errors.Is(err, broken) {
			t.Errorf("%s: %v, %v", name, fields, err)
		}
	}
}

func TestWhatIsOversignedCannotBeAdded(t *testing.T) {
	h := sign(t, plainHeader(), plainBody, params("ed25519"))
	for _, added := range []string{"From: <a@b.example>", "Subject: x", "Reply-To: x", "reply-to:"} {
		if o := verify(append(header(added), h...), plainBody, testZone(t), Options{})[0]; o.Result != Fail {
			t.Errorf("%s: %+v", added, o)
		}
	}
}
