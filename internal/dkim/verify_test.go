package dkim

import (
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/message"
)

// craft signs a header with the text of a DKIM-Signature value without b=, as our
// signer would not. It replaces bh=? with the hash of the body.
func craft(t testing.TB, h message.Header, body, value, key string) message.Header {
	t.Helper()
	var s Signature
	bh := func(c Canonicalization, length int64) string {
		b := NewBodyHash(c, newHash(s.hash))
		if length >= 0 {
			b.Mark(length)
		}
		b.Write([]byte(body))
		b.Close()
		if sum, ok := b.At(length); ok {
			return base64.StdEncoding.EncodeToString(sum)
		}
		return base64.StdEncoding.EncodeToString(b.Sum())
	}
	s.parse(strings.Replace(value, "bh=?", "bh="+goodHash, 1)+"b=QUJD", Options{AllowSHA1: true, AllowMissingV: true})
	if s.hash == 0 {
		s.hash = crypto.SHA256
	}
	value = strings.Replace(value, "bh=?", "bh="+bh(s.BodyCanon, s.Length), 1) + "b="
	s.cutStart, s.cutEnd = len(value), len(value)
	var hh headerHasher
	hh.begin(h)
	var sum [maxHashOctets]byte
	hh.sum(&s, message.Field{Name: fieldName, Value: value}, -1, &sum)
	signer := testKeys()[key]
	var opts = s.hash
	if key == "ed25519" {
		opts = 0
	}
	data, err := signer.Sign(nil, sum[:s.hash.Size()], opts)
	if err != nil {
		t.Fatal(err)
	}
	value += base64.StdEncoding.EncodeToString(data)
	return append(message.Header{{Name: fieldName, Value: value}}, h...)
}

const crafted = " v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=ed25519; h=from:subject; bh=?; "

func TestVerify(t *testing.T) {
	now := testTime.Unix()
	at := func(tag string, offset int64) string { return fmt.Sprintf("%s%s=%d; ", crafted, tag, now+offset) }
	replace := func(old, new string) string { return strings.Replace(crafted, old, new, 1) }
	record := testZone(t)["ed25519._domainkey.example.org"][0]
	flags := func(t string) zone {
		return zone{"ed25519._domainkey.example.org": {strings.Replace(record, "p=", "t="+t+"; p=", 1)}}
	}
	// plainBody is 26 octets long in relaxed form.
	canonical := len(referenceBody(plainBody, Relaxed))
	length := func(n int) string { return fmt.Sprintf("%sl=%d; ", crafted, n) }
	for _, tt := range []struct {
		name, value string
		key         string // ed25519 if empty
		zone        zone   // the test keys if nil
		want        Result
		reason      string
	}{
		{name: "Ed25519", value: crafted, want: Pass},
		{name: "x= not reached", value: at("x", 1), want: Pass},
		{name: "x= passed, within the skew", value: at("x", -299), want: Pass},
		{name: "x= passed, beyond the skew", value: at("x", -301), want: PermError, reason: reasonExpired},
		{name: "t= ahead, within the skew", value: at("t", 299), want: Pass},
		{name: "t= ahead, beyond the skew", value: at("t", 301), want: PermError, reason: reasonFuture},
		{name: "t= long ago", value: crafted + "t=0; ", want: Pass},
		{name: "l= is longer than the body", value: length(canonical + 1), want: PermError, reason: reasonShortBody},
		{name: "l= is 10^75", value: crafted + "l=1" + strings.Repeat("0", 75) + "; ", want: PermError, reason: reasonShortBody},
		{name: "l= and a body that was changed", value: strings.Replace(length(canonical), "bh=?", "bh="+goodHash, 1), want: Fail, reason: reasonBody},
		{name: "l= is the body's length", value: length(canonical), want: Pass},
		{name: "l= is shorter than the body", value: length(canonical - 1), want: Policy, reason: reasonUnsigned},
		{name: "l=0", value: length(0), want: Policy, reason: reasonUnsigned},
		{name: "a short key", value: replace("a=ed25519-sha256", "a=rsa-sha256"), key: "rsa1024",
			zone: zone{"ed25519._domainkey.example.org": {"p=" + "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMPekl+uAfmcdIuyNUybIsdPyzK6mFOk5s87lOXFWKs//btaTCJRSjG1kijuGZZEZluxlX/qR1xB4G/ep/hYTZkCAwEAAQ=="}},
			want: PermError, reason: "key record: " + errKeyTooShort.Error()},
		{name: "the name does not exist", value: crafted, zone: zone{}, want: PermError, reason: reasonNoRecord},
		{name: "the server fails", value: replace("s=ed25519", "s=servfail"), want: TempError, reason: reasonTemporary},
		{name: "the key is of another type", value: replace("s=ed25519", "s=rsa2048"), want: PermError, reason: reasonKeyType},
		{name: "the key bars the hash", value: crafted, zone: zone{"ed25519._domainkey.example.org": {strings.Replace(record, "p=", "h=sha1; p=", 1)}},
			want: PermError, reason: reasonHashBarred},
		{name: "t=s and a subdomain in i=", value: crafted + "i=@a.example.org; ", zone: flags("s"), want: PermError, reason: reasonStrict},
		{name: "t=s and the domain itself in another case", value: crafted + "i=joe@EXAMPLE.org; ", zone: flags("s"), want: Pass},
		{name: "t=s and no i=", value: crafted, zone: flags("s"), want: Pass},
		{name: "a subdomain in i=", value: crafted + "i=@a.example.org; ", want: Pass},
		{name: "rsa-sha1", value: replace("a=ed25519-sha256", "a=rsa-sha1"), key: "rsa1024", want: PermError, reason: errSHA1.Error()},
		{name: "an unknown algorithm", value: replace("a=ed25519-sha256", "a=ed25519-sha512"), want: PermError, reason: errAlgorithm.Error()},
		{name: "d= is a top-level domain", value: replace("d=example.org", "d=org"), zone: zone{"ed25519._domainkey.org": {record}}, want: PermError, reason: reasonTopLevel},
		{name: "only From is signed", value: replace("h=from:subject", "h=from"), want: Pass},
		{name: "names of fields that are not there", value: replace("h=from:subject", "h=x-a:from:x-b:from:x-a"), want: Pass},
		{name: "c=relaxed has a simple body", value: replace("c=relaxed/relaxed", "c=relaxed"), want: Pass},
		{name: "no c= is simple", value: replace("c=relaxed/relaxed; ", ""), want: Pass},
		{name: "From is not signed", value: replace("h=from:", "h="), want: PermError, reason: errFromNotSigned.Error()},
		{name: "unknown tags are hashed and ignored", value: crafted + "zz=a  b; ", want: Pass},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, z := "ed25519", testZone(t)
			if tt.key != "" {
				key = tt.key
			}
			if tt.zone != nil {
				z = tt.zone
			}
			h := craft(t, plainHeader(), plainBody, tt.value, key)
			out := verify(h, plainBody, z, Options{Now: testTime})
			if len(out) != 1 || out[0].Result != tt.want || out[0].Reason != tt.reason {
				t.Errorf("%s (%s), want %s (%s)", out[0].Result, out[0].Reason, tt.want, tt.reason)
			}
		})
	}
}

func TestOutcomeSaysWhatAReportNeeds(t *testing.T) {
	z := testZone(t)
	h := sign(t, plainHeader(), plainBody, params("rsa2048"))
	o := verify(append(header("X: y"), h...), plainBody, z, Options{})[0]
	// Everything that a result field and a report need.
	if o.Field != 1 || o.Domain != "example.org" || o.Selector != "rsa2048" || o.AUID != "@example.org" || o.Algorithm != "rsa-sha256" ||
		o.KeyBits != 2048 || o.Testing || o.Length != -1 || len(o.B) != 344 || strings.ContainsAny(o.B, " \r\n") || o.Uncovered != nil {
		t.Errorf("%+v", o)
	}
	_, err := base64.StdEncoding.DecodeString(o.B)
	if err != nil {
		t.Error(err)
	}
}

func TestKeysMarkedAsATest(t *testing.T) {
	record := strings.Replace(testZone(t)["ed25519._domainkey.example.org"][0], "p=", "t=y; p=", 1)
	z := zone{"ed25519._domainkey.example.org": {record}}
	h := sign(t, plainHeader(), plainBody, params("ed25519"))
	for _, tt := range []struct {
		name, body        string
		result, effective Result
	}{
		{"a pass stays a pass", plainBody, Pass, Pass},
		{"a failure counts for nothing", "x", Fail, None},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := verify(h, tt.body, z, Options{})[0]
			if o.Result != tt.result || o.Effective() != tt.effective || !o.Testing {
				t.Errorf("%+v, effective %s", o, o.Effective())
			}
		})
	}
	if o := (Outcome{Result: Fail}); o.Effective() != Fail {
		t.Error("other keys' failures count")
	}
}

func TestNoSignatureNoOutcome(t *testing.T) {
	v := NewVerification(plainHeader(), Options{})
	if v.NeedsBody() || v.Keys() != 0 || v.Finish() != nil {
		t.Error("a message without signatures needs nothing")
	}
	v.LookupKey(context.Background(), 0, zone{}) // has no effect
	v.Write([]byte("x"))
}

func TestFieldsThatAreChangedOrAdded(t *testing.T) {
	z := testZone(t)
	for _, tt := range []struct {
		name      string
		headers   []string
		change    func(message.Header) message.Header
		want      Result
		uncovered string
	}{
		{"a second Subject, signed once, is told", []string{"From", "Subject"},
			func(h message.Header) message.Header { return append(header("Subject: you have won"), h...) }, Pass, "subject"},
		{"an identical second Message-ID, as some gateways add it", []string{"From", "Message-ID"},
			func(h message.Header) message.Header { return append(header("Message-Id:  <1@example.org>"), h...) }, Pass, ""},
		{"a second Subject breaks a signature that names it twice", []string{"From", "Subject", "Subject"},
			func(h message.Header) message.Header { return append(header("Subject: you have won"), h...) }, Fail, ""},
		{"a second Content-Type breaks a signature that names one more", []string{"From", "Content-Type"},
			func(h message.Header) message.Header { return append(h, header("Content-Type: text/html")...) }, Fail, ""},
		{"a second From on top is told", []string{"From"},
			func(h message.Header) message.Header { return append(header("From: <evil@example.net>"), h...) }, Pass, "from"},
		{"a second From below breaks it", []string{"From"},
			func(h message.Header) message.Header { return append(h, header("From: <evil@example.net>")...) }, Fail, ""},
		{"a From with a blank before the colon is a From", []string{"From", "From"},
			func(h message.Header) message.Header { return append(header("From : <evil@example.net>"), h...) }, Fail, ""},
		{"fields that are not signed may come and go", []string{"From", "Subject"},
			func(h message.Header) message.Header { return append(h[:2], header("X-Spam: no", "Received: x")...) }, Fail, ""},
		{"fields that are not signed may come", []string{"From", "Subject"},
			func(h message.Header) message.Header { return append(header("X-Spam: no", "Received: x"), h...) }, Pass, ""},
		{"relaxed does not mind case, folds and white space", []string{"From", "Subject"},
			func(h message.Header) message.Header {
				h = slices.Clone(h)
				h[4] = message.Field{Name: "SUBJECT", Value: "a test\r\n\tof    folding"}
				return h
			}, Pass, ""},
		{"a value that is written in another Unicode form is another value", []string{"From", "X-Name"},
			func(h message.Header) message.Header {
				h = slices.Clone(h)
				h[len(h)-1].Value = " Jose\u0301"
				return h
			}, Fail, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := params("ed25519")
			p.Headers = tt.headers
			h := tt.change(sign(t, append(plainHeader(), header("X-Name: José")...), plainBody, p))
			o := verify(h, plainBody, z, Options{})[0]
			if o.Result != tt.want || strings.Join(o.Uncovered, " ") != tt.uncovered {
				t.Errorf("%s (%s), uncovered %q; want %s, %q", o.Result, o.Reason, o.Uncovered, tt.want, tt.uncovered)
			}
		})
	}
}

// counting counts the queries.
type counting struct {
	zone
	mu    sync.Mutex
	asked map[string]int
}

func (c *counting) LookupTXT(ctx context.Context, name string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		c.asked = map[string]int{}
	}
	c.asked[name]++
	return c.zone.LookupTXT(ctx, name)
}

func TestTooManySignatures(t *testing.T) {
	good := sign(t, plainHeader(), plainBody, params("ed25519"))
	junk := func(n int, domain string) message.Header {
		var h message.Header
		for i := range n {
			h = append(h, message.Field{Name: fieldName, Value: " " + with("d="+strings.Replace(domain, "%d", fmt.Sprint(i), 1))})
		}
		return h
	}
	broken := slices.Repeat(message.Header{{Name: "dkim-signature", Value: " v=1; d=example.org"}}, 300)
	author := []string{"example.org"}
	for _, tt := range []struct {
		name    string
		top     message.Header
		authors []string
		want    Result // of the valid one, at the bottom
		lookups int
	}{
		{"seven on top", junk(7, "j%d.example.com"), nil, Pass, 8},
		{"eight on top take all that is allowed", junk(300, "j%d.example.com"), nil, Neutral, 8},
		{"the author's domain goes first", junk(300, "j%d.example.com"), author, Pass, 8},
		{"so does its parent", junk(300, "j%d.example.com"), []string{"mail.example.org"}, Pass, 8},
		{"and its child", junk(300, "j%d.example.com"), []string{"org"}, Pass, 8},
		{"and its sibling", junk(300, "j%d.example.com"), []string{"mail.example.net", "example.org.example", "b.example.org"}, Pass, 8},
		{"the author's domain goes before its siblings", junk(300, "j%d.example.org"), []string{"mail.example.org"}, Pass, 8},
		{"but not a name that only looks like it", junk(300, "j%d.example.com"), []string{"evilexample.org", "example.org.evil.example"}, Neutral, 8},
		{"signatures with mistakes do not count", broken[:maxBroken+defaultMaxSignatures-1], nil, Pass, 1},
		{"however many they are, if others align", junk(300, "j%d.example.com/"), author, Pass, 1},
		{"but not without end, if they would align as well", broken, author, Neutral, 0},
		{"a key is looked up once for all its signatures", junk(7, "example.com"), nil, Pass, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &counting{zone: testZone(t)}
			out := verify(append(slices.Clone(tt.top), good...), plainBody, r, Options{AuthorDomains: tt.authors})
			if len(out) != len(tt.top)+1 {
				t.Fatalf("%d outcomes for %d fields", len(out), len(tt.top)+1)
			}
			if o := out[len(out)-1]; o.Result != tt.want || o.Result == Neutral && o.Reason != reasonTooMany {
				t.Errorf("%s (%s), want %s", o.Result, o.Reason, tt.want)
			}
			if len(r.asked) != tt.lookups {
				t.Errorf("%d names asked for, want %d", len(r.asked), tt.lookups)
			}
			for name, n := range r.asked {
				// Never the bare _domainkey.
				if n != 1 || !strings.Contains(name, "._domainkey.") {
					t.Errorf("%s asked for %d times", name, n)
				}
			}
		})
	}
	out := verify(append(junk(3, "j%d.example.com"), good...), plainBody, testZone(t), Options{MaxSignatures: 2})
	var results []string
	for _, o := range out {
		results = append(results, string(o.Result))
	}
	if got := strings.Join(results, " "); got != "permerror permerror neutral neutral" {
		t.Errorf("from the top down: %s", got)
	}
}

func TestSignaturesOfDifferentLengthShareNoHash(t *testing.T) {
	// Each l= needs its own body hash.
	h := plainHeader()
	n := len(referenceBody(plainBody, Relaxed))
	for _, l := range []int{0, 1, 5, 5, n, n + 1, 7} {
		h = craft(t, h, plainBody, fmt.Sprintf("%sl=%d; ", crafted, l), "ed25519")
	}
	h = craft(t, h, plainBody, crafted, "ed25519")
	h = craft(t, h, plainBody, strings.Replace(crafted, "/relaxed", "/simple", 1), "ed25519")
	v := NewVerification(h, Options{MaxSignatures: 20})
	if len(v.bodies) != 2 || v.Keys() != 1 {
		t.Errorf("%d passes over the body and %d keys, want 2 and 1", len(v.bodies), v.Keys())
	}
	if got := v.KeyName(0) + v.KeyName(1) + v.KeyName(-1); got != "ed25519._domainkey.example.org" {
		t.Error(got)
	}
	v.LookupKey(context.Background(), 0, testZone(t))
	v.LookupKey(context.Background(), 0, zone{}) // a second time changes nothing
	v.Write([]byte(plainBody))
	var got []string
	for _, o := range v.Finish() {
		got = append(got, string(o.Result))
	}
	if got := strings.Join(got, " "); got != "pass pass policy permerror pass policy policy policy policy" {
		t.Error(got)
	}
}

// A look-up that failed may be repeated: only the last answer counts.
func TestAFailedLookupMayBeRepeated(t *testing.T) {
	h := sign(t, plainHeader(), plainBody, params("rsa2048"), params("ed25519"))
	v := NewVerification(h, Options{})
	for i := range v.Keys() {
		v.LookupKey(context.Background(), i, failing{})
	}
	if !v.NeedsBody() {
		t.Error("the body is not needed after a failed look-up")
	}
	for i := range v.Keys() {
		v.LookupKey(context.Background(), i, testZone(t))
	}
	v.Write([]byte(plainBody))
	for _, o := range v.Finish() {
		if o.Result != Pass || o.Err != nil || o.KeyBits == 0 {
			t.Errorf("%+v", o)
		}
	}
}

type failing struct{}

func (failing) LookupTXT(context.Context, string) ([]string, error) { return nil, errServFail }

func TestLookingUpBesideTheBody(t *testing.T) {
	p := []SignParams{params("rsa2048"), params("ed25519"), params("rsa1024")}
	body := strings.Repeat(plainBody, 1000)
	h := sign(t, plainHeader(), body, p...)
	v := NewVerification(h, Options{})
	z := testZone(t)
	var wg sync.WaitGroup
	for i := range v.Keys() {
		wg.Go(func() { v.LookupKey(context.Background(), i, z) })
	}
	for b := []byte(body); len(b) > 0; {
		n := min(len(b), 100)
		v.Write(b[:n])
		b = b[n:]
	}
	wg.Wait()
	for i, o := range v.Finish() {
		if o.Result != Pass || o.Selector != p[i].Selector {
			t.Errorf("%+v", o)
		}
	}
}

func TestAKeyThatIsNeverLookedUpIsATemporaryError(t *testing.T) {
	v := NewVerification(sign(t, plainHeader(), plainBody, params("ed25519")), Options{})
	v.Write([]byte(plainBody))
	if o := v.Finish()[0]; o.Result != TempError || o.Reason != reasonNoLookup {
		t.Errorf("%+v", o)
	}
}

func TestTheResolversErrorIsKept(t *testing.T) {
	h := craft(t, plainHeader(), plainBody, strings.Replace(crafted, "s=ed25519", "s=servfail", 1), "ed25519")
	o := verify(h, "", testZone(t), Options{})[0]
	if o.Result != TempError || !errors.Is(o.Err, errServFail) {
		t.Errorf("%+v", o)
	}
}

func TestOneGoodSignatureIsEnough(t *testing.T) {
	h := sign(t, plainHeader(), plainBody, params("ed25519"))
	// Malformed and foreign signatures above a good one do not hide it.
	h = append(header("DKIM-Signature: =?us-ascii?Q?v=3D1?=", "DKIM-Signature: v=1; a="), h...)
	out := verify(h, plainBody, testZone(t), Options{Now: time.Now()})
	if out[0].Result != PermError || out[1].Result != PermError || out[2].Result != Pass {
		t.Errorf("%+v", out)
	}
}

func TestReasonsHoldNoForeignText(t *testing.T) {
	const evil = "EVIL\x00\r\n(\""
	for _, name := range []string{"v", "a", "b", "bh", "c", "d", "h", "i", "l", "q", "s", "t", "x", "EVIL"} {
		h := append(header("DKIM-Signature: "+with(name+"="+evil), "DKIM-Signature: "+with(name+"=EVIL(\"")), plainHeader()...)
		for _, o := range verify(h, "", zone{"sel._domainkey.example.org": {"k=EVIL"}}, Options{}) {
			if strings.Contains(o.Reason, "EVIL") || strings.ContainsAny(o.Domain+o.Selector+o.Algorithm+o.B, "\x00\r\n(\"") {
				t.Errorf("%s: %+v", name, o)
			}
		}
	}
}

func TestLegacyOptions(t *testing.T) {
	sha1 := strings.NewReplacer("a=ed25519-sha256", "a=rsa-sha1", "s=ed25519", "s=rsa1024").Replace(crafted)
	for _, tt := range []struct {
		name, value string
		opt         Options
		want        Result
	}{
		{"SHA-1 is allowed", sha1, Options{AllowSHA1: true}, Pass},
		{"v= may be missing", strings.Replace(crafted, "v=1; ", "", 1), Options{AllowMissingV: true}, Pass},
		{"v= may be that of a draft", strings.Replace(crafted, "v=1; ", "v=0.5; ", 1), Options{AllowMissingV: true}, Pass},
		{"by default it may not", strings.Replace(crafted, "v=1; ", "", 1), Options{}, PermError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := craft(t, plainHeader(), plainBody, tt.value, map[bool]string{true: "rsa1024", false: "ed25519"}[tt.value == sha1])
			if o := verify(h, plainBody, testZone(t), tt.opt)[0]; o.Result != tt.want {
				t.Errorf("%+v", o)
			}
		})
	}
}

// anywhere returns the same records for every name.
type anywhere []string

func (a anywhere) LookupTXT(context.Context, string) ([]string, error) { return a, nil }

func TestChanceIsByLabels(t *testing.T) {
	const author = "news.victim.co.uk"
	order := []string{ // each likelier to align than the next
		author, "x.news.victim.co.uk", "victim.co.uk", "mail.victim.co.uk", "co.uk", "junk.co.uk", "example.uk",
	}
	v := Verification{opt: Options{AuthorDomains: []string{"another.test", author}}}
	for i := range order[1:] {
		if a, b := v.chance(order[i]), v.chance(order[i+1]); a <= b {
			t.Errorf("%s has %d, %s has %d", order[i], a, order[i+1], b)
		}
	}
	for _, other := range []string{"sample.org", "evilnews.victim.example", ""} {
		if got := v.chance(other); got != 0 {
			t.Errorf("%q has %d", other, got)
		}
	}
	deep := strings.Repeat("a.", 100) + "example.org"
	v.opt.AuthorDomains = []string{deep}
	if got := v.chance("b." + deep); got >= maxChance {
		t.Errorf("a deep child has %d", got)
	}
}

// Junk of the same public suffix hides no signature of the author's tree.
func TestJunkUnderThePublicSuffixHidesNothing(t *testing.T) {
	var h message.Header
	for i := range 20 {
		h = append(h, header("DKIM-Signature:"+with(fmt.Sprintf("d=junk%d.co.uk", i)))...)
	}
	h = append(h, header("DKIM-Signature:"+with("d=mail.victim.co.uk"))...)
	var evaluated []int
	for _, o := range verify(h, "", zone{}, Options{AuthorDomains: []string{"news.victim.co.uk"}}) {
		if o.Result != Neutral {
			evaluated = append(evaluated, o.Field)
		}
	}
	if want := []int{0, 1, 2, 3, 4, 5, 6, 20}; !slices.Equal(evaluated, want) {
		t.Errorf("%v are evaluated, want %v", evaluated, want)
	}
}

// With a truncated body, failures that need only the header stay failures.
func TestACutBodyLeavesTheHeadersFailure(t *testing.T) {
	good := sign(t, plainHeader(), plainBody, params("ed25519"))
	for name, want := range map[string]Result{"as signed": TempError, "changed": Fail} {
		h := slices.Clone(good)
		if name == "changed" {
			h[2].Value += "x"
		}
		v := NewVerification(h, Options{})
		for i := range v.Keys() {
			v.LookupKey(context.Background(), i, testZone(t))
		}
		v.Write([]byte(plainBody[:3]))
		v.Cut()
		if o := v.Finish()[0]; o.Result != want {
			t.Errorf("%s: %s (%s), want %s", name, o.Result, o.Reason, want)
		}
	}
}

func TestAChangedBodyIsToldBeforeAChangedHeader(t *testing.T) {
	h := sign(t, plainHeader(), plainBody, params("ed25519"))
	h[2].Value += "x"
	if o := verify(h, "x", testZone(t), Options{})[0]; o.Result != Fail || o.Reason != reasonBody {
		t.Errorf("%+v", o)
	}
}
