//go:debug rsa1024min=0

package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/conformance"
	"signpost/internal/message"
)

func TestConformance(t *testing.T) {
	for _, name := range []string{"rfc-dkim", "opendkim", "dkimpy", "mail-dkim", "dkim-syntax"} {
		t.Run(name, func(t *testing.T) {
			suite := conformance.Load(t, name)
			conformance.Run(t, suite, suite.Cases, func(t testing.TB, c conformance.Case) error {
				return runCase(t, suite, c, false)
			})
		})
		t.Run(name+" with legacy options", func(t *testing.T) {
			suite := conformance.Load(t, name).As("legacy")
			cases := slices.DeleteFunc(slices.Clone(suite.Cases), func(c conformance.Case) bool { return c.ExpectLegacy == nil })
			if len(cases) == 0 {
				return
			}
			conformance.Run(t, suite, cases, func(t testing.TB, c conformance.Case) error {
				return runCase(t, suite, c, true)
			})
		})
	}
}

func runCase(t testing.TB, suite *conformance.Suite, c conformance.Case, legacy bool) error {
	switch c.Kind {
	case "dkim-verify":
		return runVerify(t, suite, c, legacy)
	case "dkim-sign":
		return runSign(t, suite, c)
	case "canon":
		return runCanon(t, suite, c)
	case "bodyhash":
		return runBodyHash(t, c)
	case "dkim-key":
		return runKey(t, c)
	case "dkim-sig":
		return runSig(t, c)
	}
	return fmt.Errorf("unknown kind %q", c.Kind)
}

func split(t testing.TB, raw []byte) (message.Header, []byte) {
	t.Helper()
	h, body, err := message.Split(bytes.NewReader(raw), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return h, b
}

func decode(t testing.TB, raw json.RawMessage, v any) {
	t.Helper()
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}

func runVerify(t testing.TB, suite *conformance.Suite, c conformance.Case, legacy bool) error {
	var want struct {
		DKIM []struct {
			D, S, A string
			Result  Result
			Accept  []Result
		}
	}
	expect, opt := c.Expect, Options{}
	if legacy {
		expect = c.ExpectLegacy
		if o := c.LegacyOptions; o != nil {
			opt.MinRSABits, opt.AllowSHA1, opt.AllowMissingV = o.MinRSABits, o.AllowSHA1, o.AllowMissingV
		}
	}
	decode(t, expect, &want)
	if c.Now != nil {
		opt.Now = time.Unix(*c.Now, 0)
	}
	h, body := split(t, suite.MessageBytes(t, c))
	z := suite.Zone(t, c)
	v := NewVerification(h, opt)
	for i := range v.Keys() {
		v.LookupKey(context.Background(), i, z)
	}
	v.Write(body)
	out := v.Finish()
	if len(out) != len(want.DKIM) {
		return fmt.Errorf("%d outcomes, want %d: %+v", len(out), len(want.DKIM), out)
	}
	var errs []error
	for i, w := range want.DKIM {
		o := out[i]
		if !slices.Contains(w.Accept, o.Result) {
			errs = append(errs, fmt.Errorf("signature %d: %s (%s), want %v: %+v", i, o.Result, o.Reason, w.Accept, o))
		}
		// Cases without d= record what their origin assumes.
		if w.D != "" && (o.Domain != domainName(w.D) || o.Selector != domainName(w.S) || o.Algorithm != w.A) {
			errs = append(errs, fmt.Errorf("signature %d is of %q, %q, %q, want %q, %q, %q", i, o.Domain, o.Selector, o.Algorithm, w.D, w.S, w.A))
		}
	}
	return errors.Join(errs...)
}

func runCanon(t testing.TB, suite *conformance.Suite, c conformance.Case) error {
	var x struct {
		HeaderCanon Canonicalization `json:"header_canon"`
		BodyCanon   Canonicalization `json:"body_canon"`
		Expect      struct {
			Header []byte `json:"header_b64"`
			Body   []byte `json:"body_b64"`
		}
	}
	c.Decode(t, &x)
	h, body := splitAsIs(suite.MessageBytes(t, c))
	var got []byte
	for _, f := range h {
		got = AppendField(got, f, x.HeaderCanon)
	}
	if !bytes.Equal(got, x.Expect.Header) {
		return fmt.Errorf("header %q, want %q", got, x.Expect.Header)
	}
	if got := canonicalBody(string(body), x.BodyCanon, whole); got != string(x.Expect.Body) {
		return fmt.Errorf("body %q, want %q", got, x.Expect.Body)
	}
	return nil
}

// splitAsIs splits a message whose field names have white space before the colon; other
// readers may refuse such mail.
func splitAsIs(raw []byte) (message.Header, []byte) {
	top, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	var h message.Header
	for line := range strings.SplitSeq(string(top), "\r\n") {
		if len(h) > 0 && isWSP(line[0]) {
			h[len(h)-1].Value += "\r\n" + line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		h = append(h, message.Field{Name: name, Value: value})
	}
	return h, body
}

func runBodyHash(t testing.TB, c conformance.Case) error {
	var x struct {
		Body   []byte           `json:"body_b64"`
		Canon  Canonicalization `json:"body_canon"`
		Expect struct {
			Canonical []byte `json:"canonical_b64"`
			SHA256    []byte `json:"sha256_b64"`
			SHA1      []byte `json:"sha1_b64"`
		}
	}
	c.Decode(t, &x)
	if got := canonicalBody(string(x.Body), x.Canon, whole); got != string(x.Expect.Canonical) {
		return fmt.Errorf("%q, want %q", got, x.Expect.Canonical)
	}
	for h, want := range map[crypto.Hash][]byte{crypto.SHA256: x.Expect.SHA256, crypto.SHA1: x.Expect.SHA1} {
		b := NewBodyHash(x.Canon, newHash(h))
		b.Write(x.Body)
		b.Close()
		if !bytes.Equal(b.Sum(), want) {
			return fmt.Errorf("%v %x, want %x", h, b.Sum(), want)
		}
	}
	return nil
}

func runKey(t testing.TB, c conformance.Case) error {
	var x struct {
		Record string
		Expect struct {
			Key       string
			LenientOK bool `json:"lenient_ok"`
		}
	}
	c.Decode(t, &x)
	key, err := ParseKey(x.Record)
	got := "usable"
	switch {
	case errors.Is(err, ErrKeyRevoked):
		got = "revoked"
	case err != nil:
		got = "error"
	case key.Public == nil:
		got = "neither key nor error"
	}
	if got != x.Expect.Key && !x.Expect.LenientOK {
		return fmt.Errorf("%s (%v), want %s", got, err, x.Expect.Key)
	}
	return nil
}

func runSig(t testing.TB, c conformance.Case) error {
	var x struct {
		Value  string
		Expect struct {
			Sig       string
			LenientOK bool `json:"lenient_ok"`
		}
	}
	c.Decode(t, &x)
	_, err := parseSignature(x.Value)
	if (err == nil) != (x.Expect.Sig == "ok") && !x.Expect.LenientOK {
		return fmt.Errorf("%v, want %s", err, x.Expect.Sig)
	}
	return nil
}

// runSign signs the case's own field text, since folding is the signer's choice, and
// checks that our own folding gives a field with the same meaning.
func runSign(t testing.TB, suite *conformance.Suite, c conformance.Case) error {
	var x struct {
		Sign struct {
			D, S, A, C, I, H string
			T                int64
			Seed             []byte `json:"key_ed25519_seed_b64"`
		}
		Expect struct{ BH, B, Header string }
	}
	c.Decode(t, &x)
	h, body := split(t, suite.MessageBytes(t, c))
	h = slices.DeleteFunc(slices.Clone(h), func(f message.Field) bool { return f.Is(fieldName) })
	key := ed25519.NewKeyFromSeed(x.Sign.Seed)

	value := " " + strings.TrimSuffix(x.Expect.Header, "\r\n")
	var s Signature
	if err := s.parse(value, Options{}); err != nil {
		return err
	}
	var hh headerHasher
	hh.begin(h)
	var sum [maxHashOctets]byte
	hh.sum(&s, message.Field{Name: fieldName, Value: value}, -1, &sum)
	if b := base64.StdEncoding.EncodeToString(ed25519.Sign(key, sum[:])); b != x.Expect.B {
		return fmt.Errorf("b=%s, want %s", b, x.Expect.B)
	}
	var names []string
	list(x.Sign.H, func(name string) bool { names = append(names, name); return true })
	p := SignParams{Domain: x.Sign.D, Selector: x.Sign.S, AUID: x.Sign.I, Key: key, Headers: names, Time: time.Unix(x.Sign.T, 0)}
	signed := sign(t, h, string(body), p)
	ours, err := parseSignature(signed[0].Value)
	if err != nil {
		return err
	}
	want := s
	want.Headers, want.B, want.data, want.cutStart, want.cutEnd = ours.Headers, ours.B, ours.data, ours.cutStart, ours.cutEnd
	if fmt.Sprintf("%+v", want) != fmt.Sprintf("%+v", *ours) {
		return fmt.Errorf("our field says %+v, want %+v", *ours, want)
	}
	if bh := base64.StdEncoding.EncodeToString(ours.bodyHash[:sha256.Size]); bh != x.Expect.BH {
		return fmt.Errorf("bh=%s, want %s", bh, x.Expect.BH)
	}
	return nil
}
