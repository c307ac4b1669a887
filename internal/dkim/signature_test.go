package dkim

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

const (
	goodHash = "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
	goodTags = "v=1; a=rsa-sha256; d=example.org; s=sel; h=from:to; bh=" + goodHash + "; b=AuUoFEfDxTDkHlLXSZEpZj79"
)

// with replaces a tag of goodTags, or adds it; an empty replacement removes it.
func with(tag string) string {
	name, value, _ := strings.Cut(tag, "=")
	var specs []string
	found := false
	for spec := range strings.SplitSeq(goodTags, "; ") {
		if strings.HasPrefix(spec, name+"=") {
			found = true
			spec = tag
			if value == "" {
				continue
			}
		}
		specs = append(specs, spec)
	}
	if !found {
		specs = append(specs, tag)
	}
	return strings.Join(specs, "; ")
}

// tagsOf makes n different tags.
func tagsOf(n int) string {
	var b strings.Builder
	for i := range n - 1 {
		fmt.Fprintf(&b, "t%d=;", i)
	}
	return b.String() + "v=1"
}

// parseSignature reads the value of a DKIM-Signature field as a verifier without options does.
func parseSignature(value string) (*Signature, error) {
	s := new(Signature)
	return s, s.parse(value, Options{})
}

func TestParseSignature(t *testing.T) {
	digits := func(n int) string { return strings.Repeat("9", n) }
	for _, tt := range []struct {
		name, value string
		want        error
	}{
		{"the least that is needed", goodTags, nil},
		{"v=2", with("v=2"), errVersion},
		{"v=01", with("v=01"), errVersion},
		{"no v=", with("v="), errNoVersion},
		{"no a=", with("a="), errNoAlgorithm},
		{"no b=", with("b="), errNoData},
		{"no bh=", with("bh="), errNoBodyHash},
		{"no d=", with("d="), errNoDomain},
		{"no h=", with("h="), errNoHeaders},
		{"no s=", with("s="), errNoSelector},
		{"a tag that stands twice", goodTags + "; d=evil.example", errDuplicateTag},
		{"an unknown tag that stands twice", goodTags + "; zz=1; zz=1", errDuplicateTag},
		{"an unknown tag is ignored", goodTags + "; x-foo=1; x_1=2", nil},
		{"D= is an unknown tag", goodTags + "; D=evil.example", nil},
		{"a semicolon at the end", goodTags + ";", nil},
		{"a semicolon and white space at the end", goodTags + "; \r\n\t", nil},
		{"white space everywhere", " v = 1 ; a = rsa-sha256 ;\r\n d = example.org; s = sel; h = from : to; bh = " + goodHash + "; b = AuUo FEfD ", nil},
		{"two semicolons in a row", strings.Replace(goodTags, ";", ";;", 1), errEmptyTag},
		{"two semicolons at the end", goodTags + ";;", errEmptyTag},
		{"a semicolon at the beginning", ";" + goodTags, errEmptyTag},
		{"nothing", "", errEmptyList},
		{"only white space", " \r\n ", errEmptyList},
		{"64 tags", tagsOf(64), errNoAlgorithm},
		{"65 tags", tagsOf(65), errManyTags},
		{"a tag without =", goodTags + "; tag", errNoEquals},
		{"a tag name that begins with a digit", goodTags + "; 1a=x", errTagName},
		{"a tag name with white space inside", goodTags + "; a b=x", errTagName},
		{"From is not signed", with("h=to:subject"), errFromNotSigned},
		{"a name that only ends in from", with("h=to:x-from"), errFromNotSigned},
		{"From in any case", with("h=to:fRoM"), nil},
		{"an empty name in h=", with("h=from::to"), errHeaders},
		{"a colon at the end of h=", with("h=from:"), errHeaders},
		{"a name with white space in h=", with("h=from:a b"), errHeaders},
		{"a name beyond ASCII in h=", with("h=from:süß"), errHeaders},
		{"i= is the domain", with("i=@example.org"), nil},
		{"i= is a subdomain", with("i=joe@a.b.example.org"), nil},
		{"i= differs in case only", with("i=joe@Example.ORG"), nil},
		{"i= is another domain", with("i=@evil.example"), errAUIDDomain},
		{"i= only ends like the domain", with("i=@evilexample.org"), errAUIDDomain},
		{"i= is the parent", with("i=@org"), errAUIDDomain},
		{"i= without @", with("i=foo.example.org"), errAUID},
		{"i= is empty", goodTags + "; i=", errAUID},
		{"i= ends in @", with("i=joe@"), errAUID},
		{"the last @ counts", with("i=a@evil.example@example.org"), nil},
		{"the last @ counts, quoted", with("i=\"joe@example.org\"@evil.example"), errAUIDDomain},
		{"i= is quoted-printable", with("i=joe=40example.org"), nil},
		{"i= is quoted-printable in the domain", with("i=joe@example=2Eorg"), nil},
		{"quoted-printable cannot smuggle a domain", with("i=joe@example.org=40evil.example"), errAUIDDomain},
		{"= stands for itself where it encodes nothing", with("i=prvs=b=joe@example.org"), nil},
		{"white space in i= does not count", with("i=jo\r\n e@exam ple.org"), nil},
		{"i= that is not UTF-8", with("i=\xff@example.org"), errAUID},
		{"q=dns/txt", with("q=dns/txt"), nil},
		{"q= in any case", with("q=DNS/TXT"), nil},
		{"q= unknown", with("q=foo"), errQuery},
		{"q= without the option", with("q=dns"), errQuery},
		{"q= among others", with("q=foo : dns/txt"), nil},
		{"q= empty", goodTags + "; q=", errQuery},
		{"c=relaxed", with("c=relaxed"), nil},
		{"c= in any case", with("c=Relaxed/SIMPLE"), nil},
		{"c= unknown", with("c=future"), errCanon},
		{"c= unknown for the body", with("c=simple/future"), errCanon},
		{"c= of three", with("c=simple/simple/simple"), errCanon},
		{"c= empty", goodTags + "; c=", errCanon},
		{"c= with an empty half", with("c=simple/"), errCanon},
		{"x= is t=", with("t=10; x=10"), errExpiresFirst},
		{"x= is before t=", with("t=10; x=9"), errExpiresFirst},
		{"x= without t=", with("x=9"), nil},
		{"t= of 12 digits", with("t=" + digits(12)), nil},
		{"t= of 13 digits", with("t=" + digits(13)), errTime},
		{"x= of 13 digits", with("x=" + digits(13)), errExpires},
		{"t= is not a number", with("t=now"), errTime},
		{"t= is signed", with("t=+1"), errTime},
		{"t= has white space inside", with("t=1 2"), errTime},
		{"t= is empty", goodTags + "; t=", errTime},
		{"l= of 76 digits", with("l=" + digits(76)), nil},
		{"l= of 77 digits", with("l=" + digits(77)), errLength},
		{"l= below zero", with("l=-1"), errLength},
		{"l= in hexadecimal", with("l=0x10"), errLength},
		{"rsa-sha1", with("a=rsa-sha1"), errSHA1},
		{"ed25519-sha256", with("a=ed25519-sha256"), nil},
		{"an unknown algorithm", with("a=rsa-sha512"), errAlgorithm},
		{"no algorithm", with("a=rsa"), errAlgorithm},
		{"the ABNF has a= in any case", with("a=RSA-SHA256"), nil},
		{"bh= is shorter than the hash", with("bh=dGVzdAo="), errBodyHash},
		{"bh= is longer than the hash", with("bh=" + goodHash[:40] + goodHash), errBodyHash},
		{"bh= is not base64", with("bh=" + strings.Replace(goodHash, "2", "$", 1)), errBodyHash},
		{"bh= has white space inside", with("bh=" + goodHash[:9] + "\r\n \t" + goodHash[9:]), nil},
		{"bh= is not padded", with("bh=" + goodHash[:43]), nil},
		{"b= is not base64", with("b=A$$="), errData},
		{"b= is longer than any signature", with("b=" + strings.Repeat("AAAA", 1024)), errData},
		{"b= is half a digit", with("b=A"), errData},
		{"a NUL in s=", with("s=attack\x00.sel"), errControl},
		{"a NUL in d=", with("d=example.org\x00.evil.example"), errControl},
		{"a parenthesis in d=", with("d=legit.example(.evil.example"), errDomain},
		{"a quote in d=", with("d=\"legit.example"), errDomain},
		{"a backslash in d=", with(`d=legit\.example.org`), errDomain},
		{"white space in d=", with("d=exam ple.org"), errDomain},
		{"a fold in d=", with("d=example\r\n .org"), errDomain},
		{"a slash in s=", with("s=a/b"), errSelector},
		{"an underscore in s=", with("s=_a"), nil},
		{"s= of several labels", with("s=a.b.c"), nil},
		{"an empty label in s=", with("s=a..b"), errSelector},
		{"a full stop at the end of d=", with("d=example.org."), errDomain},
		{"a full stop at the beginning of d=", with("d=.example.org"), errDomain},
		{"a label of 64 octets", with("d=" + strings.Repeat("a", 64) + ".example.org"), errDomain},
		{"a label of 63 octets", with("d=" + strings.Repeat("a", 63) + ".example.org"), nil},
		{"a domain of 254 octets", with("d=" + strings.Repeat("a.", 126) + "aa"), errDomain},
		{"s= and d= that are too long together", with("d=" + strings.Repeat("a.", 119) + "a"), errKeyName},
		{"s= and d= that just fit", with("d=" + strings.Repeat("a.", 118) + "aa"), nil},
		{"s= is empty", goodTags[:strings.Index(goodTags, "sel")] + goodTags[strings.Index(goodTags, "sel")+3:], errSelector},
		{"64 KiB of field", with("z=" + strings.Repeat("a", 65536-len(goodTags)-4)), nil},
		{"more than 64 KiB of field", with("z=" + strings.Repeat("a", 65536)), errFieldTooLong},
		{"an encoded-word", "=?us-ascii?Q?" + strings.ReplaceAll(goodTags, " ", "_") + "?=", errTagName},
		{"a bare CR", with("h=from:\rto"), errControl},
		{"a CRLF that folds nothing", with("h=from:\r\nto"), errControl},
		{"a bell in an unknown tag", with("zz=\x07"), errControl},
		{"DEL", with("zz=\x7f"), errControl},
		{"d= as U-label", with("d=Bücher.example"), nil},
		{"s= as U-label", with("s=tést"), nil},
		{"a label that encodes nothing", with("d=xn--a.example"), errDomain},
		{"UTF-8 in i=", with("i=jürgen@example.org"), nil},
		{"a full stop of another script", with("d=example。org"), nil},
		{"RFC 6376 3.5's own example of z=", with("z=From:foo@eng.example.net|To:joe@example.com|\r\n Subject:demo=20run"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseSignature(tt.value); err != tt.want {
				t.Errorf("%q: %v, want %v", tt.value, err, tt.want)
			}
		})
	}
}

func TestParseSignatureFindsWhatTheTagsSay(t *testing.T) {
	s, err := parseSignature(" v=1; a=Ed25519-SHA256; c=relaxed; d=Bücher.Example; s=Sel.A;\r\n i=jo=20e@A.bücher.example;" +
		" t=1; x=2; l=99999999999999999999; h= From : to ; bh=" + goodHash + "; b= QUJD\r\n\tREVG ; zz=1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, got, want string }{
		{"c=relaxed leaves the body simple", fmt.Sprintf("%s/%s", s.HeaderCanon, s.BodyCanon), "relaxed/simple"},
		{"d=", s.Domain, "xn--bcher-kva.example"},
		{"s=", s.Selector, "sel.a"},
		{"i=", s.AUID, "jo=20e@A.bücher.example"},
		{"i= domain", s.auidDomain, "a.xn--bcher-kva.example"},
		{"a=", s.Algorithm, "ed25519-sha256"},
		{"h=", s.Headers, "From : to"},
		{"b=", s.B, "QUJDREVG"},
		{"l= saturates", fmt.Sprint(s.Length), fmt.Sprint(int64(math.MaxInt64))},
		{"t=, x=", fmt.Sprint(s.Time, s.Expires), "1 2"},
		{"key name", s.keyName(), "sel.a._domainkey.xn--bcher-kva.example"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestABrokenSignatureStillSaysWhoseItClaimsToBe(t *testing.T) {
	s, err := parseSignature("v=9; a=Foo-Bar; d=Example.org; s=sel; b=QUJD")
	if err != errVersion || s.Domain != "example.org" || s.Selector != "sel" || s.Algorithm != "foo-bar" || s.B != "QUJD" {
		t.Errorf("%v, %+v", err, s)
	}
	s, _ = parseSignature("v=1; a=\"(; d=a(b; s=; b=$; i=@x")
	if s.Domain != "" || s.Selector != "" || s.Algorithm != "" || s.B != "" || s.AUID != "" {
		t.Errorf("what is no name is told: %+v", s)
	}
}
