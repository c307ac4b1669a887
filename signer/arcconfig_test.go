package signer

import (
	"strings"
	"testing"

	"signpost/internal/arc"
	"signpost/internal/config"
	"signpost/internal/message"
)

func TestValidateARC(t *testing.T) {
	for _, c := range []struct{ name, yaml, mistake string }{
		{"nothing", "domains: []", ""},
		{"off, with the rest", "arc: {seal: off, domain: example.com, selector: s1, recipients: [a@example.com]}", ""},
		{"forwarded", `arc: {seal: forwarded, domain: Example.com, selector: s1, recipients: ["*", a@example.com, example.org, "*.example.net"]}`, ""},
		{"by networks", "arc: {seal: forwarded, domain: example.com, selector: s1, networks: [192.0.2.0/24]}", ""},
		{"another word", "arc: {seal: on}", "arc.seal"},
		{"no domain", "arc: {seal: forwarded, selector: s1, recipients: [a@example.com]}", "arc.domain"},
		{"one label", "arc: {seal: forwarded, domain: localhost, selector: s1, recipients: [a@example.com]}", "arc.domain"},
		{"a pattern as domain", `arc: {domain: "*"}`, "arc.domain"},
		{"no selector", "arc: {seal: forwarded, domain: example.com, recipients: [a@example.com]}", "arc.selector"},
		{"nothing to seal", "arc: {seal: forwarded, domain: example.com, selector: s1}", "seals nothing"},
		{"no recipient", "arc: {recipients: [\"a b\"]}", "is no recipient"},
		{"an unknown key", "arc: {seals: off}", "seals"},
	} {
		cfg := Defaults()
		src := config.Decode("test.yaml", []byte(c.yaml), &cfg)
		cfg.Validate(src.Bad)
		switch err := src.Err(); {
		case err == nil && c.mistake != "":
			t.Errorf("%s: no mistake, want one of %s", c.name, c.mistake)
		case err != nil && (c.mistake == "" || !strings.Contains(err.Error(), c.mistake)):
			t.Errorf("%s: %v, want %q", c.name, err, c.mistake)
		}
	}
}

func TestSealedNames(t *testing.T) {
	h := header(t, "ARC-Seal: x\nAuthentication-Results: x\nDKIM-Signature: a\nDKIM-Signature: b\nFrom: a@example.com\nX-Mine: 1\n")
	covered := Fields{}.covered()
	covered = append(covered, coveredField{"X-Mine", false}, coveredField{"Authentication-Results", true}, coveredField{"DKIM-Signature", true}, coveredField{"arc-seal", false})
	got := strings.Join(sealedNames(covered, h), ":")
	if want := "From:From:To:Cc:Subject:Date:Reply-To:Content-Type:X-Mine:DKIM-Signature:DKIM-Signature"; got != want {
		t.Errorf("h=%s\nwant %s", got, want)
	}
}

func TestAHeaderWithTooManyFieldsIsNotSealed(t *testing.T) {
	s, _ := newSigner(t, "arc: {seal: forwarded, domain: example.com, selector: ed1, recipients: [\"*\"]}\n")
	for n, want := range map[int]int{400: 3, 1900: 0} {
		h := header(t, letter+strings.Repeat("DKIM-Signature: x\n", n))
		out := s.Seal(t.Context(), message.Envelope{Recipients: []string{"bob@example.net"}}, nil).End(h, arc.Outcome{Result: arc.None}, "mx.example.com; none")
		if len(out.Insert) != want || (noteOf(out, "unsealed") == "") != (want > 0) || out.Failure != "" {
			t.Errorf("%d signatures: %d fields, %v", n, len(out.Insert), out.Log)
		}
	}
}
