package verifier

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	"signpost/internal/arc"
	"signpost/internal/dkim"
	"signpost/internal/dns"
	"signpost/internal/message"
)

func BenchmarkARCChain(b *testing.B) {
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	z := dns.NewZone()
	record, _ := dkim.KeyRecord(key.Public())
	for _, d := range []string{"a.example", "b.example", "c.example", "author.example"} {
		z.AddTXT("ed._domainkey."+d, record)
	}
	body := strings.Repeat("Some text of a line, as it is in mail.\r\n", 200)
	h := message.Header{{Name: "From", Value: " jo@author.example"}, {Name: "To", Value: " you@example.org"}, {Name: "Subject", Value: " hello"}}
	s, err := dkim.NewSigning(h, []dkim.SignParams{{Domain: "author.example", Selector: "ed", Key: key, Headers: []string{"From", "To", "Subject"}}})
	if err != nil {
		b.Fatal(err)
	}
	s.Write([]byte(body))
	f, _ := s.Fields()
	signed := append(message.Header{{Name: f[0].Name, Value: " " + f[0].Value}}, h...)
	sealed := signed
	for _, d := range []string{"a.example", "b.example", "c.example"} {
		judged := arc.Outcome{Result: arc.None}
		if c := arc.Read(sealed, arc.Options{}); c != nil {
			dk := dkim.NewVerification(sealed, dkim.Options{})
			v := c.Begin(sealed, dk)
			v.LookupKeys(context.Background(), z)
			dk.Write([]byte(body))
			dk.Finish()
			judged = v.Finish()
		}
		hash := arc.NewBody()
		hash.Write([]byte(body))
		f, err := arc.Seal(sealed, judged, arc.SealParams{Domain: d, Selector: "ed", Key: key, Time: caseTime, Headers: []string{"From", "To", "Subject", "DKIM-Signature"}, Payload: "mx; none", Body: hash})
		if err != nil {
			b.Fatal(err)
		}
		sealed = append(append(message.Header{}, f...), sealed...)
	}
	for name, h := range map[string]message.Header{"plain": h, "one signature": signed, "chain of three": sealed} {
		b.Run(name, func(b *testing.B) {
			v := New(Defaults(), z, "mx", func() time.Time { return caseTime })
			b.ReportAllocs()
			for b.Loop() {
				tx := v.Explain(context.Background(), listEnvelope, nil)
				tx.Header(listEnvelope, h)
				tx.Body([]byte(body))
				r, err := tx.Judge()
				if err != nil || name == "chain of three" && r.Verdict.ARC.Result != arc.Pass {
					b.Fatal(r.Verdict.ARC)
				}
				r.Field()
			}
		})
	}
}
