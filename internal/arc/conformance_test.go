//go:debug rsa1024min=0

package arc

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/authres"
	"signpost/internal/conformance"
	"signpost/internal/dkim"
	"signpost/internal/message"
)

func TestConformance(t *testing.T) {
	suite := conformance.Load(t, "arc-test-suite")
	conformance.Run(t, suite, suite.Cases, func(t testing.TB, c conformance.Case) error {
		switch c.Kind {
		case "arc-verify":
			return runVerify(t, suite, c)
		case "arc-sign":
			return runSign(t, suite, c)
		}
		return fmt.Errorf("unknown kind %q", c.Kind)
	})
}

// judge verifies a message as the verifier does.
func judge(t testing.TB, raw []byte, opt Options, r dkim.Resolver) (message.Header, []byte, Outcome) {
	t.Helper()
	h, rest, err := message.Split(bytes.NewReader(raw), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(rest)
	if err != nil {
		t.Fatal(err)
	}
	c := Read(h, opt)
	if c == nil {
		return h, body, Outcome{Result: None}
	}
	d := dkim.NewVerification(h, opt)
	v := c.Begin(h, d)
	v.LookupKeys(context.Background(), r)
	d.Write(body)
	d.Finish()
	return h, body, v.Finish()
}

func runVerify(t testing.TB, suite *conformance.Suite, c conformance.Case) error {
	var want struct{ ARC struct{ Accept []Result } }
	if err := json.Unmarshal(c.Expect, &want); err != nil {
		t.Fatal(err)
	}
	var opt Options
	if c.Now != nil {
		opt.Now = time.Unix(*c.Now, 0)
	}
	_, _, o := judge(t, suite.MessageBytes(t, c), opt, suite.Zone(t, c))
	if !slices.Contains(want.ARC.Accept, o.Result) {
		return fmt.Errorf("%s (%s), want %v", o.Result, o.Reason, want.ARC.Accept)
	}
	return nil
}

// runSign seals with the suite's key. Our order of tags is the suite's, so that b= is the
// same.
func runSign(t testing.TB, suite *conformance.Suite, c conformance.Case) error {
	var x struct {
		Sign struct {
			Domain, Selector, Key, Headers string
			T                              int64
			AuthservID                     string `json:"authserv_id"`
		}
		Expect struct{ AS, AMS, AAR string }
	}
	c.Decode(t, &x)
	h, body, judged := judge(t, suite.MessageBytes(t, c), Options{}, suite.Zone(t, c))
	s, err := newSealing(h, judged, SealParams{
		Domain: x.Sign.Domain, Selector: x.Sign.Selector, Key: privateKey(t, x.Sign.Key),
		Headers: strings.Split(x.Sign.Headers, ":"), Time: time.Unix(x.Sign.T, 0), Payload: payload(h, x.Sign.AuthservID), Body: hashOf(body),
	})
	if errors.Is(err, ErrEnded) && x.Expect.AS == "" {
		return nil
	}
	if err != nil {
		return err
	}
	fields, err := s.fields()
	if err != nil {
		return err
	}
	var errs []error
	for i, want := range []string{unfoldedSeal(t, s, fields), x.Expect.AMS, x.Expect.AAR} {
		got := fields[i].Value
		if i == 0 {
			got, want = want, x.Expect.AS
		}
		if strip(got) != strip(want) {
			errs = append(errs, fmt.Errorf("%s: %s\nwant %s", fields[i].Name, got, want))
		}
	}
	// A chain with a seal that says fail is the end; every other one goes on passing.
	sealed := message.Header(append(slices.Clone(fields), h...)).String() + "\r\n" + string(body)
	_, _, again := judge(t, []byte(sealed), Options{}, suite.Zone(t, c))
	if (again.Result == Pass) == (judged.Result == Fail) {
		errs = append(errs, fmt.Errorf("the chain was %s, and is %s (%s) with our set", judged.Result, again.Result, again.Reason))
	}
	return errors.Join(errs...)
}

// unfoldedSeal is our seal as it is where b= of the message signature has no white space
// in it, as the suite has it: a seal signs that white space.
func unfoldedSeal(t testing.TB, s *sealing, fields []message.Field) string {
	t.Helper()
	unfolded := fields[1]
	for _, tag := range strings.Split(unfolded.Value, ";") {
		if strings.HasPrefix(strings.TrimSpace(tag), "b=") {
			unfolded.Value = strings.Replace(unfolded.Value, tag, " "+strip(tag), 1)
		}
	}
	seal, err := s.sign(NameSeal, s.sealTags(), func(own message.Field, _ int) [dkim.SumOctets]byte {
		return s.sealSum(fields[2], unfolded, own)
	})
	if err != nil {
		t.Fatal(err)
	}
	return seal.Value
}

func strip(s string) string { return strings.Join(strings.Fields(s), "") }

// payload puts the fields of one authserv-id together, as they are written.
func payload(h message.Header, id string) string {
	all := id
	for _, f := range h {
		if parsed, err := authres.Parse(f.Value); f.Is(authres.Name) && err == nil && parsed.AuthservID == id {
			_, results, _ := strings.Cut(f.Value, ";")
			all += "; " + strings.Join(strings.Fields(results), " ")
		}
	}
	return all
}

func privateKey(t testing.TB, text string) crypto.Signer {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("no PEM in %q", text)
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
