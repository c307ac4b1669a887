//go:build why

package why

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/authres"
	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-msgauth/dmarc"
)

var key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

const mail = "From: ann@example.org\r\nSubject: x\r\n\r\nbody\r\n"

// signed is the mail with a signature by go-msgauth.
func signed(t *testing.T, o dkim.SignOptions, text string) string {
	t.Helper()
	o.Domain, o.Selector, o.Signer = "example.org", "s", key
	var out bytes.Buffer
	if err := dkim.Sign(&out, strings.NewReader(text), &o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// verify is go-msgauth's error for the only signature of a message.
func verify(t *testing.T, text, keyTags string) error {
	t.Helper()
	record := "v=DKIM1; k=ed25519; " + keyTags + "p=" + base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	found, err := dkim.VerifyWithOptions(strings.NewReader(text), &dkim.VerifyOptions{
		LookupTXT: func(string) ([]string, error) { return []string{record}, nil }})
	if err != nil || len(found) != 1 {
		t.Fatalf("%d signatures, error %v", len(found), err)
	}
	return found[0].Err
}

func TestMsgauthVerifiesWhatItSigned(t *testing.T) {
	if err := verify(t, signed(t, dkim.SignOptions{}, mail), ""); err != nil {
		t.Fatalf("%v: the other tests would show nothing", err)
	}
}

// allocated is how many octets it allocates to sign a body of so many blank lines.
func allocated(t *testing.T, c dkim.Canonicalization, lines int) uint64 {
	t.Helper()
	body := bytes.NewReader(bytes.Repeat([]byte("\r\n"), lines))
	s, err := dkim.NewSigner(&dkim.SignOptions{Domain: "example.org", Selector: "s", Signer: key, BodyCanonicalization: c})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	io.WriteString(s, "From: ann@example.org\r\n\r\n")
	if _, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{body}, make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Each write copies all blank lines before it. For four times as many lines a
// linear algorithm allocates 4 times as much, a quadratic one 16 times.
func TestMsgauthIsQuadraticInBlankLinesSimple(t *testing.T) {
	small, large := allocated(t, dkim.CanonicalizationSimple, 1<<16), allocated(t, dkim.CanonicalizationSimple, 1<<18)
	t.Logf("%d octets allocated for 128 KiB of blank lines, %d for 512 KiB", small, large)
	if large < 8*small {
		mended(t, "simple body canonicalization is linear")
	}
}

// Relaxed canonicalization has never had this fault.
func TestMsgauthIsLinearInBlankLinesRelaxed(t *testing.T) {
	small, large := allocated(t, dkim.CanonicalizationRelaxed, 1<<16), allocated(t, dkim.CanonicalizationRelaxed, 1<<18)
	t.Logf("%d octets allocated for 128 KiB of blank lines, %d for 512 KiB", small, large)
	if large > 8*small {
		t.Error("relaxed body canonicalization is quadratic too: say so in ARCHITECTURE.md")
	}
}

// headerTime is the shortest of three times to verify a signature that names
// so many fields of one name.
func headerTime(t *testing.T, fields int) time.Duration {
	t.Helper()
	hash := sha256.Sum256([]byte("\r\n"))
	text := "DKIM-Signature: v=1; a=ed25519-sha256; d=example.org; s=s; h=From" + strings.Repeat(":X", fields) +
		"; bh=" + base64.StdEncoding.EncodeToString(hash[:]) + "; b=eA==\r\n" +
		"From: ann@example.org\r\n" + strings.Repeat("X: y\r\n", fields) + "\r\n"
	shortest := time.Hour
	for range 3 {
		start := time.Now()
		if err := verify(t, text, ""); err == nil || !strings.Contains(err.Error(), "signature did not verify") {
			t.Fatalf("verification ended early: %v", err)
		}
		shortest = min(shortest, time.Since(start))
	}
	return shortest
}

// Each name in h= is searched from the end of the header. For four times as many
// a linear algorithm takes 4 times as long, a quadratic one 16 times.
func TestMsgauthIsQuadraticInNamesOfSignedFields(t *testing.T) {
	small, large := headerTime(t, 2000), headerTime(t, 8000)
	t.Logf("%v for 2,000 names in h=, %v for 8,000", small, large)
	if large < 8*small {
		mended(t, "fields of h= are found in linear time")
	}
}

// RFC 6376 §3.5: i= must be d= or below it; domains are compared without case.
func TestMsgauthComparesTheIdentifierByCase(t *testing.T) {
	if verify(t, signed(t, dkim.SignOptions{Identifier: "@EXAMPLE.org"}, mail), "") == nil {
		mended(t, "i= is compared without case")
	}
}

// The value of b= is emptied by a pattern that also matches in other tags.
func TestMsgauthTakesTheEndOfATagForTheSignature(t *testing.T) {
	if verify(t, signed(t, dkim.SignOptions{Identifier: "prvs=b=x@example.org"}, mail), "") == nil {
		mended(t, `"b=" inside another tag does not break verification`)
	}
}

// RFC 6376 §3.6.1: with t=s, the domain of i= must be d= itself.
func TestMsgauthIgnoresTheStrictFlag(t *testing.T) {
	if verify(t, signed(t, dkim.SignOptions{Identifier: "@sub.example.org"}, mail), "t=s; ") != nil {
		mended(t, "the flag t=s of a key is honoured")
	}
}

// RFC 8601 §2.7.1 has header.s, header.a and header.b for them.
func TestMsgauthResultsHaveNoSelectorAlgorithmOrSignature(t *testing.T) {
	result := reflect.TypeFor[dkim.Verification]()
	for i := range result.NumField() {
		switch name := result.Field(i).Name; name {
		case "Domain", "Identifier", "HeaderKeys", "Time", "Expiration", "Err":
		default:
			mended(t, "dkim.Verification has a field "+name)
		}
	}
}

// RFC 5322 §2.1.1: a line has at most 998 octets.
func TestMsgauthDoesNotFoldTheListOfSignedFields(t *testing.T) {
	names := []string{"From"}
	for range 150 {
		names = append(names, "X-Field")
	}
	longest := 0
	for line := range strings.Lines(signed(t, dkim.SignOptions{HeaderKeys: names}, mail)) {
		longest = max(longest, len(line))
	}
	if longest <= 998 {
		mended(t, "h= is folded")
	}
}

func TestMsgauthWritesLineEndsIntoResults(t *testing.T) {
	field := authres.Format("mx.example.org", []authres.Result{
		&authres.SPFResult{Value: authres.ResultPass, Reason: "x\r\nSubject: forged"}})
	if !strings.Contains(field, "\r\nSubject: forged") {
		mended(t, "authres.Format lets no line end through")
	}
}

// RFC 9989 §4.7: a tag with a bad value is ignored, the rest of the record holds.
func TestMsgauthRefusesADMARCRecordForOneBadTag(t *testing.T) {
	if _, err := dmarc.Parse("v=DMARC1; p=reject; fo=x"); err == nil {
		mended(t, "dmarc.Parse ignores a tag that it cannot read")
	}
}
