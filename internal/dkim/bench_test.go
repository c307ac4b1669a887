package dkim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"testing"

	"signpost/internal/message"
)

// Bodies of the usual kinds, each of about n octets.
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
		{"blank lines", blankBody(1 << 20)}, {"dense", denseBody(1 << 20)}, {"ragged", raggedBody(1 << 20)}} {
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

// ordinaryHeader has the fields of mail from a large sender.
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

// raggedBody is text with white space of random length at random places.
func raggedBody(n int) []byte {
	random := rand.New(rand.NewChaCha8([32]byte{}))
	var body []byte
	for len(body) < n {
		body = append(body, "<td>example text here"[:1+random.IntN(20)]...)
		body = append(body, "          "[:random.IntN(10)]...)
		if random.IntN(4) == 0 {
			body = append(body, "\r\n            "[:2+random.IntN(10)]...)
		}
	}
	return body
}
