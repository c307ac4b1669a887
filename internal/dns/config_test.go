package dns_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/dns"
)

func TestTheDefaultsAreValid(t *testing.T) {
	dns.Defaults().Validate(func(path, problem string) { t.Errorf("%s: %s", path, problem) })
	if d := dns.Defaults(); d.Timeout != 2*time.Second || d.Tries != 3 || d.ZoneFile != "" || len(d.Servers) != 0 {
		t.Errorf("defaults = %+v", d)
	}
}

func TestValidateTellsEveryMistake(t *testing.T) {
	c := dns.Config{
		Servers: []string{"127.0.0.1", "127.0.0.1:53", "::1", "[::1]", "[::1]:5353", "fe80::1%eth0",
			"localhost", "127.0.0.1:0", "127.0.0.1:99999", "", "[127.0.0.1", "0.0.0.0", "[::]:53"},
		Timeout: time.Minute, Tries: 0,
	}
	var got []string
	c.Validate(func(path, problem string) {
		if !strings.Contains(problem, "write") {
			t.Errorf("%s: %s: it does not say what to write", path, problem)
		}
		got = append(got, path)
	})
	want := []string{"servers[6]", "servers[7]", "servers[8]", "servers[9]", "servers[10]", "servers[11]", "servers[12]", "timeout", "tries"}
	if !slices.Equal(got, want) {
		t.Errorf("mistakes at %q, want %q", got, want)
	}
	if _, err := dns.New(c); err == nil || !strings.Contains(err.Error(), "dns: servers[6]: ") {
		t.Errorf("New: %v", err)
	}
	many := dns.Defaults()
	many.Servers = slices.Repeat([]string{"127.0.0.1"}, 17)
	if _, err := dns.New(many); err == nil {
		t.Error("17 servers: no error")
	}
}

func TestResolvConf(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"servers in order, the rest of the file passed over": {
			"# a comment\nsearch example.com\nnameserver 192.0.2.1\nnameserver\t2001:db8::1 # b\n options timeout:1 attempts:9 rotate\n nameserver fe80::1%lo\n",
			[]string{"192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%lo]:53"},
		},
		"a server that is none is passed over": {"nameserver localhost\nnameserver 192.0.2.1\n#nameserver 192.0.2.2\n", []string{"192.0.2.1:53"}},
		"nobody named means this machine":      {"search example.com\n", []string{"127.0.0.1:53"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "resolv.conf")
			if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			same(t, path, c.want)
		})
	}
	t.Run("no file means this machine", func(t *testing.T) {
		same(t, filepath.Join(dir, "absent"), []string{"127.0.0.1:53"})
	})
	t.Run("a file that cannot be read is an error", func(t *testing.T) {
		if _, err := dns.SystemServers(dir); err == nil {
			t.Error("no error")
		}
	})
}

func same(t *testing.T, path string, want []string) {
	t.Helper()
	got, err := dns.SystemServers(path)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, want, func(a netip.AddrPort, b string) bool { return a.String() == b }) {
		t.Errorf("servers = %v, want %v", got, want)
	}
}

func TestOpenTakesTheZoneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zone.txt")
	if err := os.WriteFile(path, []byte("example.com TXT \"x\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := dns.Defaults()
	c.ZoneFile = path
	src, err := dns.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if got, err := src.LookupTXT(context.Background(), "example.com"); err != nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
	c.ZoneFile += ".absent"
	if src, err := dns.Open(c); err == nil || src != nil {
		t.Errorf("a file that is not there: %v, %v", src, err)
	}
	c.ZoneFile = ""
	src, err = dns.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := src.(*dns.Resolver); !ok {
		t.Errorf("without a file: %T", src)
	}
	_ = src.Close()
}
