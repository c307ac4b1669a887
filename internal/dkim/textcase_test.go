package dkim_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/conformance/casefile"
	"signpost/internal/dkim"
	"signpost/internal/message"
)

// The cases in testdata/cases have these lines. Each has a default, so that a case
// says only what it is about.
//
//	field Subject: x     a field as it was signed (else From, To and Subject)
//	body text            a line of the body as it was signed
//	sign v=1; a=…        the signature field's value; {bh} and {b} are filled in,
//	                     {bh~} and {b~} with white space inside
//	at name              where the key is, if not at s= and d= as they are written
//	key v=DKIM1; …       a record at the selector; {rsa}, {pkcs1}, {rsa1024}, {ed}
//	                     are keys; "none" and "temperror" are answers
//	top, bottom          a field that was added later
//	change, drop         a field that was changed, one that was taken away
//	later text           a line of the body as it arrived
//	now 1000             the time, else 1000000
//
//	want pass            the result; want-effective what it counts for
//	reason text          part of the reason; without it, a pass has none
//	uncovered a b        the fields that are there more often than they are signed
//	domain, auid, bits   of the outcome
var verifyKeys = []string{
	"field", "body", "sign", "at", "key", "top", "bottom", "change", "drop", "later", "now",
	"want", "want-effective", "reason", "uncovered", "domain", "auid", "bits",
}

const (
	defaultFields = "From: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject: hello\r\n"
	defaultBody   = "Hello  Bob, \r\n\r\n"
	defaultSign   = "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=sel; h=from:to:subject; bh={bh}; b={b}"
)

var textEd = ed25519.NewKeyFromSeed([]byte("a seed that is no secret at all."))

// textRSA are generated in each run: no case depends on their values.
var textRSA = sync.OnceValue(func() map[int]*rsa.PrivateKey {
	keys := map[int]*rsa.PrivateKey{}
	for _, bits := range []int{1024, 2048} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		keys[bits] = key
	}
	return keys
})

func withKeys(record string) string {
	if !strings.Contains(record, "{") {
		return record
	}
	spki := func(key crypto.PublicKey) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			panic(err)
		}
		return base64.StdEncoding.EncodeToString(der)
	}
	long := textRSA()[2048].Public()
	return strings.NewReplacer(
		"{ed}", base64.StdEncoding.EncodeToString(textEd.Public().(ed25519.PublicKey)),
		"{edspki}", spki(textEd.Public()),
		"{rsa}", spki(long),
		"{rsa1024}", spki(textRSA()[1024].Public()),
		"{pkcs1}", base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(long.(*rsa.PublicKey))),
	).Replace(record)
}

type records map[string][]string

func (r records) LookupTXT(_ context.Context, name string) ([]string, error) {
	if slices.Contains(r[name], "temperror") {
		return nil, errors.New("the server fails")
	}
	return r[name], nil
}

// tagValue finds a tag in a list without tricks.
func tagValue(list, tag string) string {
	for spec := range strings.SplitSeq(list, ";") {
		name, value, _ := strings.Cut(spec, "=")
		if strings.TrimSpace(name) == tag {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// plainField implements §3.4.1 and §3.4.2 literally.
func plainField(f message.Field, canon string) string {
	if canon != "relaxed" {
		return f.Name + ":" + f.Value + "\r\n"
	}
	value := strings.ReplaceAll(strings.ReplaceAll(f.Value, "\r\n", ""), "\t", " ")
	for strings.Contains(value, "  ") {
		value = strings.ReplaceAll(value, "  ", " ")
	}
	return strings.ToLower(strings.TrimRight(f.Name, " \t")) + ":" + strings.Trim(value, " ") + "\r\n"
}

// plainCanonBody implements §3.4.3 and §3.4.4 literally.
func plainCanonBody(body, canon string) string {
	lines := strings.Split(strings.TrimSuffix(body, "\r\n"), "\r\n")
	if canon == "relaxed" {
		for i, line := range lines {
			line = strings.ReplaceAll(line, "\t", " ")
			for strings.Contains(line, "  ") {
				line = strings.ReplaceAll(line, "  ", " ")
			}
			lines[i] = strings.TrimRight(line, " ")
		}
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 && canon == "relaxed" {
		return ""
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// signText fills in bh=? and b=? of a signature field, even if the field has other
// errors.
func signText(t *testing.T, h message.Header, body, value string) message.Field {
	t.Helper()
	headerCanon, bodyCanon, _ := strings.Cut(strings.ToLower(tagValue(value, "c")), "/")
	sum := func(text string) []byte {
		var sums hash.Hash = sha256.New()
		if strings.Contains(tagValue(value, "a"), "sha1") {
			sums = sha1.New()
		}
		sums.Write([]byte(text))
		return sums.Sum(nil)
	}
	canonical := plainCanonBody(body, bodyCanon)
	if l, err := strconv.Atoi(tagValue(value, "l")); err == nil && l < len(canonical) {
		canonical = canonical[:l]
	}
	value = fill(value, "bh", sum(canonical))

	left := slices.Clone(h)
	var data strings.Builder
	for name := range strings.SplitSeq(tagValue(value, "h"), ":") {
		for i, f := range slices.Backward(left) {
			if strings.EqualFold(strings.TrimSpace(f.Name), strings.TrimSpace(name)) {
				data.WriteString(plainField(f, headerCanon))
				left = slices.Delete(left, i, i+1)
				break
			}
		}
	}
	own := message.Field{Name: "DKIM-Signature", Value: " " + emptied(value)}
	data.WriteString(strings.TrimSuffix(plainField(own, headerCanon), "\r\n"))

	var b []byte
	var err error
	switch a := tagValue(value, "a"); {
	case strings.EqualFold(a, "rsa-sha256"):
		b, err = rsa.SignPKCS1v15(nil, textRSA()[2048], crypto.SHA256, sum(data.String()))
	case strings.EqualFold(a, "rsa-sha1"):
		b, err = rsa.SignPKCS1v15(nil, textRSA()[2048], crypto.SHA1, sum(data.String()))
	default:
		b = ed25519.Sign(textEd, sum(data.String()))
	}
	if err != nil {
		t.Fatal(err)
	}
	own.Value = " " + fill(value, "b", b)
	return own
}

// fill replaces {name} with base64, and {name~} with base64 with folds in it.
func fill(value, name string, data []byte) string {
	text := base64.StdEncoding.EncodeToString(data)
	return strings.NewReplacer("{"+name+"}", text, "{"+name+"~}", text[:5]+"\r\n\t "+text[5:20]+" "+text[20:]).Replace(value)
}

// emptied removes {b} with the white space around it (§3.7).
func emptied(value string) string {
	const wsp = " \t\r\n"
	before, after, _ := strings.Cut(strings.Replace(value, "{b~}", "{b}", 1), "{b}")
	if len(after)+len(before) == len(value) {
		return value // it has its own b=
	}
	return strings.TrimRight(before, wsp) + strings.TrimLeft(after, wsp)
}

func oneField(t *testing.T, text string) message.Field {
	t.Helper()
	name, value, ok := strings.Cut(strings.TrimSuffix(text, "\r\n"), ":")
	if !ok {
		t.Fatalf("%q is no field", text)
	}
	return message.Field{Name: name, Value: value}
}

// signed returns the message as it was signed, without the signature.
func signed(t *testing.T, c casefile.Case) message.Header {
	t.Helper()
	var h message.Header
	if !c.Has("field") {
		for line := range strings.Lines(defaultFields) {
			h = append(h, oneField(t, line))
		}
	}
	for _, text := range c.All("field") {
		h = append(h, oneField(t, text))
	}
	return h
}

// onTheWay changes a header as the case says.
func onTheWay(t *testing.T, c casefile.Case, h message.Header) message.Header {
	t.Helper()
	named := func(name string) int {
		return slices.IndexFunc(h, func(f message.Field) bool { return f.Is(name) })
	}
	for _, l := range c.Lines {
		switch l.Key {
		case "top":
			h = append(message.Header{oneField(t, l.Value)}, h...)
		case "bottom":
			h = append(h, oneField(t, l.Value))
		case "change":
			f := oneField(t, l.Value)
			h[named(f.Name)] = f
		case "drop":
			h = slices.Delete(h, named(l.Value), named(l.Value)+1)
		}
	}
	return h
}

func verifyText(t *testing.T, c casefile.Case) dkim.Outcome {
	t.Helper()
	h, body := signed(t, c), c.Text("body", defaultBody)
	value := c.First("sign", defaultSign)
	h = onTheWay(t, c, append(message.Header{signText(t, h, body, value)}, h...))

	zone := records{}
	record := c.All("key")
	if len(record) == 0 {
		record = []string{"v=DKIM1; k=ed25519; p={ed}"}
		if strings.HasPrefix(tagValue(value, "a"), "rsa") {
			record = []string{"v=DKIM1; k=rsa; p={rsa}"}
		}
	}
	for _, r := range record {
		if r != "none" {
			name := c.First("at", tagValue(value, "s")+"._domainkey."+strings.ToLower(tagValue(value, "d")))
			zone[name] = append(zone[name], withKeys(r))
		}
	}
	now, err := strconv.ParseInt(c.First("now", "1000000"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	v := dkim.NewVerification(h, dkim.Options{Now: time.Unix(now, 0)})
	for i := range v.Keys() {
		v.LookupKey(context.Background(), i, zone)
	}
	if _, err := v.Write([]byte(c.Text("later", body))); err != nil {
		t.Fatal(err)
	}
	out := v.Finish()
	if len(out) == 0 {
		t.Fatal("no signature was found")
	}
	return out[len(out)-1] // those of "top" stand above ours
}

func TestTextCasesOfVerifying(t *testing.T) {
	for _, file := range []string{"signature", "key", "message"} {
		t.Run(file, func(t *testing.T) {
			casefile.Run(t, "testdata/cases/"+file+".txt", verifyKeys, checkVerified)
		})
	}
}

func checkVerified(t *testing.T, c casefile.Case) {
	out := verifyText(t, c)
	reason := c.First("reason", "")
	if string(out.Result) != c.First("want", "") || !strings.Contains(out.Reason, reason) || reason == "" && out.Result == dkim.Pass && out.Reason != "" {
		t.Errorf("%s: %s (%s), want %s (%s)", c.Where, out.Result, out.Reason, c.First("want", ""), reason)
	}
	for key, got := range map[string]string{
		"want-effective": string(out.Effective()), "uncovered": strings.Join(out.Uncovered, " "),
		"domain": out.Domain, "auid": out.AUID, "bits": fmt.Sprint(out.KeyBits),
	} {
		if want := c.First(key, got); got != want {
			t.Errorf("%s: %s is %q, want %q", c.Where, key, got, want)
		}
	}
}

func TestTextCasesOfCanonicalization(t *testing.T) {
	keys := []string{"field", "body", "want-simple", "want-relaxed"}
	casefile.Run(t, "testdata/cases/canonicalization.txt", keys, func(t *testing.T, c casefile.Case) {
		for canon, key := range map[dkim.Canonicalization]string{dkim.Simple: "want-simple", dkim.Relaxed: "want-relaxed"} {
			if !c.Has(key) {
				continue
			}
			want := c.Text(key, "")
			if c.Has("field") {
				if got := string(dkim.AppendField(nil, oneField(t, c.First("field", "")), canon)); got != want {
					t.Errorf("%s: %s gives %q, want %q", c.Where, canon, got, want)
				}
				continue
			}
			body := c.Text("body", "")
			for _, cut := range []int{0, 1, len(body) / 2, len(body)} {
				b := dkim.NewBodyHash(canon, sha256.New())
				b.Write([]byte(body[:min(cut, len(body))]))
				b.Write([]byte(body[min(cut, len(body)):]))
				b.Close()
				sum := sha256.Sum256([]byte(want))
				if string(b.Sum()) != string(sum[:]) || b.Len() != int64(len(want)) {
					t.Errorf("%s: %s of the body, cut at %d, has %d octets or another hash; want %q", c.Where, canon, cut, b.Len(), want)
				}
			}
		}
	})
}
