package arc

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/dkim"
	"signpost/internal/message"
)

// records is a zone of key records that counts what is asked. An empty record is DNS
// trouble.
type records struct {
	at    map[string]string
	asked []string
}

var errDNS = errors.New("SERVFAIL")

func (r *records) LookupTXT(_ context.Context, name string) ([]string, error) {
	r.asked = append(r.asked, name)
	record, ok := r.at[name]
	switch {
	case !ok:
		return nil, nil
	case record == "":
		return nil, errDNS
	}
	return []string{record}, nil
}

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

// zone has our key for the domains sealer1.example to sealer60.example.
func zone(t testing.TB) *records {
	t.Helper()
	record, err := dkim.KeyRecord(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	r := &records{at: map[string]string{}}
	for i := 1; i <= 60; i++ {
		r.at[keyAt(i)] = record
	}
	return r
}

func keyAt(i int) string { return fmt.Sprintf("s._domainkey.sealer%d.example", i) }

const plain = "From: jo@author.example\r\nTo: you@example.org\r\nSubject: hello\r\n\r\nHi.\r\n"

// seal adds the next set to a message, by the sealer of its number.
func seal(t testing.TB, raw string, change func(*SealParams)) string {
	t.Helper()
	h, body, judged := judge(t, []byte(raw), Options{}, zone(t))
	p := SealParams{
		Domain: fmt.Sprintf("sealer%d.example", judged.Instances+1), Selector: "s", Key: key, Time: time.Unix(1e9, 0),
		Headers: []string{"From", "To", "Subject"}, Payload: "mx.example; spf=pass smtp.mailfrom=author.example",
		Body: hashOf(body),
	}
	if change != nil {
		change(&p)
	}
	fields, err := Seal(h, judged, p)
	if err != nil {
		t.Fatal(err)
	}
	return message.Header(append(fields, h...)).String() + "\r\n" + string(body)
}

// hashOf is the hash of a body, for SealParams.
func hashOf(body []byte) *dkim.BodyHash {
	b := NewBody()
	b.Write(body)
	return b
}

func chainOf(t testing.TB, n int) string {
	t.Helper()
	raw := plain
	for range n {
		raw = seal(t, raw, nil)
	}
	return raw
}

func TestAChainOfAnyLengthPasses(t *testing.T) {
	raw := plain
	for n := 1; n <= MaxSets; n++ {
		raw = seal(t, raw, nil)
		if n != 1 && n != 2 && n != 10 && n != 11 && n != MaxSets {
			continue
		}
		r := zone(t)
		_, _, o := judge(t, []byte(raw), Options{}, r)
		if o.Result != Pass || o.OldestPass != 0 || len(o.Sets) != n || o.Sets[n-1].Domain != fmt.Sprintf("sealer%d.example", n) {
			t.Fatalf("a chain of %d: %+v", n, o)
		}
		if len(r.asked) != n {
			t.Errorf("a chain of %d sets with one key each asks %d times: %v", n, len(r.asked), r.asked)
		}
	}
	if _, _, o := judge(t, []byte(raw), Options{}, zone(t)); o.Instances != MaxSets {
		t.Fatal(o.Instances)
	}
	h, _, judged := judge(t, []byte(raw), Options{}, zone(t))
	if _, err := Seal(h, judged, SealParams{}); !errors.Is(err, ErrEnded) {
		t.Errorf("a 51st set: %v", err)
	}
	h, _, judged = judge(t, []byte("ARC-Seal: i=51; cv=none\r\n"+plain), Options{}, zone(t))
	if _, err := Seal(h, judged, SealParams{}); !errors.Is(err, ErrEnded) {
		t.Errorf("a set on top of i=51: %v", err)
	}
}

// A chain with a broken structure causes no query.
func TestABrokenStructureFailsWithoutDNS(t *testing.T) {
	two := chainOf(t, 2)
	replace := func(old, new string) string { return strings.Replace(two, old, new, 1) }
	line := func(raw, name string) string { // the topmost field of a name
		from := strings.Index(raw, name+":")
		to := from + strings.Index(raw[from:], "\r\n") + 2
		for raw[to] == ' ' {
			to += strings.Index(raw[to:], "\r\n") + 2
		}
		return raw[from:to]
	}
	for _, c := range []struct{ name, raw, reason string }{
		{"a seal with h=", replace("cv=pass;", "cv=pass; h=from;"), "h= stands in an ARC-Seal"},
		{"cv=fail on top", replace("cv=pass", "cv=fail"), "cv=fail"},
		{"cv=none in set 2", replace("cv=pass", "cv=none"), "cv= of seal 2 is not pass"},
		{"cv=pass in set 1", replace("cv=none", "cv=pass"), "cv= of seal 1 is not none"},
		{"no cv=", replace("cv=none; ", ""), "cv= of seal 1 is not none"},
		{"instance 0", replace("i=2; s=s", "i=0; s=s"), "no usable i="},
		{"instance 51", replace("i=2; s=s", "i=51; s=s"), "more than 50"},
		{"instance 10000", replace("i=2; s=s", "i=10000; s=s"), "more than 50"},
		{"instance 99999999999999999999", replace("i=2; s=s", "i=99999999999999999999; s=s"), "more than 50"},
		{"instance +2", replace("i=2; s=s", "i=+2; s=s"), "no usable i="},
		{"a gap", strings.ReplaceAll(two, "i=2;", "i=3;"), "gap"},
		{"a seal twice", line(two, NameSeal) + two, "two fields ARC-Seal with i=2"},
		{"a seal twice, with i=02", strings.Replace(line(two, NameSeal), "i=2", "i=02", 1) + two, "two fields ARC-Seal with i=2"},
		{"a message signature twice", line(two, NameMessage) + two, "two fields ARC-Message-Signature with i=2"},
		{"results twice", line(two, NameResults) + two, "two fields ARC-Authentication-Results with i=2"},
		{"no seal", strings.Replace(two, line(two, NameSeal), "", 1), "set 2 has no ARC-Seal"},
		{"no message signature", strings.Replace(two, line(two, NameMessage), "", 1), "set 2 has no ARC-Message-Signature"},
		{"no results", strings.Replace(two, line(two, NameResults), "", 1), "set 2 has no ARC-Authentication-Results"},
		{"results alone", "ARC-Authentication-Results: i=1; mx.example; spf=pass\r\n" + plain, "set 1 has no ARC-Seal"},
		{"the seal by rsa-sha1", replace("a=ed25519-sha256", "a=rsa-sha1"), "rsa-sha1"},
		{"From is not signed", replace("h=From:To:Subject", "h=To:Subject"), "does not cover From"},
		{"a seal is signed", replace("h=From:", "h=From:arc-seal:"), "h= covers ARC-Seal"},
		{"51 seals", strings.Repeat("ARC-Seal: i=1; cv=none; a=rsa-sha256; d=a.example; s=s; b=AAAA\r\n", 51) + plain, "more than 50 sets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := zone(t)
			_, _, o := judge(t, []byte(c.raw), Options{}, r)
			if o.Result != Fail || !strings.Contains(o.Reason, c.reason) || o.Undecided {
				t.Errorf("%s (%s), want fail for %q", o.Result, o.Reason, c.reason)
			}
			if len(r.asked) != 0 {
				t.Errorf("%v is asked for", r.asked)
			}
		})
	}
}

func TestInstancesAreNumbers(t *testing.T) {
	for s, want := range map[string]int{"": 0, "x": 0, "1x": 0, "-1": 0, "0": 0, "00": 0, "1": 1, "01": 1, "10": 10, "50": 50, "51": 51, "001": 51, "999": 51} {
		if got := instance(s); got != want {
			t.Errorf("%q is the instance %d, want %d", s, got, want)
		}
	}
	for value, want := range map[string]int{
		" i=1; mx.example": 1, "\r\n (c(c)\\)) i (x) = \r\n\t(y) 12 (z);none": 12, " I=1; x": 0, " i=1 x;": 0, " (i=1; x": 0, "x; i=1;": 0, " i=1": 0, "": 0,
	} {
		if got, _ := splitResults(value); got != want {
			t.Errorf("%q is of instance %d, want %d", value, got, want)
		}
	}
}

func TestWhatASealerOrSomebodyElseChanged(t *testing.T) {
	three := chainOf(t, 3)
	for _, c := range []struct {
		name, raw string
		result    Result
		oldest    int
	}{
		{"nothing", three, Pass, 0},
		{"the body", strings.Replace(three, "Hi.", "Ho.", 1), Fail, 0},
		{"a signed field", strings.Replace(three, "Subject: hello", "Subject: bye", 1), Fail, 0},
		{"the results of set 1", strings.Replace(three, "i=1; mx.example; spf=pass", "i=1; mx.example; spf=fail", 1), Fail, 0},
		{"white space in the results of set 1", strings.Replace(three, "i=1; mx.example; spf=pass", "i=1;\r\n mx.example;   spf=pass", 1), Pass, 0},
	} {
		_, _, o := judge(t, []byte(c.raw), Options{}, zone(t))
		if o.Result != c.result || o.OldestPass != c.oldest {
			t.Errorf("%s: %s, oldest-pass %d (%s), want %s, %d", c.name, o.Result, o.OldestPass, o.Reason, c.result, c.oldest)
		}
	}
}

// A list changes the body and seals after it has found the chain to pass.
func TestOldestPassIsTheOldestThatVerifies(t *testing.T) {
	two := chainOf(t, 2)
	h, _, judged := judge(t, []byte(two), Options{}, zone(t))
	fields, err := Seal(h, judged, SealParams{Domain: "sealer3.example", Selector: "s", Key: key, Time: time.Unix(1e9, 0),
		Headers: []string{"From"}, Payload: "mx.example; none", Body: hashOf([]byte("Hi.\r\n-- \r\nthe list\r\n"))})
	if err != nil {
		t.Fatal(err)
	}
	raw := message.Header(append(fields, h...)).String() + "\r\nHi.\r\n-- \r\nthe list\r\n"
	raw = seal(t, raw, nil)
	_, _, o := judge(t, []byte(raw), Options{}, zone(t))
	if o.Result != Pass || o.OldestPass != 3 {
		t.Errorf("%s, oldest-pass %d (%s), want pass and 3", o.Result, o.OldestPass, o.Reason)
	}
}

func TestDNSTroubleFailsTheChainAndIsTold(t *testing.T) {
	three := chainOf(t, 3)
	for _, c := range []struct {
		name      string
		raw       string
		broken    map[int]bool // the keys that do not come
		absent    map[int]bool
		undecided bool
	}{
		{"the newest key", three, map[int]bool{3: true}, nil, true},
		{"an older key", three, map[int]bool{1: true}, nil, true},
		{"no such key", three, nil, map[int]bool{3: true}, false},
		{"an older key, and the body is changed", strings.Replace(three, "Hi.", "Ho.", 1), map[int]bool{1: true}, nil, false},
		{"an older key, and no newer one", three, map[int]bool{1: true}, map[int]bool{2: true}, false},
	} {
		r := zone(t)
		for i := range c.broken {
			r.at[keyAt(i)] = ""
		}
		for i := range c.absent {
			delete(r.at, keyAt(i))
		}
		_, _, o := judge(t, []byte(c.raw), Options{}, r)
		if o.Result != Fail || o.Undecided != c.undecided || (o.Err != nil) != c.undecided {
			t.Errorf("%s: %s, undecided %t (%s, %v), want fail, %t", c.name, o.Result, o.Undecided, o.Reason, o.Err, c.undecided)
		}
	}
}

// A forged seal is known as one even where the key of the message signature beside it is
// made not to come.
func TestAForgerCannotMakeAChainUndecided(t *testing.T) {
	raw := strings.Replace(seal(t, plain, nil), "d=sealer1.example; h=", "d=trouble.example; h=", 1)
	r := zone(t)
	r.at["s._domainkey.trouble.example"] = ""
	_, _, o := judge(t, []byte(raw), Options{}, r)
	if o.Result != Fail || o.Undecided {
		t.Errorf("%s, undecided %t (%s)", o.Result, o.Undecided, o.Reason)
	}
}

func TestLookupsEndAtTheFirstSealThatDoesNotVerify(t *testing.T) {
	raw := chainOf(t, 5)
	raw = strings.Replace(raw, "d=sealer4.example; i=4", "d=sealer9.example; i=4", 1)
	r := zone(t)
	delete(r.at, keyAt(9))
	judge(t, []byte(raw), Options{}, r)
	// Seal 5 covers seal 4, and so it is the one that fails.
	if !slices.Equal(r.asked, []string{keyAt(5)}) {
		t.Errorf("asked for %v", r.asked)
	}
}

func TestCoversMeansTheBodyAndEveryFieldThatMayStandOnce(t *testing.T) {
	with := func(headers ...string) func(*SealParams) { return func(p *SealParams) { p.Headers = headers } }
	reply := "Reply-To: list@sealer1.example\r\n" + plain
	for _, c := range []struct {
		name   string
		raw    string
		covers bool
	}{
		{"all", seal(t, plain, nil), true},
		{"in other case, and more often", seal(t, plain, with("from", "FROM", "to", "subject", "subject", "x-other")), true},
		{"not To", seal(t, plain, with("From", "Subject")), false},
		{"Reply-To too", seal(t, reply, with("From", "To", "Subject", "Reply-To")), true},
		{"not Reply-To", seal(t, reply, nil), false},
		{"a second Subject that is not signed", strings.Replace(seal(t, plain, nil), "To: you", "Subject: other\r\nTo: you", 1), false},
	} {
		_, _, o := judge(t, []byte(c.raw), Options{}, zone(t))
		if len(o.Sets) != 1 || o.Sets[0].Covers != c.covers {
			t.Errorf("%s: %+v, want covers %t", c.name, o, c.covers)
		}
	}
}

func TestTheSealerRefusesWhatVerifiersMayNotTake(t *testing.T) {
	h, _, judged := judge(t, []byte(plain), Options{}, zone(t))
	good := SealParams{Domain: "a.example", Selector: "s", Key: key, Headers: []string{"From"}, Time: time.Unix(1, 0), Body: NewBody()}
	for name, change := range map[string]func(*SealParams){
		"no From":       func(p *SealParams) { p.Headers = []string{"To"} },
		"an ARC field":  func(p *SealParams) { p.Headers = append(p.Headers, "arc-seal") },
		"results":       func(p *SealParams) { p.Headers = []string{"From", "Authentication-Results"} },
		"no key":        func(p *SealParams) { p.Key = nil },
		"no body":       func(p *SealParams) { p.Body = nil },
		"a bad domain":  func(p *SealParams) { p.Domain = "a;b" },
		"no selector":   func(p *SealParams) { p.Selector = "" },
		"before 1970":   func(p *SealParams) { p.Time = time.Unix(-1, 0) },
		"a name with :": func(p *SealParams) { p.Headers = []string{"From", "a:b"} },
	} {
		p := good
		p.Headers = slices.Clone(good.Headers)
		change(&p)
		if _, err := Seal(h, judged, p); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Seal(h, judged, good); err != nil {
		t.Error(err)
	}
}

// No line is longer than RFC 5322 allows, for any signed message.
func TestASetIsFolded(t *testing.T) {
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("X-Field-Of-Some-Length-%d", i))
	}
	raw := seal(t, plain, func(p *SealParams) { p.Headers = append(names, "From") })
	for line := range strings.SplitSeq(raw, "\r\n") {
		if len(line) > lineWidth && !strings.HasPrefix(line, NameResults) { // the payload is the caller's
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if _, _, o := judge(t, []byte(raw), Options{}, zone(t)); o.Result != Pass {
		t.Error(o.Reason)
	}
}

func TestNoARCFieldsIsNoChain(t *testing.T) {
	h, _, _ := judge(t, []byte(plain), Options{}, zone(t))
	if c := Read(h, Options{}); c != nil {
		t.Error(c)
	}
	if n := testing.AllocsPerRun(10, func() { Read(h, Options{}) }); n != 0 {
		t.Errorf("%v allocations for a message without ARC fields", n)
	}
}

// The instance may have comments around it (§4.2.1: CFWS), with semicolons in them.
func TestCommentsAroundTheInstance(t *testing.T) {
	h := message.Header{{Name: "From", Value: " jo@author.example"}}
	hash := NewBody()
	hash.Write([]byte("Hi.\r\n"))
	hash.Close()
	bh := base64.StdEncoding.EncodeToString(hash.Sum())
	sign := func(sum [dkim.SumOctets]byte) string {
		return base64.StdEncoding.EncodeToString(ed25519.Sign(key, sum[:]))
	}
	for _, instance := range []string{"i=1", " (a) i=1", "i (a) =1", "i= (a;b) 1", "i=1 (a (b\\)) ; i=2)", "(i=2;)\r\n i\t= 01\t(x) (y)"} {
		results := message.Field{Name: NameResults, Value: " i=1; mx.example; none"}
		head := " " + instance + "; a=ed25519-sha256; d=sealer1.example; s=s; "
		ams := message.Field{Name: NameMessage, Value: head + "c=relaxed/relaxed; h=From; bh=" + bh + "; b="}
		ams.Value += sign(dkim.SumHeader(h, "From", dkim.Relaxed, ams, len(ams.Value)))
		as := message.Field{Name: NameSeal, Value: head + "cv=none; b="}
		sealed := message.Header{results, ams}
		as.Value += sign(dkim.SumHeader(sealed, NameResults+":"+NameMessage, dkim.Relaxed, as, len(as.Value)))
		raw := message.Header{as, ams, results, h[0]}.String() + "\r\nHi.\r\n"
		if _, _, o := judge(t, []byte(raw), Options{}, zone(t)); o.Result != Pass || o.Instances != 1 {
			t.Errorf("%q: %s (%s)", instance, o.Result, o.Reason)
		}
	}
	for _, instance := range []string{"(a i=1", "i=1 (a", "i=1 a", "(a) 1", "(a) i=", "i (a)", "(a) i=1 (b) i=1", "a=x (i=1)", "(\x01) i=1"} {
		c := Read(message.Header{{Name: NameSeal, Value: " " + instance + "; cv=none"}}, Options{})
		if c.broken == "" || c.Sets() != 0 {
			t.Errorf("%q is instance %d", instance, c.Sets())
		}
	}
	if c := Read(message.Header{{Name: NameSeal, Value: " (a) i=1; i=1; cv=none"}}, Options{}); c.Sets() != 0 {
		t.Error("two instances in one field")
	}
}
