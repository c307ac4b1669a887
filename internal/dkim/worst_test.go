package dkim

import (
	"crypto/rsa"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"signpost/internal/message"
)

// BenchmarkWorst measures, for each attack, an ordinary message of the same size too: a
// header of two dozen fields with one valid relaxed signature by a 2,048-bit key, and
// text. Real headers end at a few kilobytes, for any size of the message. If the attack
// is the number of signatures, the ordinary message has as many as the configuration
// allows.
func BenchmarkWorst(b *testing.B) {
	b.Run("25 MB of blank lines", benchmarkBlankLines)
	b.Run("8,000 fields and names", benchmarkManyFields)
	b.Run("300 signatures", benchmarkManySignatures)
	b.Run("keys", benchmarkCostlyKeys)
	b.Run("tags", benchmarkManyTags)
}

// ordinary measures an ordinary message of a size with some signatures.
func ordinary(b *testing.B, size, signatures int) {
	p := slices.Repeat([]SignParams{params("rsa2048")}, signatures)
	for i := range p {
		p[i].HeaderCanon, p[i].BodyCanon = Relaxed, Relaxed
	}
	name := "ordinary"
	if signatures > 1 {
		name = fmt.Sprintf("ordinary with %d signatures", signatures)
	}
	b.Run(name, func(b *testing.B) {
		h := ordinaryHeader()
		rest := size - len(sign(b, h, "", p...).String())
		body := textBody(max(rest, 0))
		benchmarkVerify(b, sign(b, h, string(body), p...), body, testZone(b), Pass)
	})
}

func hostile(b *testing.B, name string, h message.Header, body []byte, z zone, want Result) {
	b.Run(name, func(b *testing.B) { benchmarkVerify(b, h, body, z, want) })
}

func benchmarkBlankLines(b *testing.B) {
	const size = 25 << 20
	ordinary(b, size, 1)
	for _, c := range []Canonicalization{Simple, Relaxed} {
		body := blankBody(size)
		p := params("rsa2048")
		p.BodyCanon = c
		hostile(b, string(c), sign(b, plainHeader(), string(body), p), body, testZone(b), Pass)
	}
}

func benchmarkManyFields(b *testing.B) {
	for _, attack := range []struct {
		name  string
		field func(i int) string // in the header
		names func(i int) string // in h=
		n     int                // as many of these
	}{
		{"one name", func(int) string { return "X" }, func(int) string { return "X" }, 8000},
		{"26 names", letter, letter, 8000},
		{"8,000 names", wordOf, wordOf, 8000},
		{"8,000 names in capitals", wordOf, func(i int) string { return strings.ToUpper(wordOf(i)) }, 8000},
		{"30,000 absent names", wordOf, letter, 30000},
	} {
		h := plainHeader()
		for i := range 8000 {
			h = append(h, message.Field{Name: attack.field(i), Value: " " + letter(i)})
		}
		p := params("rsa2048")
		for i := range attack.n {
			p.Headers = append(p.Headers, attack.names(i))
		}
		// With more names than allowed, the signature is not evaluated at all.
		p.Headers = p.Headers[:min(len(p.Headers), maxSignedNames)]
		signed := sign(b, h, "", p)
		tooMany := slices.Clone(signed)
		tooMany[0].Value = strings.Replace(tooMany[0].Value, "h=", "h="+strings.Repeat("x:", attack.n), 1)
		b.Run(attack.name, func(b *testing.B) {
			ordinary(b, len(signed.String()), 1)
			hostile(b, "hostile", signed, nil, testZone(b), Pass)
			hostile(b, "hostile, all of them", tooMany, nil, testZone(b), PermError)
		})
	}
}

func letter(i int) string { return string(rune('a' + i%26)) }

// wordOf returns a different word for each i under 26³.
func wordOf(i int) string { return "x" + letter(i) + letter(i/26) + letter(i/26/26) }

// benchmarkManySignatures has more valid signatures than are evaluated, and some that
// turn out malformed only at the end of the field.
func benchmarkManySignatures(b *testing.B) {
	good := sign(b, plainHeader(), "", params("rsa2048"))
	changed := func(old, new string) message.Field {
		f := good[0]
		f.Value = strings.Replace(f.Value, old, new, 1)
		return f
	}
	many := func(f message.Field) message.Header {
		return slices.Concat(slices.Repeat(message.Header{f}, 300-defaultMaxSignatures), slices.Repeat(good[:1], defaultMaxSignatures), good[1:])
	}
	few := func(f message.Field) message.Header { // as many malformed ones as are read, then valid ones
		return slices.Concat(slices.Repeat(message.Header{f}, maxBroken), many(good[0])[maxBroken:])
	}
	for _, attack := range []struct {
		name   string
		header message.Header
		want   Result
	}{
		{"good", many(good[0]), Neutral},
		{"wrong bh=", many(changed("bh=", "bh=A")), Neutral},
		{"some with a wrong bh=", few(changed("bh=", "bh=A")), Neutral},
		{"some with a wrong b=", few(changed("b=", "b=A")), Neutral},
		{"some that have expired", few(changed("v=1;", "v=1; x=1000000;")), Neutral},
	} {
		b.Run(attack.name, func(b *testing.B) {
			size := len(attack.header.String())
			ordinary(b, size, 1)
			ordinary(b, size, defaultMaxSignatures)
			hostile(b, "hostile", attack.header, nil, testZone(b), attack.want)
		})
	}
}

func benchmarkCostlyKeys(b *testing.B) {
	one := sign(b, plainHeader(), "", params("rsa2048"))
	b.Run("65,536 bits", func(b *testing.B) {
		ordinary(b, len(one.String()), 1)
		record := "v=DKIM1; p=" + strings.Repeat("MIIA", 65536/8/3)
		hostile(b, "hostile", one, nil, zone{"rsa2048._domainkey.example.org": {record}}, PermError)
	})

	// The longest accepted keys, with signatures that fail under each.
	var signed message.Header
	once, twice := zone{}, zone{}
	random := rand.NewChaCha8([32]byte{})
	for i := range defaultMaxSignatures {
		forged := with("b=A" + letter(i) + strings.Repeat("x", maxSignatureOctets*8/6-1))
		selector := fmt.Sprintf("k%d", i)
		signed = append(signed, header("DKIM-Signature:"+strings.Replace(forged, "s=sel", "s="+selector, 1))...)
		modulus := make([]byte, maxRSABits/8)
		random.Read(modulus)
		modulus[0] |= 0x80
		modulus[len(modulus)-1] |= 1
		record, err := KeyRecord(&rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: maxLongExponent})
		if err != nil {
			b.Fatal(err)
		}
		once[selector+"._domainkey.example.org"] = []string{record}
		twice[selector+"._domainkey.example.org"] = []string{record, record}
	}
	signed = append(signed, plainHeader()...)
	b.Run("8 of 4,096 bits", func(b *testing.B) {
		ordinary(b, len(signed.String()), 1)
		ordinary(b, len(signed.String()), defaultMaxSignatures)
		hostile(b, "hostile", signed, nil, once, Fail)
		hostile(b, "hostile, two keys at each name", signed, nil, twice, Fail)
	})
}

func benchmarkManyTags(b *testing.B) {
	for _, attack := range []struct{ name, value string }{
		{"64 KB of tags", strings.Repeat("x=1;", 1<<14)},
		{"1 MB of tags", strings.Repeat("a=b;", 1<<18)},
		{"64 KB of white space", strings.Repeat(" ", 65000)},
	} {
		b.Run(attack.name, func(b *testing.B) {
			ordinary(b, len(attack.value), 1)
			hostile(b, "hostile", append(header("DKIM-Signature:"+attack.value), plainHeader()...), nil, testZone(b), PermError)
		})
	}
}
