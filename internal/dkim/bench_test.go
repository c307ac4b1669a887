package dkim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"signpost/internal/message"
)

// Bodies of the kinds that mail consists of, of about n octets.
func textBody(n int) []byte {
	return repeat("The quick brown fox jumps over the lazy dog, and so on. It was a dark night.\r\n", n)
}

func htmlBody(n int) []byte {
	return repeat("<table>\r\n    <tr>\r\n        <td class=\"x\">Some  text&nbsp;here</td>\r\n    </tr>\r\n</table>\r\n", n)
}

func base64Body(n int) []byte {
	return repeat(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("\x13q\xfe"), 19))+"\r\n", n)
}

func blankBody(n int) []byte { return repeat("\r\n", n) }

// denseBody changes at every third octet.
func denseBody(n int) []byte { return repeat("a  ", n) }

func repeat(s string, n int) []byte { return bytes.Repeat([]byte(s), n/len(s)) }

func BenchmarkBodyHash(b *testing.B) {
	for _, body := range []struct {
		name string
		data []byte
	}{{"text", textBody(1 << 20)}, {"html", htmlBody(1 << 20)}, {"base64", base64Body(1 << 20)},
		{"blank lines", blankBody(1 << 20)}, {"dense", denseBody(1 << 20)}} {
		run := func(name string, hash func(p []byte)) {
			b.Run(body.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(body.data)))
				b.ReportAllocs()
				for b.Loop() {
					hash(body.data)
				}
			})
		}
		run("sha256", func(p []byte) { sha256.Sum256(p) })
		for _, c := range []Canonicalization{Simple, Relaxed} {
			run(string(c), func(p []byte) {
				h := NewBodyHash(c, sha256.New())
				for len(p) > 0 {
					n := min(len(p), 65535)
					h.Write(p[:n])
					p = p[n:]
				}
				h.Close()
				h.Sum()
			})
		}
	}
}

// ordinaryHeader has the fields that mail from a large sender has.
func ordinaryHeader() message.Header {
	h := plainHeader()
	for i := range 16 {
		h = append(h, header(fmt.Sprintf("X-Field-%d: something of the usual length, and a little more of it", i))...)
	}
	return h
}

func BenchmarkSign(b *testing.B) {
	for _, key := range []string{"ed25519", "rsa2048"} {
		for _, size := range []int{2 << 10, 20 << 10, 200 << 10} {
			b.Run(fmt.Sprintf("%s/%dK", key, size>>10), func(b *testing.B) {
				h, body, p := ordinaryHeader(), textBody(size), []SignParams{params(key)}
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					s, err := NewSigning(h, p)
					if err != nil {
						b.Fatal(err)
					}
					s.Write(body)
					if _, err := s.Fields(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func benchmarkVerify(b *testing.B, h message.Header, body []byte, z zone, want Result) {
	b.ReportAllocs()
	b.SetBytes(int64(len(h.String()) + len(body)))
	for b.Loop() {
		v := NewVerification(h, Options{Now: testTime})
		for i := range v.Keys() {
			v.LookupKey(context.Background(), i, z)
		}
		v.Write(body)
		if out := v.Finish(); out[len(out)-1].Result != want {
			b.Fatalf("%+v", out[len(out)-1])
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	z := testZone(b)
	for _, key := range []string{"ed25519", "rsa2048"} {
		for _, size := range []int{2 << 10, 20 << 10, 200 << 10} {
			b.Run(fmt.Sprintf("%s/%dK", key, size>>10), func(b *testing.B) {
				body := textBody(size)
				benchmarkVerify(b, sign(b, ordinaryHeader(), string(body), params(key)), body, z, Pass)
			})
		}
	}
}

// BenchmarkHostile has, for each attack, an ordinary message of the same size
// beside it.
func BenchmarkHostile(b *testing.B) {
	z := testZone(b)
	ordinary := func(name string, headerSize, bodySize int) {
		b.Run(name+"/ordinary", func(b *testing.B) {
			h := plainHeader()
			for n := len(h.String()); n < headerSize; n += 100 {
				h = append(h, header("X-Filler: "+strings.Repeat("word ", 18))...)
			}
			body := textBody(bodySize)
			benchmarkVerify(b, sign(b, h, string(body), params("rsa2048")), body, z, Pass)
		})
	}
	hostile := func(name string, h message.Header, body []byte, z zone, want Result) {
		b.Run(name+"/hostile", func(b *testing.B) { benchmarkVerify(b, h, body, z, want) })
	}

	for _, c := range []Canonicalization{Simple, Relaxed} {
		body := blankBody(25 << 20)
		p := params("rsa2048")
		p.BodyCanon = c
		hostile("25 MB of blank lines, "+string(c), sign(b, plainHeader(), string(body), p), body, z, Pass)
	}
	ordinary("25 MB of blank lines", 0, 25<<20)

	h := plainHeader()
	p := params("rsa2048")
	for i := range 8000 {
		h = append(h, message.Field{Name: "X", Value: " " + string(rune('a'+i%26))})
		p.Headers = append(p.Headers, "X")
	}
	signed := sign(b, h, "", p)
	hostile("8,000 fields and names", signed, nil, z, Pass)
	ordinary("8,000 fields and names", len(signed.String()), 0)

	signed = sign(b, plainHeader(), "", params("rsa2048"))
	for range 300 {
		signed = append(message.Header{signed[0]}, signed...)
	}
	hostile("300 signatures", signed, nil, z, Neutral)
	ordinary("300 signatures", len(signed.String()), 0)

	huge := zone{"rsa2048._domainkey.example.org": {"v=DKIM1; p=" + strings.Repeat("MIIA", 65536/8/3)}}
	hostile("a key of 65,536 bits", sign(b, plainHeader(), "", params("rsa2048")), nil, huge, PermError)
	ordinary("a key of 65,536 bits", 0, 0)

	costly := zone{"rsa2048._domainkey.example.org": {"p=" + rsaOf(4096, big.NewInt(65537)), "p=" + rsaOf(4096, big.NewInt(65537))}}
	signed = plainHeader()
	for i := range 8 {
		forged := with(fmt.Sprintf("b=%s", strings.Repeat("AAAA", 341)+"A"+string(rune('A'+i))))
		signed = append(header("DKIM-Signature:"+strings.Replace(forged, "s=sel", "s=rsa2048", 1)), signed...)
	}
	hostile("8 signatures under 2 keys of 4,096 bits", signed, nil, costly, Fail)
	ordinary("8 signatures under 2 keys of 4,096 bits", len(signed.String()), 0)

	for name, tags := range map[string]string{"1 MB of tags": strings.Repeat("a=b;", 1<<18), "64 KB of tags": strings.Repeat("x=1;", 1<<14)} {
		hostile(name, append(header("DKIM-Signature:"+tags), plainHeader()...), nil, z, PermError)
		ordinary(name, len(tags), 0)
	}
	hostile("64 KB of white space", append(header("DKIM-Signature:"+strings.Repeat(" ", 65000)), plainHeader()...), nil, z, PermError)
}
