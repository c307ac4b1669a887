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

func TestParseSignature(t *testing.T) {
	digits := func(n int) string { return strings.Repeat("9", n) }
	for _, tt := range []struct {
		name, value string
		want        error
	}{
		{"the least that is needed", goodTags, nil},
		{"VER-002 v=2", with("v=2"), errVersion},
		{"VER-002 v=01", with("v=01"), errVersion},
		{"VER-002 no v=", with("v="), errNoVersion},
		{"VER-003 no a=", with("a="), errNoAlgorithm},
		{"VER-003 no b=", with("b="), errNoData},
		{"VER-003 no bh=", with("bh="), errNoBodyHash},
		{"VER-003 no d=", with("d="), errNoDomain},
		{"VER-003 no h=", with("h="), errNoHeaders},
		{"VER-003 no s=", with("s="), errNoSelector},
		{"VER-004 a tag that stands twice", goodTags + "; d=evil.example", errDuplicateTag},
		{"VER-004 an unknown tag that stands twice", goodTags + "; zz=1; zz=1", errDuplicateTag},
		{"VER-005 an unknown tag is ignored", goodTags + "; x-foo=1; x_1=2", nil},
		{"VER-005 D= is an unknown tag", goodTags + "; D=evil.example", nil},
		{"VER-006 a semicolon at the end", goodTags + ";", nil},
		{"VER-006 a semicolon and white space at the end", goodTags + "; \r\n\t", nil},
		{"VER-006 white space everywhere", " v = 1 ; a = rsa-sha256 ;\r\n d = example.org; s = sel; h = from : to; bh = " + goodHash + "; b = AuUo FEfD ", nil},
		{"VER-006 two semicolons in a row", strings.Replace(goodTags, ";", ";;", 1), errEmptyTag},
		{"VER-006 two semicolons at the end", goodTags + ";;", errEmptyTag},
		{"VER-006 a semicolon at the beginning", ";" + goodTags, errEmptyTag},
		{"VER-006 nothing", "", errEmptyList},
		{"VER-006 only white space", " \r\n ", errEmptyList},
		{"64 tags", tagsOf(64), errNoAlgorithm},
		{"65 tags", tagsOf(65), errManyTags},
		{"a tag without =", goodTags + "; tag", errNoEquals},
		{"a tag name that begins with a digit", goodTags + "; 1a=x", errTagName},
		{"a tag name with white space inside", goodTags + "; a b=x", errTagName},
		{"VER-007 From is not signed", with("h=to:subject"), errFromNotSigned},
		{"VER-007 a name that only ends in from", with("h=to:x-from"), errFromNotSigned},
		{"VER-007 From in any case", with("h=to:fRoM"), nil},
		{"an empty name in h=", with("h=from::to"), errHeaders},
		{"a colon at the end of h=", with("h=from:"), errHeaders},
		{"a name with white space in h=", with("h=from:a b"), errHeaders},
		{"a name beyond ASCII in h=", with("h=from:süß"), errHeaders},
		{"VER-008 i= is the domain", with("i=@example.org"), nil},
		{"VER-008 i= is a subdomain", with("i=joe@a.b.example.org"), nil},
		{"VER-008 i= differs in case only", with("i=joe@Example.ORG"), nil},
		{"VER-008 i= is another domain", with("i=@evil.example"), errAUIDDomain},
		{"VER-008 ATK-052 i= only ends like the domain", with("i=@evilexample.org"), errAUIDDomain},
		{"VER-008 ATK-032 i= is the parent", with("i=@org"), errAUIDDomain},
		{"VER-008 i= without @", with("i=foo.example.org"), errAUID},
		{"VER-008 i= is empty", goodTags + "; i=", errAUID},
		{"VER-008 i= ends in @", with("i=joe@"), errAUID},
		{"VER-008 the last @ counts", with("i=a@evil.example@example.org"), nil},
		{"VER-008 the last @ counts, quoted", with("i=\"joe@example.org\"@evil.example"), errAUIDDomain},
		{"VER-008 i= is quoted-printable", with("i=joe=40example.org"), nil},
		{"VER-008 i= is quoted-printable in the domain", with("i=joe@example=2Eorg"), nil},
		{"VER-008 quoted-printable cannot smuggle a domain", with("i=joe@example.org=40evil.example"), errAUIDDomain},
		{"VER-008 = stands for itself where it encodes nothing", with("i=prvs=b=joe@example.org"), nil},
		{"VER-008 white space in i= does not count", with("i=jo\r\n e@exam ple.org"), nil},
		{"VER-008 i= that is not UTF-8", with("i=\xff@example.org"), errAUID},
		{"VER-009 q=dns/txt", with("q=dns/txt"), nil},
		{"VER-009 q= in any case", with("q=DNS/TXT"), nil},
		{"VER-009 q= unknown", with("q=foo"), errQuery},
		{"VER-009 q= without the option", with("q=dns"), errQuery},
		{"VER-009 q= among others", with("q=foo : dns/txt"), nil},
		{"VER-009 q= empty", goodTags + "; q=", errQuery},
		{"VER-010 c=relaxed", with("c=relaxed"), nil},
		{"VER-010 c= in any case", with("c=Relaxed/SIMPLE"), nil},
		{"VER-010 c= unknown", with("c=future"), errCanon},
		{"VER-010 c= unknown for the body", with("c=simple/future"), errCanon},
		{"VER-010 c= of three", with("c=simple/simple/simple"), errCanon},
		{"VER-010 c= empty", goodTags + "; c=", errCanon},
		{"VER-010 c= with an empty half", with("c=simple/"), errCanon},
		{"VER-012 x= is t=", with("t=10; x=10"), errExpiresFirst},
		{"VER-012 x= is before t=", with("t=10; x=9"), errExpiresFirst},
		{"VER-012 x= without t=", with("x=9"), nil},
		{"VER-013 t= of 12 digits", with("t=" + digits(12)), nil},
		{"VER-013 t= of 13 digits", with("t=" + digits(13)), errTime},
		{"VER-013 x= of 13 digits", with("x=" + digits(13)), errExpires},
		{"VER-013 t= is not a number", with("t=now"), errTime},
		{"VER-013 t= is signed", with("t=+1"), errTime},
		{"VER-013 t= has white space inside", with("t=1 2"), errTime},
		{"VER-013 t= is empty", goodTags + "; t=", errTime},
		{"VER-013 ATK-071 l= of 76 digits", with("l=" + digits(76)), nil},
		{"VER-013 ATK-071 l= of 77 digits", with("l=" + digits(77)), errLength},
		{"VER-013 ATK-071 l= below zero", with("l=-1"), errLength},
		{"VER-013 l= in hexadecimal", with("l=0x10"), errLength},
		{"VER-023 rsa-sha1", with("a=rsa-sha1"), errSHA1},
		{"VER-024 ed25519-sha256", with("a=ed25519-sha256"), nil},
		{"VER-025 an unknown algorithm", with("a=rsa-sha512"), errAlgorithm},
		{"VER-025 no algorithm", with("a=rsa"), errAlgorithm},
		{"VER-025 the ABNF has a= in any case", with("a=RSA-SHA256"), nil},
		{"bh= is shorter than the hash", with("bh=dGVzdAo="), errBodyHash},
		{"bh= is longer than the hash", with("bh=" + goodHash[:40] + goodHash), errBodyHash},
		{"bh= is not base64", with("bh=" + strings.Replace(goodHash, "2", "$", 1)), errBodyHash},
		{"bh= has white space inside", with("bh=" + goodHash[:9] + "\r\n \t" + goodHash[9:]), nil},
		{"bh= is not padded", with("bh=" + goodHash[:43]), nil},
		{"b= is not base64", with("b=A$$="), errData},
		{"b= is longer than any signature", with("b=" + strings.Repeat("AAAA", 1024)), errData},
		{"b= is half a digit", with("b=A"), errData},
		{"VER-033 ATK-003 a NUL in s=", with("s=attack\x00.sel"), errControl},
		{"VER-033 ATK-003 a NUL in d=", with("d=example.org\x00.evil.example"), errControl},
		{"VER-033 ATK-004 a parenthesis in d=", with("d=legit.example(.evil.example"), errDomain},
		{"VER-033 a quote in d=", with("d=\"legit.example"), errDomain},
		{"VER-033 a backslash in d=", with(`d=legit\.example.org`), errDomain},
		{"VER-033 white space in d=", with("d=exam ple.org"), errDomain},
		{"VER-033 a fold in d=", with("d=example\r\n .org"), errDomain},
		{"VER-033 a slash in s=", with("s=a/b"), errSelector},
		{"VER-033 an underscore in s=", with("s=_a"), nil},
		{"VER-033 s= of several labels", with("s=a.b.c"), nil},
		{"VER-033 an empty label in s=", with("s=a..b"), errSelector},
		{"VER-033 a full stop at the end of d=", with("d=example.org."), errDomain},
		{"VER-033 a full stop at the beginning of d=", with("d=.example.org"), errDomain},
		{"VER-033 a label of 64 octets", with("d=" + strings.Repeat("a", 64) + ".example.org"), errDomain},
		{"VER-033 a label of 63 octets", with("d=" + strings.Repeat("a", 63) + ".example.org"), nil},
		{"VER-033 a domain of 254 octets", with("d=" + strings.Repeat("a.", 126) + "aa"), errDomain},
		{"VER-033 s= and d= that are too long together", with("d=" + strings.Repeat("a.", 119) + "a"), errKeyName},
		{"VER-033 s= and d= that just fit", with("d=" + strings.Repeat("a.", 118) + "aa"), nil},
		{"VER-033 s= is empty", goodTags[:strings.Index(goodTags, "sel")] + goodTags[strings.Index(goodTags, "sel")+3:], errSelector},
		{"VER-040 64 KiB of field", with("z=" + strings.Repeat("a", 65536-len(goodTags)-4)), nil},
		{"VER-040 more than 64 KiB of field", with("z=" + strings.Repeat("a", 65536)), errFieldTooLong},
		{"VER-041 ATK-072 an encoded-word", "=?us-ascii?Q?" + strings.ReplaceAll(goodTags, " ", "_") + "?=", errTagName},
		{"VER-041 ATK-072 a bare CR", with("h=from:\rto"), errControl},
		{"VER-041 ATK-072 a CRLF that folds nothing", with("h=from:\r\nto"), errControl},
		{"VER-041 ATK-072 a bell in an unknown tag", with("zz=\x07"), errControl},
		{"VER-041 ATK-072 DEL", with("zz=\x7f"), errControl},
		{"EAI-001 d= as U-label", with("d=Bücher.example"), nil},
		{"EAI-001 s= as U-label", with("s=tést"), nil},
		{"EAI-002 a label that encodes nothing", with("d=xn--a.example"), errDomain},
		{"EAI-003 UTF-8 in i=", with("i=jürgen@example.org"), nil},
		{"EAI-006 a full stop of another script", with("d=example。org"), nil},
		{"RFC 6376 3.5's own example of z=", with("z=From:foo@eng.example.net|To:joe@example.com|\r\n Subject:demo=20run"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseSignature(tt.value); err != tt.want {
				t.Errorf("%q: %v, want %v", tt.value, err, tt.want)
			}
		})
	}
}

func TestParseSignatureFindsWhatTheTagsSay(t *testing.T) {
	s, err := ParseSignature(" v=1; a=Ed25519-SHA256; c=relaxed; d=Bücher.Example; s=Sel.A;\r\n i=jo=20e@A.bücher.example;" +
		" t=1; x=2; l=99999999999999999999; h= From : to ; bh=" + goodHash + "; b= QUJD\r\n\tREVG ; zz=1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, got, want string }{
		{"VER-010 c=relaxed leaves the body simple", fmt.Sprintf("%s/%s", s.HeaderCanon, s.BodyCanon), "relaxed/simple"},
		{"EAI-001 d=", s.Domain, "xn--bcher-kva.example"},
		{"s=", s.Selector, "sel.a"},
		{"i=", s.AUID, "jo=20e@A.bücher.example"},
		{"i= domain", s.auidDomain, "a.xn--bcher-kva.example"},
		{"a=", s.Algorithm, "ed25519-sha256"},
		{"h=", s.Headers, "From : to"},
		{"b=", s.B, "QUJDREVG"},
		{"VER-013 l= saturates", fmt.Sprint(s.Length), fmt.Sprint(int64(math.MaxInt64))},
		{"t=, x=", fmt.Sprint(s.Time, s.Expires), "1 2"},
		{"key name", s.keyName(), "sel.a._domainkey.xn--bcher-kva.example"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestABrokenSignatureStillSaysWhoseItClaimsToBe(t *testing.T) {
	s, err := ParseSignature("v=9; a=Foo-Bar; d=Example.org; s=sel; b=QUJD")
	if err != errVersion || s.Domain != "example.org" || s.Selector != "sel" || s.Algorithm != "foo-bar" || s.B != "QUJD" {
		t.Errorf("%v, %+v", err, s)
	}
	s, _ = ParseSignature("v=1; a=\"(; d=a(b; s=; b=$; i=@x")
	if s.Domain != "" || s.Selector != "" || s.Algorithm != "" || s.B != "" || s.AUID != "" {
		t.Errorf("ATK-004 what is no name is told: %+v", s)
	}
}
