package milter

import (
	"net/netip"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"
)

func TestParseConnect(t *testing.T) {
	for _, c := range []struct {
		name, packet string
		addr         string
		host         string
		bad          bool
	}{
		{"IPv4", "x.example\x004\x00\x19203.0.113.66\x00", "203.0.113.66", "x.example", false},
		{"IPv6 from Postfix", "unknown\x006\x00\x192001:db8::1\x00", "2001:db8::1", "unknown", false},
		{"IPv6 from Sendmail", "[2001:db8::1]\x006\x00\x19IPv6:2001:db8::1\x00", "2001:db8::1", "[2001:db8::1]", false},
		{"IPv4 in IPv6", "x\x006\x00\x19IPv6:::ffff:203.0.113.66\x00", "203.0.113.66", "x", false},
		{"IPv4 in IPv6, named IPv4", "x\x004\x00\x19::ffff:203.0.113.66\x00", "203.0.113.66", "x", false},
		{"no address", "localhost\x00U", "", "localhost", false},
		{"a unix socket", "localhost\x00L\x00\x00/var/run/x\x00", "", "localhost", false},
		{"sendmail(1) in Postfix", "localhost\x004\x00\x00127.0.0.1\x00", "127.0.0.1", "localhost", false},
		{"a family of the future", "x\x009\x00\x00?\x00", "", "x", false},
		{"an address that is none", "x\x004\x00\x00unknown\x00", "", "x", false},
		{"an address without its NUL", "x\x004\x00\x00192.0.2.1", "192.0.2.1", "x", false},
		{"a zone", "x\x006\x00\x00fe80::1%eth0\x00", "fe80::1", "x", false},
		{"no family", "x\x00", "", "", true},
		{"no NUL", "x", "", "", true},
		{"no port", "x\x004\x00", "", "", true},
		{"nothing", "", "", "", true},
	} {
		got, err := parseConnect([]byte(c.packet))
		var want netip.Addr
		if c.addr != "" {
			want = netip.MustParseAddr(c.addr)
		}
		if (err != nil) != c.bad || got.addr != want || got.name != c.host {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestParsePath(t *testing.T) {
	for _, c := range []struct {
		packet, path string
		utf8         bool
	}{
		{"<a@example.com>\x00", "a@example.com", false},
		{"a@example.com\x00", "a@example.com", false},
		{"<>\x00", "", false},
		{" <a@example.com> \x00SIZE=10\x00SMTPUTF8\x00", "a@example.com", true},
		{"<a@example.com>\x00smtputf8\x00", "a@example.com", true},
		{"<a@example.com>\x00SMTPUTF8=1\x00XSMTPUTF8\x00", "a@example.com", false},
		{"<a@example.com>\x00SMTPUTF8", "a@example.com", true},
		{"<@relay.example:a@example.com>\x00", "@relay.example:a@example.com", false},
		{"<\"a>b\"@example.com>\x00", "\"a>b\"@example.com", false},
		{"<", "<", false},
		{"", "", false},
		{"\x00\x00\x00", "", false},
	} {
		path, parameters := parsePath([]byte(c.packet))
		if path != c.path || hasParameter(parameters, "SMTPUTF8") != c.utf8 {
			t.Errorf("%q: %q, %q", c.packet, path, parameters)
		}
	}
}

func TestABodyOf8BitIsAnnounced(t *testing.T) {
	for packet, want := range map[string]bool{
		"BODY=8BITMIME": true, "body=8bitmime": true, "BODY=BINARYMIME": true, "BODY=7BIT": false, "8BITMIME": false, "": false,
	} {
		h := &handler{}
		p := dial(t, h)
		p.hello()
		p.send(gomilter.CodeMail, "<a@example.com>\x00"+packet+"\x00")
		p.want(gomilter.ActContinue)
		p.fields("From: a@example.com")
		p.end()
		if got := h.last(t).env.EightBit; got != want {
			t.Errorf("%q: announced %v", packet, got)
		}
	}
}

func FuzzCommands(f *testing.F) {
	for _, s := range []string{"x\x004\x00\x19IPv6:::1\x00", "<a@b>\x00SMTPUTF8\x00", "Cj\x00mx\x00{a}\x00b\x00", "From\x00 a\x00", "\x00", "E"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := parseConnect(data); err == nil && (c.addr.Is4In6() || c.addr.Zone() != "") {
			t.Fatalf("%q gave %v", data, c.addr)
		}
		path, parameters := parsePath(data)
		hasParameter(parameters, "SMTPUTF8")
		name, value := parseField(data)
		for _, s := range []string{path, string(name), string(value)} {
			if strings.Contains(s, "\x00") {
				t.Fatalf("%q gave %q", data, s)
			}
		}
		var m macros
		m.set(data)
		if v := m.value("j"); v != "" && !strings.Contains(string(data), v) {
			t.Fatalf("%q gave %q", data, v)
		}
	})
}
