package milter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/config"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"inet:127.0.0.1:8891":         {"tcp", "127.0.0.1:8891"},
		"inet:localhost:8891":         {"tcp", "localhost:8891"},
		"inet:8891@127.0.0.1":         {"tcp", "127.0.0.1:8891"},
		"inet:8891@localhost":         {"tcp", "localhost:8891"},
		"inet:8891":                   {"tcp", ":8891"},
		"inet:*:8891":                 {"tcp", ":8891"},
		"inet:[::1]:8891":             {"tcp", "[::1]:8891"},
		"inet6:8891@[::1]":            {"tcp6", "[::1]:8891"},
		"inet6:8891@::1":              {"tcp6", "[::1]:8891"},
		"inet6:[::1]:8891":            {"tcp6", "[::1]:8891"},
		"INET:127.0.0.1:0":            {"tcp", "127.0.0.1:0"},
		"127.0.0.1:8891":              {"tcp", "127.0.0.1:8891"},
		"[::1]:8891":                  {"tcp", "[::1]:8891"},
		"mx.example.net:8891":         {"tcp", "mx.example.net:8891"},
		"unix:/run/signpost/m.sock":   {"unix", "/run/signpost/m.sock"},
		"local:/run/signpost/m.sock":  {"unix", "/run/signpost/m.sock"},
		"/run/signpost/m.sock":        {"unix", "/run/signpost/m.sock"},
		"unix:/run/sign post/a:b@c.s": {"unix", "/run/sign post/a:b@c.s"},
	} {
		got, err := ParseAddress(text)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		if again, err := ParseAddress(got.String()); err != nil || again != got {
			t.Errorf("%s: written as %s, read as %v, %v", text, got, again, err)
		}
	}
	for text, word := range map[string]string{
		"":                                  "write inet:",
		"8891":                              "write inet:",
		"inet:127.0.0.1:milter":             "port",
		"inet:127.0.0.1:99999":              "port",
		"inet:127.0.0.1:+1":                 "port",
		"inet:::1:8891":                     "[ ]",
		"inet:":                             "port",
		"unix:run/m.sock":                   "begins with /",
		"unix:":                             "begins with /",
		"unix:/" + strings.Repeat("x", 120): "107",
		"inet:8891@a b":                     "host",
		"http://localhost:8891":             "write inet:",
	} {
		if got, err := ParseAddress(text); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"inet:8891@[::1]", "unix:/x", "a:b:c", "[::1]:1", "inet6:@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Fatalf("%q is %v, written %q, read %v, %v", text, a, a.String(), again, err)
		}
	})
}

func TestDefaultsAreValid(t *testing.T) {
	Defaults().Validate(func(path, problem string) { t.Errorf("%s: %s", path, problem) })
}

func TestValidateTellsEveryMistake(t *testing.T) {
	c := Defaults()
	same := Listen{Address: Address{"unix", "/run/m.sock"}}
	c.Listen = []Listen{{}, same, same, {Address: Address{"tcp", ":1"}, Role: "both"}}
	c.SocketMode = 0o444
	c.SocketGroup = "mail:postfix"
	c.OnTooBig = "drop"
	c.MaxConnections, c.MaxHeaderFields, c.MaxRecipients = 0, 1, -1
	c.MaxMessageBytes, c.MaxHeaderBytes = 0, 1<<40
	c.IdleTimeout, c.MessageTimeout = 0, 10*60e9
	var got []string
	c.Validate(func(path, problem string) { got = append(got, path+": "+problem) })
	for i, word := range []string{
		"listen[0].address: is missing", "listen[2]: unix:/run/m.sock is listen[1] already", "listen[3].role: ",
		"socket_mode: 0444", "socket_group:", "on_too_big: ", "max_connections: 0", "max_header_fields: 1",
		"max_recipients: -1", "max_message_bytes: 0", "max_header_bytes:", "idle_timeout: 0s: write a time from 5m0s to 24h0m0s", "message_timeout: 10m0s",
	} {
		if i >= len(got) || !strings.HasPrefix(got[i], word) {
			t.Fatalf("mistake %d: want %q, got\n%s", i, word, strings.Join(got, "\n"))
		}
	}
	if len(got) != 13 {
		t.Errorf("%d mistakes:\n%s", len(got), strings.Join(got, "\n"))
	}
}

func TestListenAsText(t *testing.T) {
	var l Listen
	if err := l.UnmarshalText([]byte("unix:/run/m.sock")); err != nil || l.Address.String() != "unix:/run/m.sock" || l.Role != "auto" {
		t.Errorf("%+v, %v", l, err)
	}
	if err := l.UnmarshalText([]byte("run/m.sock")); err == nil || fmt.Sprint(l.Address) != "unix:/run/m.sock" {
		t.Errorf("%+v, %v", l, err)
	}
}

// A listener is written as one word or as keys.
func TestTheSectionInAFile(t *testing.T) {
	c := Defaults()
	text := "listen:\n  - inet:8891@localhost\n  - {address: unix:/run/m.sock, role: sign}\n  - address: /run/n.sock\n" +
		"socket_mode: \"0666\"\nmax_message_bytes: 1GiB\non_too_big: reject\nidle_timeout: 10m\n"
	source := config.Decode("test.yaml", []byte(text), &c)
	c.Validate(source.Bad)
	if err := source.Err(); err != nil {
		t.Fatal(err)
	}
	want := []Listen{{Address{"tcp", "localhost:8891"}, "auto"}, {Address{"unix", "/run/m.sock"}, "sign"}, {Address{"unix", "/run/n.sock"}, ""}}
	if !slices.Equal(c.Listen, want) || c.SocketMode != 0o666 || c.MaxMessageBytes != 1<<30 || c.OnTooBig != TooBigReject || c.IdleTimeout != 10*time.Minute {
		t.Errorf("%+v", c)
	}
}
