package dkim

import (
	"bytes"
	"context"
	"strings"
	"testing"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"signpost/internal/message"
)

// go-msgauth is an independent DKIM implementation. Each verifies the other's
// signatures, for mail that both read alike: folds with text on each line, CRLF line
// ends, no controls. Mail that they read differently by design (see both package
// comments) is not generated.

// mail makes such a message from any octets. Fields are separated by LF, the
// header from the body by a NUL.
func mail(raw []byte) (message.Header, string) {
	top, rest, _ := bytes.Cut(raw, []byte{0})
	h := header("From: Ann <ann@example.org>")
	names := []string{"Subject", "SUBJECT", "To", "X-A", "x-a", "Received"}
	for i, line := range bytes.Split(top, []byte("\n")) {
		if i == 40 {
			break
		}
		var value strings.Builder
		for _, c := range line {
			switch {
			case c == '|' && strings.TrimSpace(lastLine(value.String())) != "":
				value.WriteString("\r\n ")
			case c >= ' ' && c != 0x7f, c == '\t':
				value.WriteByte(c)
			}
		}
		if strings.TrimSpace(lastLine(value.String())) == "" {
			value.WriteString("x")
		}
		h = append(h, message.Field{Name: names[(i+len(line))%len(names)], Value: value.String()})
	}
	body := strings.NewReplacer("\r", "", "\n", "\r\n").Replace(string(rest))
	return h, body + "\r\n"
}

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }

var theirCanon = map[Canonicalization]msgauth.Canonicalization{
	Simple: msgauth.CanonicalizationSimple, Relaxed: msgauth.CanonicalizationRelaxed,
}

func canons(choice uint8) (header, body Canonicalization) {
	return []Canonicalization{Simple, Relaxed}[choice&1], []Canonicalization{Simple, Relaxed}[choice>>1&1]
}

func theirVerify(t testing.TB, h message.Header, body string, z zone) error {
	t.Helper()
	out, err := msgauth.VerifyWithOptions(strings.NewReader(h.String()+"\r\n"+body), &msgauth.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) { return z.LookupTXT(context.Background(), name) }})
	if err != nil {
		return err
	}
	return out[0].Err
}

func differentialSeeds(f *testing.F) {
	for choice := range uint8(8) {
		f.Add([]byte("a \t b|  c \nd\n\n\t\n e\x00 a  b \t\nc \n\n\n"), choice)
		f.Add([]byte("\x00"), choice)
		f.Add([]byte("caf\xc3\xa9 |x\x00.\n..\n\n \n"), choice)
	}
}

var differentialNames = []string{"From", "subject", "Subject", "x-a", "X-A", "From", "To", "Not-There"}

func FuzzOursVerifiedByMsgauth(f *testing.F) {
	differentialSeeds(f)
	z := testZone(f)
	f.Fuzz(func(t *testing.T, raw []byte, choice uint8) {
		h, body := mail(raw)
		p := params("ed25519")
		p.HeaderCanon, p.BodyCanon = canons(choice)
		p.Headers = differentialNames
		signed := sign(t, h, body, p)
		if err := theirVerify(t, signed, body, z); err != nil {
			t.Fatalf("%v\n%q", err, signed.String()+"\r\n"+body)
		}
	})
}

func FuzzMsgauthVerifiedByUs(f *testing.F) {
	differentialSeeds(f)
	z := testZone(f)
	key := testKeys()["ed25519"]
	f.Fuzz(func(t *testing.T, raw []byte, choice uint8) {
		h, body := mail(raw)
		hc, bc := canons(choice)
		s, err := msgauth.NewSigner(&msgauth.SignOptions{Domain: "example.org", Selector: "ed25519", Signer: key,
			HeaderCanonicalization: theirCanon[hc], BodyCanonicalization: theirCanon[bc], HeaderKeys: differentialNames})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte(h.String() + "\r\n" + body)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(s.Signature(), "\r\n"), ":")
		signed := append(message.Header{{Name: name, Value: value}}, h...)
		if o := verify(signed, body, z, Options{})[0]; o.Result != Pass {
			t.Fatalf("%+v\n%q", o, signed.String()+"\r\n"+body)
		}
		// And both see a change.
		h, choice = signed, choice>>2
		if choice&1 == 1 {
			body = "x" + body
		} else {
			h[1].Value += "x"
		}
		if o := verify(h, body, z, Options{})[0]; o.Result != Fail || theirVerify(t, h, body, z) == nil {
			t.Fatalf("a change is not seen: %+v", o)
		}
	})
}

func TestRSASignaturesAreVerifiedByMsgauth(t *testing.T) {
	for choice := range uint8(4) {
		p := params("rsa2048")
		p.HeaderCanon, p.BodyCanon = canons(choice)
		p.AUID = "jo e;=@a.example.org"
		h := sign(t, plainHeader(), plainBody, p)
		if err := theirVerify(t, h, plainBody, testZone(t)); err != nil {
			t.Errorf("%s/%s: %v", p.HeaderCanon, p.BodyCanon, err)
		}
	}
}
