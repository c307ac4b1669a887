package signer

import (
	"net/netip"
	"strings"
	"testing"

	"signpost/internal/config"
	"signpost/internal/message"
)

const sendersTable = `
domains:
  - {domain: example.com, selectors: [ed1]}
  - {domain: example.org, selectors: [ed1]}
senders:
  mode: %MODE%
  allow:
    - {login: alice, authors: [alice@example.com, "alice+*@example.com"]}
    - {login: bob, authors: [example.com, "*@*.example.com"]}
    - {login: office, network: 192.0.2.0/24, authors: [office@example.com]}
    - {login: "*", authors: ["{{login}}"]}
    - {login: admin@example.org, authors: ["*@{{login_domain}}"]}
    - {network: 127.0.0.0/8, authors: ["*"]}
    - {network: 198.51.100.0/24, authors: [example.org]}
`

func TestWhoMaySignAsWhom(t *testing.T) {
	s, _ := newSigner(t, strings.ReplaceAll(sendersTable, "%MODE%", "reject"))
	login := func(name string) message.Envelope {
		return message.Envelope{AuthAuthen: name, AuthType: "PLAIN", ClientAddr: netip.MustParseAddr("203.0.113.7")}
	}
	from := func(addr string) message.Envelope {
		return message.Envelope{ClientAddr: netip.MustParseAddr(addr)}
	}
	loginFrom := func(name, addr string) message.Envelope {
		e := login(name)
		e.ClientAddr = netip.MustParseAddr(addr)
		return e
	}
	for _, c := range []struct {
		name    string
		env     message.Envelope
		header  string
		refused string // as whom; "" allowed
	}{
		{"her own address", login("alice"), "From: alice@example.com\n", ""},
		{"her own address in capitals", login("alice"), "From: Alice <ALICE@EXAMPLE.com>\n", ""},
		{"one with an extension", login("alice"), "From: alice+shop@example.com\n", ""},
		{"the address of another", login("alice"), "From: bob@example.com\n", "bob@example.com"},
		{"her own and another's", login("alice"), "From: alice@example.com, bob@example.com\nSender: alice@example.com\n", "bob@example.com"},
		{"two From fields", login("alice"), "From: alice@example.com\nFrom: bob@example.com\n", "bob@example.com"},
		{"two From fields of two domains", login("alice"), "From: alice@example.com\nFrom: bob@example.org\n", "an author who is not certain"},
		{"the last of 101 addresses", login("alice"), "From: " + strings.Repeat("alice@example.com, ", 100) + "bob@example.com\n", "an author who is not certain"},
		{"the last of 101 addresses, and a whole domain", login("bob"), "From: " + strings.Repeat("a@example.com, ", 100) + "a@example.org\n", "an author who is not certain"},
		{"101 nested brackets, and a whole domain", login("bob"), "From: " + strings.Repeat("a@example.com<", 101) + "a@example.org\n", "an author who is not certain"},
		{"a gap behind 100 @, and a whole domain", login("bob"), "From: (" + strings.Repeat("@example.org.x.example.com", 100) + ") a@example.org .x.example.com\n", "an author who is not certain"},
		{"100 addresses of one's own", login("alice"), "From: " + strings.Repeat("alice@example.com, ", 99) + "alice@example.com\n", ""},
		{"Latin-1 in her name", login("alice"), "From: J\xfcrgen <alice@example.com>\n", ""},
		{"Latin-1 and the address of another", login("alice"), "From: J\xfcrgen <bob@example.com>\n", "bob@example.com"},
		{"Latin-1, her own address and another's", login("alice"), "From: J\xfcrgen <alice@example.com> <bob@example.com>\n", "bob@example.com"},
		{"an address that readers may take for another", login("alice"), "From: J\xfcrgen <bob\x01alice@example.com>\n", "the author of a malformed From field of example.com"},
		{"a name that looks like an address", login("alice"), "From: \"bob@example.com\" <alice@example.com>\n", ""},
		{"Sender and MAIL FROM open nothing", login("alice"), "From: bob@example.com\nSender: alice@example.com\n", "bob@example.com"},
		{"no From field", login("alice"), "Subject: x\n", "an author who is not certain"},
		{"logins are told apart by case", login("Alice"), "From: alice@example.com\n", "alice@example.com"},
		{"a whole domain", login("bob"), "From: anybody@example.com\n", ""},
		{"names below it", login("bob"), "From: a@x.y.example.com\n", ""},
		{"another domain", login("bob"), "From: a@example.org\n", "a@example.org"},
		{"a domain that ends alike", login("bob"), "From: a@evilexample.com\n", "a@evilexample.com"},
		{"a malformed From field of a whole domain", login("bob"), "From: Foo, Inc. <a@example.com>\n", ""},
		{"a malformed From field and one address", login("alice"), "From: Foo, Inc. <alice@example.com>\n", ""},
		{"a malformed From field whose address is not certain", login("alice"), "From: Foo, x alice@example.com\n", "the author of a malformed From field of example.com"},
		{"the login and its network", loginFrom("office", "192.0.2.7"), "From: office@example.com\n", ""},
		{"the login from elsewhere", login("office"), "From: office@example.com\n", "office@example.com"},
		{"the network without the login", from("192.0.2.7"), "From: office@example.com\n", "office@example.com"},
		{"a login that is an address", login("carol@example.org"), "From: Carol@example.org\n", ""},
		{"a login that is another address", login("carol@example.org"), "From: dave@example.org\n", "dave@example.org"},
		{"a login for its whole domain", login("admin@example.org"), "From: dave@example.org\n", ""},
		{"a login that is called *", login("*"), "From: dave@example.org\n", "dave@example.org"},
		{"a login without a name", message.Envelope{AuthType: "EXTERNAL"}, "From: alice@example.com\n", "alice@example.com"},
		{"a network that may be everybody", from("127.0.0.1"), "From: a@example.com\nFrom: b@example.org\n", ""},
		{"a login is not opened what its network is", loginFrom("alice", "127.0.0.1"), "From: bob@example.com\n", "bob@example.com"},
		{"a network for a domain", from("198.51.100.1"), "From: a@example.org\n", ""},
		{"a network for another domain", from("198.51.100.1"), "From: a@example.com\n", "a@example.com"},
		{"a network of no entry", from("203.0.113.1"), "From: a@example.com\n", "a@example.com"},
		{"a client without an address", message.Envelope{}, "From: a@example.com\n", "a@example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := sign(s, c.env, header(t, c.header))
			if c.refused == "" {
				if out.Disposition != message.Accept {
					t.Errorf("refused: %+v", out)
				}
				return
			}
			if out.Disposition != message.Reject || len(out.Insert) != 0 || out.Reply.Code != 550 || out.Reply.Enhanced != "5.7.1" {
				t.Errorf("the outcome is %+v", out)
			}
			if want := "may not send mail as " + c.refused + ": put an address of your own into From"; !strings.Contains(out.Reply.Text, want) {
				t.Errorf("the reply is %q, want it to say %q", out.Reply.Text, want)
			}
		})
	}
}

func TestAnAuthorOfNobodysIsUnsignedOrNotAskedFor(t *testing.T) {
	env := message.Envelope{AuthAuthen: "alice", AuthType: "PLAIN"}
	h := header(t, "From: bob@example.com\n")
	s, _ := newSigner(t, strings.ReplaceAll(sendersTable, "%MODE%", "unsigned"))
	out := sign(s, env, h)
	want := `login "alice" may not be bob@example.com, signer.senders allows it {{login}} alice@example.com alice+*@example.com; have it write another From, or allow this one there and reload`
	if out.Disposition != message.Accept || len(out.Insert) != 0 || noteOf(out, "unsigned") != want {
		t.Errorf("unsigned: the outcome is %+v", out)
	}
	s, _ = newSigner(t, strings.ReplaceAll(sendersTable, "%MODE%", "off"))
	if out := sign(s, env, h); len(out.Insert) != 1 {
		t.Errorf("off: the outcome is %+v", out)
	}
}

func TestSendersAreHeldToTheirRules(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"a bad mode", "senders: {mode: refuse}\n", `senders.mode: "refuse" is not one of off, unsigned, reject`},
		{"no sender is allowed any author", "senders: {mode: reject}\n", "senders: mode is reject and no sender is allowed any author: write allow: [{login: alice, authors: [alice@example.com]}], or file:"},
		{"neither login nor network", "senders: {allow: [{authors: [a@example.com]}]}\n", "senders.allow[0]: an entry needs login: NAME, or network: 192.0.2.0/24, or both"},
		{"no authors", "senders: {allow: [{login: a}]}\n", "senders.allow[0]: an entry needs authors"},
		{"no address", "senders: {allow: [{login: a, authors: [\"a b@example.com\"]}]}\n", `"a b@example.com" is neither an address nor a pattern`},
		{"a single label", "senders: {allow: [{login: a, authors: [localhost]}]}\n", `"localhost" is neither an address nor a pattern`},
		{"an unknown placeholder", "senders: {allow: [{login: a, authors: [\"{{user}}@example.com\"]}]}\n", `"{{user}}@example.com" is neither`},
		{"a placeholder without a login", "senders: {allow: [{network: 192.0.2.0/24, authors: [\"*@{{login_domain}}\"]}]}\n", `senders.allow[0]: *@{{login_domain}} has no meaning for a network alone: add login: "*"`},
		{"a network with host bits", "senders: {allow: [{network: 192.0.2.1/24, authors: [\"*\"]}]}\n", "has host bits set"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Defaults()
			src := config.Decode("test.yaml", []byte(c.yaml), &cfg)
			cfg.Validate(src.Bad)
			if err := src.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want it to say %q", err, c.want)
			}
		})
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"*", "a.b", true}, {"a", "a", true}, {"a", "b", false}, {"", "", true}, {"", "a", false},
		{"*.example.com", "a.example.com", true}, {"*.example.com", "a.b.example.com", true},
		{"*.example.com", "example.com", false}, {"*.example.com", "evilexample.com", false},
		{"m*-*.example", "mail-1.example", true}, {"m*-*.example", "mail1.example", false},
		{"*aab", "aaaaab", true}, {"**a**", "bab", true}, {"a*", "ba", false},
	} {
		if got := glob(c.pattern, c.name); got != c.want {
			t.Errorf("glob(%q, %q) is %v", c.pattern, c.name, got)
		}
	}
}

// BenchmarkGlobWorstCase is the most that one comparison can cost.
func BenchmarkGlobWorstCase(b *testing.B) {
	pattern, name := "*"+strings.Repeat("a", 120)+"b", strings.Repeat("a", 253)
	b.ReportAllocs()
	for b.Loop() {
		if glob(pattern, name) {
			b.Fatal("it fits")
		}
	}
}

func FuzzAuthorPattern(f *testing.F) {
	for _, seed := range []string{"alice@example.com", "*", "{{login}}", "*@{{login_domain}}", "*@*.example.com", "a@b@c.example", "@", "bücher.example"} {
		f.Add(seed, "alice", "example.com")
	}
	f.Fuzz(func(t *testing.T, text, local, domain string) {
		var p, again AuthorPattern
		if p.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(p.String())); err != nil || again != p {
			t.Errorf("%q is %+v, which is written %q and read as %+v, %v", text, p, p.String(), again, err)
		}
		p.matches(message.Address{Local: local, Domain: domain}, text)
	})
}
