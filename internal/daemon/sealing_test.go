package daemon

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/arc"
	"signpost/internal/message"
)

const sealYAML = "arc: {seal: forwarded, domain: example.com, selector: s2025, recipients: [forwarded@example.com, \"*.lists.example\"], networks: [192.0.2.0/28]}\n"

// sealingHouse has a key that seals. It signs nothing.
func sealingHouse(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	h.replace("require_published: true", "require_published: false\n  "+sealYAML)
	h.replace("selectors: [s2025, e2025]", "selectors: [e2025]")
	return h
}

func (h *house) load() *Generation {
	h.t.Helper()
	g, err := Load(h.config, time.Now, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return g
}

var forwarding = message.Envelope{
	ClientAddr: netip.MustParseAddr("203.0.113.9"), Helo: "mail.else.test", Sender: "jo@else.test",
	Recipients: []string{"Forwarded@Example.com"}, MTAName: "mx.example.com",
}

func split(t *testing.T, raw string) (message.Header, string) {
	t.Helper()
	h, _, err := message.Split(strings.NewReader(raw), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(raw, "\r\n\r\n")
	return h, body
}

// forward judges a message as the daemon does, and returns it as the MTA sends it on.
func forward(t *testing.T, g *Generation, env message.Envelope, raw string) (message.Outcome, string) {
	t.Helper()
	h, body := split(t, raw)
	out := decide(g.Handlers().Verifier.Verify(t.Context(), env), env, h, body)
	var left message.Header
	for _, f := range out.Insert {
		left = append(left, message.Field{Name: f.Name, Value: " " + f.Value})
	}
	for i, f := range h {
		if len(out.Remove) == 0 || out.Remove[0] != i {
			left = append(left, f)
		} else {
			out.Remove = out.Remove[1:]
		}
	}
	return out, left.String() + "\r\n" + body
}

const forwardedMail = "Authentication-Results: mx.example.com; dmarc=pass header.from=bank.example\r\n" +
	"DKIM-Signature: v=1; a=rsa-sha256; d=else.test; s=none; h=from; bh=AAAA; b=AAAA\r\n" +
	"From: jo@else.test\r\nTo: forwarded@example.com\r\nSubject: hello\r\n\r\nHi.\r\n"

func sealOf(out message.Outcome) []string {
	var names []string
	for _, f := range out.Insert {
		names = append(names, f.Name)
	}
	return names
}

// The set stands above our results, has them without comments, and verifies, as do two sets.
func TestForwardedMailIsSealed(t *testing.T) {
	g := sealingHouse(t).load()
	out, once := forward(t, g, forwarding, forwardedMail)
	if got := strings.Join(sealOf(out), " "); got != "ARC-Seal ARC-Message-Signature ARC-Authentication-Results Authentication-Results" {
		t.Fatalf("inserted: %s; log %v", got, out.Log)
	}
	if got := note(out, "sealed"); got != "i=1 cv=none d=example.com s=s2025" {
		t.Errorf("the log says %q", got)
	}
	unfold := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	results, ours := unfold(out.Insert[2].Value), unfold(out.Insert[3].Value)
	if want := "i=1; " + strings.Replace(ours, " (p=none dis=none)", "", 1); results != want {
		t.Errorf("the set has %s\nwant %s", results, want)
	}
	tags := strings.ReplaceAll(unfold(out.Insert[1].Value), " ", "")
	if !strings.Contains(tags, ":DKIM-Signature;") || strings.Contains(tags, "Authentication-Results") {
		t.Errorf("h= has to have the signature and no results: %s", tags)
	}
	// The next hop is ours too, and forwards again.
	next, twice := forward(t, g, forwarding, once)
	if got := note(next, "sealed"); got != "i=2 cv=pass d=example.com s=s2025" {
		t.Fatalf("the log says %q, %v", got, next.Log)
	}
	last, _ := forward(t, g, forwarding, twice)
	if got := note(last, "arc"); !strings.HasPrefix(got, "pass") {
		t.Errorf("arc=%s, %v", got, last.Log)
	}
}

func TestABrokenChainIsSealedOnceMore(t *testing.T) {
	g := sealingHouse(t).load()
	_, sealed := forward(t, g, forwarding, forwardedMail)
	out, failed := forward(t, g, forwarding, strings.Replace(sealed, "Hi.", "Pay me.", 1))
	if got := note(out, "sealed"); got != "i=2 cv=fail d=example.com s=s2025" {
		t.Fatalf("the log says %q, %v", got, out.Log)
	}
	ended, _ := forward(t, g, forwarding, failed)
	if got := note(ended, "unsealed"); len(ended.Insert) != 1 || got != arc.ErrEnded.Error() {
		t.Errorf("on top of cv=fail: %q, inserted %v", got, sealOf(ended))
	}
	broken, _ := forward(t, g, forwarding, "ARC-Seal: i=51; cv=none\r\n"+forwardedMail)
	if len(broken.Insert) != 1 || note(broken, "unsealed") == "" {
		t.Errorf("beyond 50 sets: %v, inserted %v", broken.Log, sealOf(broken))
	}
}

// A seal with cv=fail would end the chain for ever.
func TestAChainThatDNSLeavesUndecidedIsNotSealed(t *testing.T) {
	h := sealingHouse(t)
	_, sealed := forward(t, h.load(), forwarding, forwardedMail)
	h.write(h.zone, "s2025._domainkey.example.com. TXT SERVFAIL\n")
	out, _ := forward(t, h.load(), forwarding, sealed)
	if got := note(out, "unsealed"); len(out.Insert) != 1 || !strings.Contains(got, "DNS did not answer") || out.Disposition != message.Accept {
		t.Errorf("%q, inserted %v, %s", got, sealOf(out), out.Disposition)
	}
}

func TestWhichMailIsSealed(t *testing.T) {
	h := sealingHouse(t)
	h.replace("mx.example.com}", "mx.example.com, mode: enforce, trusted: {networks: [198.51.100.1/32]}}")
	h.write(h.zone, h.contents+"_dmarc.strict.test. TXT \"v=DMARC1; p=reject\"\n")
	g := h.load()
	for _, c := range []struct {
		name, client, from string
		recipients         []string
		seal               bool
	}{
		{"a recipient that is listed", "203.0.113.9", "else.test", []string{"forwarded@example.com"}, true},
		{"one of several recipients", "203.0.113.9", "else.test", []string{"bob@example.com", "a@b.lists.example"}, true},
		{"a pattern does not match its own domain", "203.0.113.9", "else.test", []string{"a@lists.example"}, false},
		{"another recipient", "203.0.113.9", "else.test", []string{"bob@example.com"}, false},
		{"a client that is listed", "192.0.2.3", "else.test", []string{"bob@example.com"}, true},
		{"mail that is refused", "192.0.2.3", "strict.test", []string{"bob@example.com"}, false},
		{"mail that is not judged", "198.51.100.1", "else.test", []string{"forwarded@example.com"}, false},
	} {
		env := forwarding
		env.ClientAddr, env.Recipients = netip.MustParseAddr(c.client), c.recipients
		out, _ := forward(t, g, env, strings.ReplaceAll(forwardedMail, "else.test", c.from))
		if got := len(out.Insert) == 4; got != c.seal {
			t.Errorf("%s: inserted %v, log %v", c.name, sealOf(out), out.Log)
		}
	}
	// Off: the default.
	off, _ := forward(t, newHouse(t).load(), forwarding, forwardedMail)
	if len(off.Insert) != 1 || note(off, "unsealed")+note(off, "sealed") != "" {
		t.Errorf("without signer.arc: inserted %v", sealOf(off))
	}
}

// The tag of the policy and the removal of forged fields do not break the seal, and the body
// is hashed where no signature needs it.
func TestTheSealCoversTheMessageAsItLeaves(t *testing.T) {
	h := sealingHouse(t)
	h.replace("mx.example.com}", "mx.example.com, mode: enforce}")
	h.write(h.zone, h.contents+"_dmarc.else.test. TXT \"v=DMARC1; p=quarantine\"\n")
	g := h.load()
	raw := strings.Replace(forwardedMail, "DKIM-Signature: v=1; a=rsa-sha256; d=else.test; s=none; h=from; bh=AAAA; b=AAAA\r\n", "X-Signpost-Disposition: forged\r\n", 1)
	out, once := forward(t, g, forwarding, raw)
	if len(out.Insert) != 5 || strings.Contains(once, "forged") || strings.Contains(once, "bank.example") {
		t.Fatalf("inserted %v, log %v\n%s", sealOf(out), out.Log, once)
	}
	next, _ := forward(t, g, forwarding, once)
	if got := note(next, "arc"); !strings.HasPrefix(got, "pass") {
		t.Errorf("arc=%s, %v", got, next.Log)
	}
	next, _ = forward(t, g, forwarding, strings.Replace(once, "Hi.", "Ho.", 1))
	if got := note(next, "arc"); !strings.HasPrefix(got, "fail") {
		t.Errorf("another body: arc=%s", got)
	}
}

// The key of the seals waits for its record like any other; mail goes on without a seal.
func TestAKeyThatIsNotPublishedDoesNotSeal(t *testing.T) {
	for _, published := range []bool{true, false} {
		h := sealingHouse(t)
		h.replace("require_published: false", "require_published: true")
		if !published {
			h.write(h.zone, "else.test. TXT x\n")
		}
		g := h.load()
		s := &Service{log: slog.New(slog.DiscardHandler), current: g}
		s.begin(g)
		stop := s.watchKeys()
		out, _ := forward(t, g, forwarding, forwardedMail)
		stop()
		if out.Disposition != message.Accept || out.Failure != "" || (note(out, "sealed") != "") != published || (len(out.Insert) == 4) != published {
			t.Errorf("published %v: inserted %v, log %v", published, sealOf(out), out.Log)
		}
		if why := note(out, "unsealed"); !published && !strings.Contains(why, "s2025 does not sign yet") {
			t.Errorf("unsealed: %q", why)
		}
	}
}

// The domain's own mail is not signed with the key of the seals.
func TestTheKeyOfTheSealsDoesNotSign(t *testing.T) {
	g := sealingHouse(t).load()
	h, body := split(t, "From: a@example.com\r\n\r\nHi.\r\n")
	env := message.Envelope{ClientAddr: netip.MustParseAddr("127.0.0.1"), Recipients: []string{"forwarded@example.com"}}
	out := decide(g.Handlers().Signer.Sign(t.Context(), env), env, h, body)
	if len(out.Signatures) != 1 || out.Signatures[0].Selector != "e2025" {
		t.Errorf("signed with %v, %v", out.Signatures, out.Log)
	}
}

// A key that cannot be loaded is reported; at the start the daemon runs without it, and mail
// goes on without a seal.
func TestALostKeyOfTheSealsIsReported(t *testing.T) {
	h := sealingHouse(t)
	if err := os.Remove(filepath.Join(h.dir, "keys", "example.com", "s2025.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(h.config, time.Now, nil); err == nil || !strings.Contains(err.Error(), "s2025") {
		t.Errorf("check-config finds %v", err)
	}
	g, err := LoadForStart(h.config, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := forward(t, g, forwarding, forwardedMail)
	if out.Disposition != message.Accept || len(out.Insert) != 1 || !strings.Contains(out.Failure, "s2025") || note(out, "error") == "" {
		t.Errorf("%s, failure %q, log %v", out.Disposition, out.Failure, out.Log)
	}
}

func TestSealsWithEd25519AreWarnedOf(t *testing.T) {
	h := sealingHouse(t)
	if w := strings.Join(h.load().Warnings(), "\n"); strings.Contains(w, "signer.arc") {
		t.Error(w)
	}
	h.replace("selector: s2025", "selector: e2025")
	if w := strings.Join(h.load().Warnings(), "\n"); !strings.Contains(w, "signer.arc.selector e2025") {
		t.Error(w)
	}
}
