package signer

import (
	"net/netip"
	"strings"
	"testing"

	"signpost/internal/message"
)

const twoDomains = "ours:\n  networks: [192.0.2.0/24]\ndomains:\n" +
	"  - domain: example.com\n    selectors: [ed1]\n  - domain: other.example\n    selectors: [ed2]\n"

var (
	stranger = netip.MustParseAddr("203.0.113.66")
	inside   = netip.MustParseAddr("192.0.2.7")
)

// A user who may submit mail writes a From field that mail programs show differently from
// our reading. A message whose author is not certain is not signed.
func TestAFromFieldThatIsShownAsAnotherAuthorIsNotSigned(t *testing.T) {
	s, _ := newSigner(t, twoDomains)
	env := message.Envelope{ClientAddr: stranger, AuthType: "PLAIN", AuthAuthen: "eve", Sender: "eve@example.com"}
	if ours, _ := s.Outbound(env); !ours {
		t.Fatal("a login makes no message ours")
	}
	for name, from := range map[string]string{
		"two From fields":                  "From: eve@example.com\nFrom: ceo@other.example\n",
		"two From fields in another case":  "From: eve@example.com\nFROM: ceo@other.example\n",
		"a domain of ours and a stranger":  "From: <eve@example.com>ceo@bank.example\n",
		"another address as display name":  "From: ceo@other.example <eve@example.com>\n",
		"a route":                          "From: <@other.example:eve@example.com>\n",
		"an encoded word as the address":   "From: =?utf-8?q?ceo=40other.example?= eve@example.com\n",
		"a comment inside the domain":      "From: eve@example.com(.other.example)x\n",
		"a blank before the second colon":  "From: eve@example.com\nFrom : ceo@other.example\n",
		"a Sender field that would be all": "Sender: eve@example.com\n",
	} {
		out := sign(s, env, header(t, from+"Subject: x\n"))
		if len(out.Insert) != 0 || noteOf(out, "unsigned") == "" {
			t.Errorf("%s: %+v, want it unsigned with a reason", name, out)
		}
	}
}

// Login, MAIL FROM and From differ. Only From chooses the key, so a signature never has a
// domain that the reader does not see.
func TestNeitherLoginNorMailFromChoosesTheKey(t *testing.T) {
	s, store := newSigner(t, twoDomains)
	for _, tt := range []struct{ sender, login, from, want string }{
		{"a@other.example", "a@other.example", "a@example.com", "example.com"},
		{"a@example.com", "a@example.com", "a@other.example", "other.example"},
		{"", "a@example.com", "a@other.example", "other.example"},
		{"a@example.com", "a@example.com", "ceo@bank.example", ""},
	} {
		env := message.Envelope{ClientAddr: inside, Sender: tt.sender, AuthAuthen: tt.login, Helo: "other.example"}
		h := header(t, "Sender: "+tt.login+"\nFrom: "+tt.from+"\nReply-To: "+tt.sender+"\n")
		out := sign(s, env, h)
		if tt.want == "" {
			if len(out.Insert) != 0 {
				t.Errorf("%+v: signed: %+v", tt, out)
			}
			continue
		}
		if o := verify(t, store, out, h); len(o) != 1 || o[0].Domain != tt.want || o[0].AUID != "@"+tt.want {
			t.Errorf("%+v: %+v", tt, o)
		}
	}
}

// Mail from outside that only passes through is not ours. Neither From, nor results of
// others, nor names that the client chooses make it ours.
func TestMailFromElsewhereIsNotOurs(t *testing.T) {
	s, _ := newSigner(t, twoDomains)
	for name, env := range map[string]message.Envelope{
		"MAIL FROM is ours":               {ClientAddr: stranger, Sender: "alice@example.com"},
		"HELO is ours":                    {ClientAddr: stranger, Helo: "mail.example.com"},
		"the client's name is ours":       {ClientAddr: stranger, ClientName: "mail.example.com"},
		"a null sender":                   {ClientAddr: stranger},
		"a neighbour of our network":      {ClientAddr: netip.MustParseAddr("192.0.3.7")},
		"a client without an address":     {Sender: "alice@example.com"},
		"the recipient's domain is ours":  {ClientAddr: stranger, Recipients: []string{"bob@example.com"}},
		"HELO is an address of ours":      {ClientAddr: stranger, Helo: "[192.0.2.7]"},
		"the listener only verifies mail": {ClientAddr: inside, Role: message.RoleVerify},
	} {
		if ours, why := s.Outbound(env); ours || why == "" {
			t.Errorf("%s: ours is %v, %q", name, ours, why)
		}
	}
}

// Even from a network of ours, only the domains of the table are signed,
// and what is signed is signed as itself.
func TestAWebFormCannotHaveAnyDomainSigned(t *testing.T) {
	s, store := newSigner(t, twoDomains)
	env := message.Envelope{ClientAddr: inside, Sender: "www-data@example.com"}
	for _, from := range []string{"ceo@bank.example", "a@evil-example.com", "a@example.com.evil.example", "a@sub.example.com", "a@com"} {
		if out := sign(s, env, header(t, "From: "+from+"\n")); len(out.Insert) != 0 || !strings.Contains(noteOf(out, "unsigned"), "domain") {
			t.Errorf("%s: %+v", from, out)
		}
	}
	// A field that a form's reader slipped in is covered like the others, so that
	// what leaves can not be added to.
	h := header(t, "From: form@example.com\nSubject: x\nReply-To: reader@bank.example\n")
	if o := verify(t, store, sign(s, env, h), append(message.Header{{Name: "Bcc", Value: " x@y.example"}, {Name: "Reply-To", Value: " x@y.example"}}, h...)); o[0].Result == "pass" {
		t.Errorf("a second Reply-To leaves the signature valid: %+v", o)
	}
}

// An anonymous login (RFC 4505) is nobody's: it makes no message ours, and no author allowed.
func TestAnAnonymousLoginIsNoLogin(t *testing.T) {
	s, _ := newSigner(t, "ours: {networks: [192.0.2.0/24], authenticated: true}\nsenders: {mode: reject, allow: [{login: \"*\", authors: [\"*\"]}]}\n")
	for _, mechanism := range []string{"ANONYMOUS", "anonymous"} {
		env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.9"), AuthType: mechanism, AuthAuthen: "alice@example.com"}
		if ours, why := s.Outbound(env); ours || !strings.Contains(why, "anonymous") {
			t.Errorf("%s: ours %v, %s", mechanism, ours, why)
		}
		env.ClientAddr = netip.MustParseAddr("192.0.2.9")
		tx := s.Sign(t.Context(), env)
		tx.Header(env, header(t, letter))
		if out := tx.End(); out.Disposition != message.Reject {
			t.Errorf("%s, in a network of ours: %s, %v", mechanism, out.Disposition, out.Log)
		}
	}
	if ours, _ := s.Outbound(message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.9"), AuthType: "PLAIN"}); !ours {
		t.Error("another login does not count")
	}
}
