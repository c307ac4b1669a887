package mta

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// folderOf makes a configuration folder.
func folderOf(t *testing.T, main, master string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"main.cf": main, "master.cf": master} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		// Postfix takes a file of the last two seconds for unfinished, and waits.
		old := time.Now().Add(-time.Minute)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const plainMaster = `
smtp inet n - y - - smtpd
pickup unix n - y 60 1 pickup
cleanup unix n - y - 0 cleanup
`

// configurations are files that administrators write, and corners of the grammar. Each is read with
// and without postconf(1); both must agree.
var configurations = []struct{ name, main, master string }{
	{"an ordinary one", "compatibility_level = 3.6\nmyhostname = mx.example.com\nsmtpd_milters = inet:127.0.0.1:8891\nnon_smtpd_milters = $smtpd_milters\n", plainMaster},
	{"comments inside of a value", "mynetworks = 127.0.0.0/8\n  # inside\n\n\t10.0.0.0/8\n# outside\n    192.0.2.0/24\n", plainMaster},
	{"the last of two lines counts", "myhostname = a.example\nmyhostname = b.example\nmyorigin = $mydomain\n", plainMaster},
	{"conditions", "a = x\nsmtpd_milters = ${a?{ yes }:{ no }} ${zz:{ dflt }} ${a?plain text:more} ${zz?{never}}${zz:other}\n", plainMaster},
	{"comparisons", "a = x\nsmtpd_milters = ${{$a} == { x } ? {same} : {different}} ${{10} < {9} ? {text}:{number}} ${{3.10} >level {3.9} ? {newer}:{older}} ${{a} != {b} ? {y}}\n", plainMaster},
	{"brackets and dollars", "a = x\nsmtpd_milters = $(a)$$a ${a}$a-$a.b ${ a }\n", plainMaster},
	{"milters with attributes", "smtpd_milters = { inet:127.0.0.1:8891, default_action=tempfail, connect_timeout = 3s }, unix:x/y\n", plainMaster},
	{"overrides with spaces", "smtpd_milters = inet:127.0.0.1:8891\n", `
smtp inet n - y - - smtpd
  -o { smtpd_milters = inet:a:1, inet:b:2 }
  # a comment
  -o content_filter= -o receive_override_options=no_milters
submission inet n - n - 7 smtpd -v
  -o smtpd_milters=$non_smtpd_milters
  -o milter_macro_daemon_name=ORIGINATING
cleanup unix n - - - 0 cleanup
`},
	{"a service twice", "smtpd_milters = inet:a:1\n", plainMaster + "\n127.0.0.1:10025 inet n - n - 3 smtpd\n  -o smtpd_milters=\n127.0.0.1:10025 inet n - n - 4 smtpd\n  -o content_filter=\n"},
	{"the defaults of level 0", "", plainMaster + "smtps inet - - - - - smtpd\n"},
	{"the defaults of level 2", "compatibility_level = 2\n", plainMaster + "smtps inet - - - - - smtpd\n"},
	{"the process limit", "default_process_limit = 33\ncompatibility_level=3.6\n", plainMaster},
	{"one value through another, three deep", "x1 = $x2 end\nx2 = ${x3?{[$x3]}}\nx3 = deep\nsmtpd_milters = $x1\n", plainMaster},
	{"lines that end in CR", "compatibility_level = 3.6\r\nsmtpd_milters = inet:127.0.0.1:8891\r\n  inet:a:1\r\nmyhostname = mx.example.com\r\n", plainMaster},
}

// asked are the parameters that the comparison looks at.
var asked = []string{
	"smtpd_milters", "non_smtpd_milters", "milter_default_action", "milter_protocol", "milter_command_timeout", "milter_content_timeout",
	"milter_connect_timeout", "milter_mail_macros", "milter_connect_macros", "milter_helo_macros", "milter_rcpt_macros", "milter_data_macros",
	"milter_end_of_header_macros", "milter_end_of_data_macros", "internal_mail_filter_classes", "content_filter",
	"smtpd_proxy_filter", "receive_override_options", "message_size_limit", "header_size_limit", "default_process_limit",
	"disable_mime_output_conversion", "multi_instance_directories", "multi_instance_enable", "relay_domains", "smtpd_relay_restrictions",
	"smtpd_sasl_auth_enable", "inet_interfaces", "mail_owner", "queue_directory", "cleanup_service_name", "syslog_name", "relayhost",
	"smtpd_milter_maps", "milter_header_checks", "compatibility_level", "virtual_mailbox_domains", "virtual_alias_domains",
}

// ofHost are those whose defaults depend on the host, compared where main.cf has them.
var ofHost = []string{"myhostname", "mydomain", "myorigin", "mydestination", "mynetworks", "milter_macro_daemon_name"}

func TestOurReadingAgreesWithPostconf(t *testing.T) {
	if Program("postconf") == "" {
		t.Skip("postconf is not installed")
	}
	for _, c := range configurations {
		t.Run(c.name, func(t *testing.T) {
			dir := folderOf(t, c.main, c.master)
			theirs, err := ReadPostfix(context.Background(), dir)
			if err != nil || !theirs.ByPostconf {
				t.Fatalf("postconf was not used: %v %s", err, theirs.Problem)
			}
			ours, err := parsePostfix(dir)
			if err != nil {
				t.Fatal(err)
			}
			compareReadings(t, dir, ours, theirs)
		})
	}
}

// The files that Debian installs are read in the same way.
func TestOurReadingAgreesOnDebiansFiles(t *testing.T) {
	if Program("postconf") == "" {
		t.Skip("postconf is not installed")
	}
	main, err := os.ReadFile("/usr/share/postfix/main.cf.debian")
	if err != nil {
		t.Skip(err)
	}
	master, err := os.ReadFile("/usr/share/postfix/master.cf.dist")
	if err != nil {
		t.Skip(err)
	}
	dir := folderOf(t, string(main), string(master))
	theirs, err := ReadPostfix(context.Background(), dir)
	if err != nil || !theirs.ByPostconf {
		t.Fatalf("postconf was not used: %v", err)
	}
	ours, err := parsePostfix(dir)
	if err != nil {
		t.Fatal(err)
	}
	compareReadings(t, dir, ours, theirs)
}

func compareReadings(t *testing.T, dir string, ours, theirs *Postfix) {
	t.Helper()
	names := slices.Clone(asked)
	for _, n := range ofHost {
		if ours.InMain(n) {
			names = append(names, n)
		}
	}
	out, err := exec.Command(Program("postconf"), append([]string{"-c", dir, "-x"}, names...)...).Output()
	if err != nil {
		t.Fatalf("postconf: %v", err)
	}
	said := parseMain(string(out))
	for _, name := range names {
		want := strings.Join(strings.Fields(said[name]), " ")
		for who, p := range map[string]*Postfix{"with postconf": theirs, "without": ours} {
			if got := strings.Join(strings.Fields(p.Value(name)), " "); got != want {
				t.Errorf("%s, %s = %q, postconf says %q", who, name, got, want)
			}
		}
	}
	if len(ours.Services) != len(theirs.Services) {
		t.Fatalf("%d services, postconf has %d", len(ours.Services), len(theirs.Services))
	}
	for i, s := range ours.Services {
		o := theirs.Services[i]
		if s.Key() != o.Key() || s.Command != o.Command || s.Chroot != o.Chroot || s.Unprivileged != o.Unprivileged || s.MaxProcesses != o.MaxProcesses {
			t.Errorf("service %+v, postconf has %+v", s, o)
		}
		for _, name := range asked {
			a, b := strings.Fields(ours.For(s, name)), strings.Fields(theirs.For(o, name))
			if !slices.Equal(a, b) {
				t.Errorf("%s/%s = %q, with postconf %q", s.Key(), name, a, b)
			}
		}
	}
}

func TestWhatAServiceSees(t *testing.T) {
	p, err := parsePostfix(folderOf(t, "smtpd_milters = inet:127.0.0.1:8891\nours = unix:a/b\n", `
25 inet n - n - - smtpd
127.0.0.1:10025 inet n - n - - smtpd -o smtpd_milters=
[::1]:10026 inet n - n - - smtpd -o {smtpd_milters = $ours, inet:b:2}
`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"inet:127.0.0.1:8891", "", "unix:a/b, inet:b:2"} {
		if got := p.For(p.Services[i], "smtpd_milters"); got != want {
			t.Errorf("%s has %q, want %q", p.Services[i].Key(), got, want)
		}
	}
	if s := p.Services[2]; s.Host() != "::1" || s.Port() != "10026" {
		t.Errorf("host %q port %q", s.Host(), s.Port())
	}
}

func TestMilterLists(t *testing.T) {
	for text, want := range map[string][][2]string{
		"inet:127.0.0.1:8891":                               {{"tcp", "127.0.0.1:8891"}},
		"inet:localhost:8891, unix:/run/a b":                {{"tcp", "localhost:8891"}, {"unix", "/run/a"}, {"", ""}},
		"{ inet:[::1]:8891, default_action=accept } unix:x": {{"tcp", "[::1]:8891"}, {"unix", "x"}},
		"inet:8891@127.0.0.1":                               {{"", ""}},
		"local:/run/x":                                      {{"unix", "/run/x"}},
		"inet:8891 inet::8891":                              {{"tcp", "localhost:8891"}, {"tcp", "localhost:8891"}},
		"127.0.0.1:8891":                                    {{"", ""}},
		"{}":                                                {{"", ""}},
		"":                                                  nil,
	} {
		var got [][2]string
		for _, m := range ParseMilters(text) {
			got = append(got, [2]string{m.Network, m.Address})
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	m := ParseMilters("{ inet:a:1, default_action = accept, protocol=3 }")[0]
	if m.Attribute("default_action", "tempfail") != "accept" || m.Attribute("protocol", "6") != "3" || m.Attribute("command_timeout", "30s") != "30s" {
		t.Errorf("attributes %v", m.Attributes)
	}
}

func TestAnExpansionEnds(t *testing.T) {
	loop := map[string]string{"a": "$b$b", "b": "$a$a"}
	expand("$a", func(name string) string { return loop[name] })
	expand(strings.Repeat("${", 100_000), func(string) string { return "" })
	expand(strings.Repeat("${a?", 100_000)+strings.Repeat("}", 100_000), func(string) string { return "x" })
}

func TestInstances(t *testing.T) {
	on := folderOf(t, "multi_instance_enable = yes\n", plainMaster)
	off := folderOf(t, "multi_instance_enable = no\n", plainMaster)
	p, err := parsePostfix(folderOf(t, "multi_instance_directories = "+on+", "+off+" /does/not/exist\n", plainMaster))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Instances(); !slices.Equal(got, []string{on}) {
		t.Errorf("instances %q", got)
	}
}

func TestMilterMaps(t *testing.T) {
	dir := t.TempDir()
	cidr := filepath.Join(dir, "maps")
	if err := os.WriteFile(cidr, []byte("# local\n127.0.0.0/8 DISABLE\n10.0.0.1 inet:a:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	local, stranger := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	for value, want := range map[string][4]bool{ // for 127.0.0.1, a stranger, all; complete
		"":                                     {false, false, false, true},
		"cidr:" + cidr:                         {true, false, false, true},
		"static:DISABLE":                       {true, true, true, true},
		"inline:{ {127.0.0.1 = DISABLE} }":     {true, false, false, true},
		"hash:/etc/postfix/maps":               {false, false, false, false},
		"hash:/etc/postfix/maps, cidr:" + cidr: {true, false, false, false},
		"cidr:" + filepath.Join(dir, "is not here"): {false, false, false, false},
	} {
		p := &Postfix{params: map[string]string{"smtpd_milter_maps": value}}
		m := p.MilterMaps(Service{})
		if got := [4]bool{m.Disabled(local), m.Disabled(stranger), m.DisabledForAll(), m.Complete}; got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func FuzzPostfix(f *testing.F) {
	for _, c := range configurations {
		f.Add(c.main, c.master)
	}
	f.Fuzz(func(t *testing.T, main, master string) {
		p := &Postfix{set: parseMain(main), params: parseMain(main)}
		p.readServices(master)
		for name := range p.set {
			ParseMilters(p.Value(name))
			List(p.Value(name))
		}
		for _, s := range p.Services {
			s.Host()
			s.Port()
			p.For(s, "smtpd_milters")
		}
	})
}
