package signer

import (
	"context"
	"slices"
	"strings"
	"testing"

	"signpost/internal/message"
)

const ownReport = "From: dmarc@example.com\nTo: rua@blue.example\nSubject: Report Domain: blue.example\nMessage-ID: <1@example.com>\nDate: Sat, 21 Nov 2026 12:00:00 +0000\n"

func onTopOf(fields []message.Field, h message.Header) message.Header {
	var all message.Header
	for _, f := range fields {
		all = append(all, message.Field{Name: f.Name, Value: " " + f.Value})
	}
	return append(all, h...)
}

// handIn runs a message through a signer that takes its envelope for one of its own mail.
func handIn(s *Signer, h message.Header, body string) message.Outcome {
	s = s.WithHandedIn(func(env message.Envelope) bool { return strings.HasPrefix(env.Sender, "dmarc+") })
	t := s.Sign(context.Background(), message.Envelope{Sender: "dmarc+token@example.com", Recipients: []string{"rua@blue.example"}})
	if t.Header(message.Envelope{Sender: "dmarc+token@example.com"}, h) {
		for _, piece := range strings.SplitAfter(body, "\n") {
			t.Body([]byte(piece))
		}
	}
	return t.End()
}

func TestOwnMailIsSignedOnceAlthoughItPassesTheMilter(t *testing.T) {
	const twoKeys = "domains: [{domain: example.com, selectors: [rsa1, ed1]}]\n"
	for name, yaml := range map[string]string{
		"one key":         "domains: [{domain: example.com, selectors: [ed1]}]\n",
		"two keys":        twoKeys,
		"senders refused": twoKeys + "senders: {mode: reject, allow: [{login: a, authors: [a@example.com]}]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newSigner(t, yaml)
			h := header(t, ownReport)
			fields, err := s.SignOwn(context.Background(), h, []byte(testBody))
			if err != nil {
				t.Fatal(err)
			}
			out := handIn(s, onTopOf(fields, h), testBody)
			if out.Disposition != message.Accept || len(out.Insert) != 0 || len(out.Signatures) != 0 || noteOf(out, "handed_in") == "" {
				t.Errorf("%+v", out)
			}
		})
	}
}

func TestOnlyAValidSignatureOfOursCounts(t *testing.T) {
	const yaml = "domains: [{domain: example.com, selectors: [rsa1, ed1]}, {domain: other.example, selectors: [ed1]}]\n"
	s, _ := newSigner(t, yaml)
	h := header(t, ownReport)
	fields, err := s.SignOwn(context.Background(), h, []byte(testBody))
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := newSigner(t, yaml)
	strangers, err := stranger.SignOwn(context.Background(), h, []byte(testBody))
	if err != nil {
		t.Fatal(err)
	}
	otherFrom := slices.Clone(h)
	otherFrom[0].Value = " dmarc@other.example"
	otherSubject := slices.Clone(h)
	otherSubject[2].Value = " Buy this"
	for name, c := range map[string]struct {
		h    message.Header
		body string
	}{
		"no signature":            {h, testBody},
		"another body":            {onTopOf(fields, h), "Buy\r\n"},
		"a longer body":           {onTopOf(fields, h), testBody + "Buy\r\n"},
		"another subject":         {onTopOf(fields, otherSubject), testBody},
		"another author of ours":  {onTopOf(fields, otherFrom), testBody},
		"a second From":           {append(message.Header{{Name: "Subject", Value: " x"}}, onTopOf(fields, h)...), testBody},
		"a stranger's signatures": {onTopOf(strangers, h), testBody},
		"one of two signatures":   {onTopOf(fields[:1], h), testBody},
		"no author":               {onTopOf(fields, h[1:]), testBody},
	} {
		t.Run(name, func(t *testing.T) {
			out := handIn(s, c.h, c.body)
			if noteOf(out, "handed_in") != "" || (len(out.Signatures) == 0 && out.Unsigned == "") {
				t.Errorf("%+v", out)
			}
		})
	}
}

func TestARefusedSenderStaysRefusedWithoutAValidSignature(t *testing.T) {
	s, _ := newSigner(t, "domains: [{domain: example.com, selectors: [ed1]}]\nsenders: {mode: reject, allow: [{login: a, authors: [a@example.com]}]}\n")
	if out := handIn(s, header(t, ownReport), testBody); out.Disposition != message.Reject {
		t.Errorf("%+v", out)
	}
}

func TestFieldsThatClaimToBeOursAreRemovedFromOwnMailToo(t *testing.T) {
	s, _ := newSigner(t, "domains: [{domain: example.com, selectors: [ed1]}]\n")
	s = s.WithForged(func(_ message.Envelope, h message.Header) []int { return []int{0} })
	h := header(t, ownReport)
	fields, err := s.SignOwn(context.Background(), h, []byte(testBody))
	if err != nil {
		t.Fatal(err)
	}
	forged := append(message.Header{{Name: "Authentication-Results", Value: " example.com; dkim=pass"}}, onTopOf(fields, h)...)
	if out := handIn(s, forged, testBody); noteOf(out, "handed_in") == "" || !slices.Equal(out.Remove, []int{0}) {
		t.Errorf("%+v", out)
	}
}

func TestOwnMailThatCannotBeSignedSaysWhy(t *testing.T) {
	for name, c := range map[string]struct{ yaml, from, why string }{
		"no entry":    {"domains: [{domain: example.com, selectors: [ed1]}]\n", "dmarc@red.example", "red.example"},
		"not aligned": {"domains: [{domain: example.com, selectors: [ed1]}, {domain: red.example, sdid: example.com}]\n", "dmarc@red.example", "not aligned"},
		"no address":  {"domains: [{domain: example.com, selectors: [ed1]}]\n", "dmarc", "not certain"},
	} {
		s, _ := newSigner(t, c.yaml)
		_, err := s.SignOwn(context.Background(), header(t, "From: "+c.from+"\n"), []byte(testBody))
		if err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
