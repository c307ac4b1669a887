package dkim

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"signpost/internal/message"
)

func FuzzTagList(f *testing.F) {
	for _, s := range []string{"", goodTags, "a=1;b = 2 ;\r\n c=3;", "a=;;b", "v=DKIM1; p=x\n", ";", "a=b=c"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, record bool) {
		r := tagReader{list: s, record: record}
		names, end := map[string]bool{}, -1
		for tag, ok := r.next(); ok; tag, ok = r.next() {
			if names[tag.name] || !isTagName(tag.name) {
				t.Fatalf("name %q in %q", tag.name, s)
			}
			names[tag.name] = true
			if tag.start <= end || tag.end < tag.start || tag.end > len(s) || s[tag.start-1] != '=' ||
				tag.end < len(s) && s[tag.end] != ';' || trimFWS(s[tag.start:tag.end]) != tag.value || strings.Contains(tag.value, ";") {
				t.Fatalf("tag %+v in %q", tag, s)
			}
			end = tag.end
		}
		if r.err == nil && len(names) == 0 {
			t.Fatalf("%q has no tags and is no mistake", s)
		}
		if _, ok := r.next(); ok {
			t.Fatalf("%q goes on after its end", s)
		}
	})
}

func FuzzParseSignature(f *testing.F) {
	f.Add(goodTags)
	f.Add(with("i=jo=20e@a.example.org") + "; l=5; t=1; x=2; c=relaxed; q=dns/txt; z=a:b|c")
	f.Add(with("d=Bücher.example") + "; s2=\r\n x")
	f.Fuzz(func(t *testing.T, value string) {
		s, err := parseSignature(value)
		if _, ok := err.(problem); err != nil && !ok {
			t.Fatalf("%q: %v is no constant text", value, err)
		}
		if claimed := claimedDomain(value); err == nil && claimed != s.Domain {
			t.Fatalf("%q: it is taken for one of %q", value, claimed)
		}
		for _, name := range []string{s.Domain, s.Selector} {
			if again, ok := message.DomainToASCII(name); name != "" && (!ok || again != name || len(name) > 253) {
				t.Fatalf("%q: %q is no name in DNS", value, name)
			}
		}
		if _, decoded := base64.StdEncoding.DecodeString(s.B); s.B != "" && strings.HasSuffix(s.B, "=") && decoded != nil || strings.ContainsAny(s.B, " \t\r\n") {
			t.Fatalf("%q: b=%q", value, s.B)
		}
		if err != nil {
			return
		}
		rest := s.cutEnd == len(value) || value[s.cutEnd] == ';'
		if !rest || value[s.cutStart-1] != '=' || stripFWS(value[s.cutStart:s.cutEnd]) != s.B {
			t.Fatalf("%q: b= at %d to %d", value, s.cutStart, s.cutEnd)
		}
		if !within(s.auidDomain, s.Domain) || !utf8.ValidString(s.AUID) || len(s.keyName()) > 253 || s.Length < -1 || s.Time < -1 || s.Expires < -1 {
			t.Fatalf("%q: %+v", value, s)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, key := range testKeys() {
		record, err := KeyRecord(key.Public())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(record)
	}
	for _, weak := range weakKeys() {
		f.Add(edRecord(weak))
	}
	f.Add("v=DKIM1; h=sha1:sha256; s=email:*; t=y:s; n=x=20y; k=rsa; p=MAMA")
	f.Fuzz(func(t *testing.T, record string) {
		key, err := ParseKey(record)
		if _, ok := err.(problem); err != nil && !ok {
			t.Fatalf("%q: %v is no constant text", record, err)
		}
		if err != nil {
			return
		}
		// A key stays the same when it is written again.
		text, err := KeyRecord(key.Public)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseKey(text)
		if err != nil || again.Bits != key.Bits || again.Type != key.Type {
			t.Fatalf("%q is written %q: %v", record, text, err)
		}
		if public, ok := key.Public.(ed25519.PublicKey); ok {
			if p, ok := decodePoint(public); !ok || p.smallOrder() {
				t.Fatalf("%q is taken for a key", record)
			}
		}
	})
}

func FuzzParseRSA(f *testing.F) {
	for _, name := range []string{"rsa1024", "rsa2048"} {
		der, err := x509.MarshalPKIXPublicKey(testKeys()[name].Public())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
		f.Add(der[24:])
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		ours, err := parseRSA(der, 1)
		if err != nil {
			return
		}
		if ours.E < 3 || ours.E&1 == 0 || ours.N.Bit(0) == 0 || ours.N.BitLen() > maxRSABits {
			t.Fatalf("%x: %v", der, ours)
		}
		if theirs, err := x509.ParsePKCS1PublicKey(der); err == nil && !ours.Equal(theirs) {
			t.Fatalf("%x: %v and %v", der, ours, theirs)
		}
		if theirs, err := x509.ParsePKIXPublicKey(der); err == nil && !ours.Equal(theirs) {
			t.Fatalf("%x: %v and %v", der, ours, theirs)
		}
		ours.Size()
	})
}

func FuzzBodyHash(f *testing.F) {
	for _, s := range []string{"", "\r\n", " a \t b\r\n\r\n", "a  b c\td\r\n" + strings.Repeat(" word  and\tword \r\n", 90), "x \r", "\r\r\n"} {
		f.Add([]byte(s), uint64(0x9e3779b97f4a7c15), 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, cuts uint64, limit int) {
		for _, c := range []Canonicalization{Simple, Relaxed} {
			want := referenceBody(string(body), c)
			if got := canonicalBody(string(body), c, whole); got != want {
				t.Fatalf("%s of %q:\n got %q\nwant %q", c, body, got, want)
			}
			state := cuts
			cut := func(rest int) int {
				state = state*6364136223846793005 + 1442695040888963407
				return min(rest, 1+int(state>>60))
			}
			if got := canonicalBody(string(body), c, cut); got != want {
				t.Fatalf("%s of %q cut by %d:\n got %q\nwant %q", c, body, cuts, got, want)
			}
			l := int64(limit)
			b := NewBodyHash(c, sha256.New())
			b.Mark(l)
			b.Mark(0)
			for p := body; len(p) > 0; {
				n := cut(len(p))
				b.Write(p[:n])
				p = p[n:]
			}
			b.Close()
			sum, ok := b.At(l)
			if ok != (l >= 0 && l <= int64(len(want))) || b.Len() != int64(len(want)) {
				t.Fatalf("%s of %q: %v at %d, length %d", c, body, ok, l, b.Len())
			}
			if ok && sha256.Sum256([]byte(want[:l])) != [32]byte(sum) || sha256.Sum256([]byte(want)) != [32]byte(b.Sum()) {
				t.Fatalf("%s of %q, hash at %d", c, body, l)
			}
		}
	})
}

func FuzzAppendField(f *testing.F) {
	f.Add("Subject", " a \t b\r\n c ", 3, 5)
	f.Add("B ", "\r\n \r\n\t", 0, 0)
	f.Fuzz(func(t *testing.T, name, value string, start, end int) {
		if !utf8.ValidString(name) {
			return // the reference reads runes
		}
		field := message.Field{Name: name, Value: value}
		if got := string(AppendField(nil, field, Relaxed)); got != referenceField(field) {
			t.Fatalf("%q: %q, want %q", field, got, referenceField(field))
		}
		if got := string(AppendField(nil, field, Simple)); got != name+":"+value+"\r\n" {
			t.Fatalf("%q: %q", field, got)
		}
		// A value without a part of it, if that part ends in no white space.
		if 0 < start && start <= end && end <= len(value) && value[start-1] == '=' && (end == len(value) || value[end] == ';') {
			cut := message.Field{Name: name, Value: value[:start] + value[end:]}
			got := string(appendSignature(nil, field, start, end, Relaxed)) + "\r\n"
			if got != referenceField(cut) {
				t.Fatalf("%q cut at %d and %d: %q, want %q", field, start, end, got, referenceField(cut))
			}
		}
	})
}

// FuzzSelection takes each octet of header as a field, and each octet of names as a
// name.
func FuzzSelection(f *testing.F) {
	f.Add([]byte("abcabAB "), []byte("aAbBcd"), 2)
	f.Fuzz(func(t *testing.T, header, names []byte, own int) {
		header, names = header[:min(len(header), 64)], names[:min(len(names), 64)]
		text := func(c byte) string {
			return strings.Repeat(string(rune('a'+c%7)), 1+int(c>>3)%4*25)
		}
		h := make([]string, len(header))
		for i, c := range header {
			h[i] = text(c)
			if c&0x80 != 0 {
				h[i] = strings.ToUpper(h[i]) + " "
			}
		}
		wanted := make([]string, len(names))
		for i, c := range names {
			wanted[i] = text(c)
		}
		fields := numbered(h...)
		if got, want := selected(fields, wanted, own), referenceSelect(fields, wanted, own); !slices.Equal(got, want) {
			t.Fatalf("%q of %q: %v, want %v", wanted, h, got, want)
		}
	})
}

// FuzzVerify reads any message with any DNS answer.
func FuzzVerify(f *testing.F) {
	h := sign(f, plainHeader(), plainBody, params("ed25519"), params("rsa1024"))
	for _, record := range testZone(f) {
		f.Add([]byte(h.String()+"\r\n"+plainBody), record[0])
	}
	f.Fuzz(func(t *testing.T, raw []byte, record string) {
		h, body, err := message.Split(bytes.NewReader(raw), message.Limits{})
		if err != nil {
			return
		}
		var buf bytes.Buffer
		buf.ReadFrom(body)
		z := anywhere{record, "v=spf1 -all"}
		out := verify(h, buf.String(), z, Options{AuthorDomains: []string{"example.org"}, Now: testTime})
		if len(out) != h.Count(fieldName) {
			t.Fatalf("%d outcomes", len(out))
		}
		for i, o := range out {
			plain := func(s string) bool { return !strings.ContainsAny(s, "\x00\r\n") }
			if o.Result == "" || (o.Reason == "") != (o.Result == Pass) || !h[o.Field].Is(fieldName) || i > 0 && o.Field <= out[i-1].Field ||
				!plain(o.Reason) || !plain(o.Domain) || !plain(o.Selector) || !plain(o.AUID) || !plain(o.Algorithm) || !plain(o.B) {
				t.Fatalf("%+v", o)
			}
		}
	})
}

// FuzzSign signs any message, and verifies it whole and after a change.
func FuzzSign(f *testing.F) {
	f.Add([]byte("From: a\r\nSubject: x\r\n y\r\n\r\nbody \r\n"), "From:subject:From", uint8(0))
	f.Add([]byte("From: a\r\nReceived: x\r\nReceived: z\r\n\r\n"), "received:from:Received:Received", uint8(3))
	key := testKeys()["ed25519"].(ed25519.PrivateKey)
	z := zone{"ed25519._domainkey.example.org": testZone(f)["ed25519._domainkey.example.org"]}
	f.Fuzz(func(t *testing.T, raw []byte, names string, canon uint8) {
		h, r, err := message.Split(bytes.NewReader(raw), message.Limits{})
		if err != nil {
			return
		}
		var body bytes.Buffer
		body.ReadFrom(r)
		p := SignParams{Domain: "example.org", Selector: "ed25519", Key: key, Headers: strings.Split(names, ":"), Time: testTime,
			HeaderCanon: []Canonicalization{Simple, Relaxed}[canon&1], BodyCanon: []Canonicalization{Simple, Relaxed}[canon>>1&1]}
		s, err := NewSigning(h, []SignParams{p})
		if err != nil {
			return
		}
		s.Write(body.Bytes())
		fields, err := s.Fields()
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines(fields[0].Value) {
			if len(line) > lineWidth && strings.Contains(strings.TrimPrefix(line, " "), " ") {
				t.Fatalf("a line of %d: %q", len(line), line)
			}
		}
		signed := append(message.Header{{Name: fieldName, Value: " " + fields[0].Value}}, h...)
		if len(fields[0].Value) >= maxFieldOctets {
			return
		}
		if o := verify(signed, body.String(), z, Options{})[0]; o.Result != Pass {
			t.Fatalf("%+v\n%q", o, signed)
		}
		if o := verify(signed, "+"+body.String(), z, Options{})[0]; o.Result != Fail {
			t.Fatalf("a changed body: %+v", o)
		}
	})
}
