package arc

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"signpost/internal/dkim"
	"signpost/internal/message"
)

// An instance is read from any text without a panic, and what it says stands there.
func FuzzSplitResults(f *testing.F) {
	for _, s := range []string{" i=1; mx.example; spf=pass", "(c) i (x) = (y) 12 (z);none", " i=1", "((((", "i=51;x", "i=1;(;)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		i, payload := splitResults(value)
		if i < 0 || i > MaxSets+1 || !strings.HasSuffix(value, payload) || i == 0 && len(payload) == len(value) && value != "" {
			t.Errorf("%q: instance %d, payload %q", value, i, payload)
		}
	})
}

// Any ARC fields are judged without a panic, and a chain that its structure breaks asks
// for nothing. No chain of such fields passes: there is no key.
func FuzzChain(f *testing.F) {
	f.Add("s|i=1; cv=none; a=rsa-sha256; d=a.example; s=s; b=AAAA\nm|i=1; a=rsa-sha256; d=a.example; s=s; h=from; bh=AAAA; b=AAAA\nr|i=1; x; none")
	f.Add("s|i=2; cv=fail; h=from\ns|i=50\nr|i=51;")
	f.Add("r|i=1;\nr|i=01;")
	f.Fuzz(func(t *testing.T, text string) {
		var h message.Header
		for line := range strings.SplitSeq(text, "\n") {
			letter, value, _ := strings.Cut(line, "|")
			name := map[string]string{"s": NameSeal, "m": NameMessage, "r": NameResults}[letter]
			if name == "" {
				name = "From"
			}
			h = append(h, message.Field{Name: name, Value: value})
		}
		c := Read(h, Options{})
		if c == nil {
			return
		}
		r := &records{}
		d := dkim.NewVerification(h, Options{})
		v := c.Begin(h, d)
		v.LookupKeys(context.Background(), r)
		d.Write([]byte("x\r\n"))
		d.Finish()
		o := v.Finish()
		if o.Result != Fail || o.Reason == "" || o.Instances > MaxSets || len(o.Sets) > MaxSets || o.Undecided {
			t.Errorf("%+v", o)
		}
		if !v.NeedsKeys() && len(r.asked) > 0 || len(r.asked) > 2 {
			t.Errorf("asks for %v", r.asked)
		}
		if len(o.Sets) > 0 && 3*len(o.Sets) > len(h) {
			t.Errorf("%d sets of %d fields", len(o.Sets), len(h))
		}
	})
}

// FuzzContinued: a chain that is said to be continued can be, whatever the list software did to it.
func FuzzContinued(f *testing.F) {
	f.Add("ARC-Seal: i=1; cv=none; d=example.com; s=s; b=AAAA\nARC-Message-Signature: i=1; d=example.com; s=s; h=from; bh=AAAA; b=AAAA\nARC-Authentication-Results: i=1; mx; none", 0)
	f.Add("ARC-Seal: i=2; cv=fail\n", 1)
	f.Add("ARC-Authentication-Results: i=50; x", 2)
	f.Fuzz(func(t *testing.T, text string, result int) {
		h := message.Header{{Name: "From", Value: " a@example.com"}}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
			h = append(h, message.Field{Name: name, Value: value})
		}
		a := Arrival{Results: "mx; none", Chain: []Result{None, Pass, Fail}[uint(result)%3]}
		judged, problem := a.Continued(h, "example.com")
		if problem != "" {
			return
		}
		if judged.Result == None && judged.Instances > 0 || judged.Result == Pass && judged.Instances == 0 {
			t.Fatalf("%+v", judged)
		}
		_, err := Seal(h, judged, SealParams{Domain: "example.com", Selector: "s", Key: fuzzKey, Headers: []string{"From"}, Time: time.Unix(1, 0), Payload: a.Results, Body: NewBody()})
		if err != nil && !errors.Is(err, ErrEnded) {
			t.Fatalf("%+v: %v", judged, err)
		}
	})
}

var fuzzKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
