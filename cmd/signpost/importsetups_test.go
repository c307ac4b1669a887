package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ownSetups are installations of kinds that the published ones lack. mail has for each
// author, or "CLIENT AUTHOR", the signatures of opendkim 2.11.0 as d/s/key file; ""
// is none. said is a pattern for those that are signed otherwise here.
var ownSetups = []struct {
	name  string
	files map[string]string
	mail  map[string]string
	said  []string
}{
	{"a plain table with every form of a key", map[string]string{
		"opendkim.conf": "KeyTable file:@DIR@/kt\nSigningTable @DIR@/st\nSubDomains yes\n",
		"kt":            "one ex.example:s1:@KEYS@/a.private\ntwo ex.example:s2:@KEYS@/b.private\nown %:s3:@KEYS@/c.private\n",
		"st":            "Boss@ex.example two\nex.example one\n.ex.example own\nsales@.ex.example two\n*@never.example one\ninfo@* one\n",
	}, map[string]string{
		"joe@ex.example": "ex.example/s1/a", "boss@ex.example": "ex.example/s2/b", "joe@a.ex.example": "a.ex.example/s3/c",
		"sales@b.ex.example": "ex.example/s2/b", "joe@never.example": "", "info@any.example": "ex.example/s1/a",
	}, []string{`line 4\b.*local part`, `line 6\b.*local part`}},
	{"the last of equal settings, some of them included", map[string]string{
		"opendkim.conf": "Domain first.example\nSelector old\nInclude @DIR@/more.conf\nKeyFile @KEYS@/a.private\nSELECTOR new\n",
		"more.conf":     "Domain second.example\nSelector middle\nKeyFile @KEYS@/d.private\n",
	}, map[string]string{"j@first.example": "", "j@second.example": "second.example/new/a"}, nil},
	{"regular expressions in a refile", map[string]string{
		"opendkim.conf": "KeyTable csl:k=ex.example:s1:@KEYS@/a.private\nSigningTable refile:@DIR@/st\n",
		"st":            "*@(mail|www).ex.example k\n *@blank.example k\n*@ex.example k\n",
	}, map[string]string{"j@mail.ex.example": "ex.example/s1/a", "j@web.ex.example": "", "j@blank.example": "", "j@ex.example": "ex.example/s1/a"},
		[]string{`line 1\b.*regular expression`}},
	{"three lines that match", map[string]string{
		"opendkim.conf": "MultipleSignatures yes\nKeyTable refile:@DIR@/kt\nSigningTable refile:@DIR@/st\n",
		"kt":            "k1 ex.example:s1:@KEYS@/a.private\nk2 ex.example:s2:@KEYS@/b.private\nk3 ex.example:s3:@KEYS@/c.private\n",
		"st":            "*@ex.example k1\n*@ex.example k2\n*@ex.example k3\n",
	}, map[string]string{"j@ex.example": "ex.example/s1/a ex.example/s3/c"}, nil},
	{"a file for each domain, and keys named by the domain", map[string]string{
		"opendkim.conf": "KeyTable @DIR@/kt\nSigningTable refile:@DIR@/st\nBaseDirectory @DIR@\n",
		"kt":            "all %:s1:@DIR@/%.key\nrel rel.example:s1:./a.each.example.key\nbad %:s1:./%.key\na.named.example a.named.example:s2:@KEYS@/b.private\n",
		"st":            "*@*.each.example all\n*@*.named.example %\n*@rel.example rel\n*@bad.each.test bad\n",
	}, map[string]string{"j@a.each.example": "a.each.example/s1/a", "j@b.each.example": "b.each.example/s1/a", "j@a.named.example": "a.named.example/s2/b", "j@b.named.example": "", "j@each.example": "",
		"j@rel.example": "rel.example/s1/a", "j@bad.each.test": ""},
		nil},
	{"clients: networks, exceptions, names, IPv6", map[string]string{
		"opendkim.conf": "Domain ex.example\nSelector s\nKeyFile @KEYS@/a.private\nInternalHosts @DIR@/hosts\nPeerList 192.0.2.9\nExternalIgnoreList 203.0.113.0/24\nMTA relay\n",
		"hosts":         "# ours\n192.0.2.0/24\n!192.0.2.64/26\n192.0.2.70\n2001:db8::/32\n198.51.100.7/24\nmail.elsewhere.example\n",
	}, map[string]string{
		"192.0.2.1 j@ex.example": "ex.example/s/a", "192.0.2.9 j@ex.example": "", "192.0.2.65 j@ex.example": "", "192.0.2.70 j@ex.example": "ex.example/s/a",
		"2001:db8:1::1 j@ex.example": "ex.example/s/a", "198.51.100.9 j@ex.example": "", "127.0.0.1 j@ex.example": "", "203.0.113.5 j@ex.example": "",
		"203.0.113.5/relay j@ex.example": "ex.example/s/a", "203.0.113.5/other j@ex.example": "",
	}, nil},
	{"a list of patterns in Domain", map[string]string{
		"opendkim.conf": "Domain refile:@DIR@/domains\nSelector s\nKeyFile @KEYS@/a.private\nSubDomains yes\nExemptDomains x.ex.example\n",
		"domains":       "ex.example\n*.shops.example\n",
	}, map[string]string{
		"j@ex.example": "ex.example/s/a", "j@a.ex.example": "ex.example/s/a", "j@b.shops.example": "b.shops.example/s/a", "j@shops.example": "", "j@x.ex.example": "",
	}, []string{`ExemptDomains`}},
	{"a more specific line behind, and a pattern before its parent", map[string]string{
		"opendkim.conf": "KeyTable refile:@DIR@/kt\nSigningTable refile:@DIR@/st\n",
		"kt":            "k ex.example:s1:@KEYS@/a.private\nn news.ex.example:s2:@KEYS@/b.private\nw %:s3:@KEYS@/c.private\n",
		"st":            "*@*.news.ex.example w\n*@*.ex.example k\n*@news.ex.example n\n*@ex.example k\n* w\n",
	}, map[string]string{
		"j@a.news.ex.example": "a.news.ex.example/s3/c", "j@news.ex.example": "ex.example/s1/a", "j@b.ex.example": "ex.example/s1/a", "j@ex.example": "ex.example/s1/a", "j@else.example": "else.example/s3/c",
	}, nil},
}

// given is an author of ownSetups, with its client.
func given(text string) (ip, daemon, author string) {
	client, author, ok := strings.Cut(text, " ")
	if !ok {
		return "127.0.0.1", "", text
	}
	ip, daemon, _ = strings.Cut(client, "/")
	return ip, daemon, author
}

func ownFiles(id string, own map[string]string) map[string]string {
	files := maps.Clone(fourKeys())
	for name, text := range own {
		files[id+"/"+name] = text
	}
	for _, domain := range []string{"a.each.example", "b.each.example"} {
		files[id+"/"+domain+".key"] = files["keys/a.private"]
	}
	return files
}

func TestImportOfOurOwnSetups(t *testing.T) {
	for _, s := range ownSetups {
		t.Run(s.name, func(t *testing.T) {
			setup := importedSetup{AnnouncedOK: len(s.said) > 0, Announce: s.said}
			for text, want := range s.mail {
				ip, daemon, author := given(text)
				m := importedMessage{From: author, ClientIP: ip, Daemon: daemon}
				for _, one := range strings.Fields(want) {
					part := strings.Split(one, "/")
					m.Signatures = append(m.Signatures, struct{ D, S, Key string }{part[0], part[1], part[2]})
				}
				setup.Cases = append(setup.Cases, m)
			}
			if err := setup.check(t, "own", ownFiles("own", s.files)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOpenDKIMAnswersAsRecorded asks opendkim itself, where it is installed.
func TestOpenDKIMAnswersAsRecorded(t *testing.T) {
	program, err := exec.LookPath("opendkim")
	if err != nil {
		program = "/usr/sbin/opendkim"
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("opendkim is not installed")
	}
	for _, s := range ownSetups {
		t.Run(s.name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "own")
			for name, text := range ownFiles("own", s.files) {
				if name == "own/opendkim.conf" { // the folder above is everybody's
					text += "\nRequireSafeKeys no\n"
				}
				text = strings.NewReplacer("@DIR@", dir, "@KEYS@", filepath.Join(root, "keys")).Replace(text)
				if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			socket := startOpenDKIM(t, program, dir)
			for text, want := range s.mail {
				ip, daemon, author := given(text)
				message := writeFile(t, "m.eml", "From: "+author+"\nTo: x@elsewhere.example\nSubject: t\nDate: Mon, 30 Nov 2026 02:00:00 +0000\n\nhello\n")
				args := []string{"probe", "unix:" + socket, message, "--json", "--ip", ip}
				if daemon != "" {
					args = append(args, "--daemon", daemon)
				}
				got := probedSignatures(t, execute(t, "", args...).stdout)
				var names []string
				for _, one := range strings.Fields(want) {
					names = append(names, one[:strings.LastIndexByte(one, '/')])
				}
				slices.Sort(got)
				if !slices.Equal(got, names) {
					t.Errorf("%s: opendkim signs %v, recorded is %v", text, got, names)
				}
			}
		})
	}
}

func startOpenDKIM(t *testing.T, program, dir string) (socket string) {
	t.Helper()
	socket = filepath.Join(dir, "s")
	p := exec.Command(program, "-f", "-x", filepath.Join(dir, "opendkim.conf"), "-p", "local:"+socket)
	var out bytes.Buffer
	p.Stdout, p.Stderr = &out, &out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	t.Cleanup(func() {
		p.Process.Kill()
		<-ended
	})
	for range 200 {
		// The file is there before the program listens.
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return socket
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("opendkim ended: %v %s", err, out.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("opendkim does not listen")
	return ""
}

// probedSignatures are d/s of the signatures that a probe tells.
func probedSignatures(t *testing.T, text string) []string {
	t.Helper()
	var answer struct {
		Inserted []struct{ Name, Value string }
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var all []string
	for _, f := range answer.Inserted {
		if !strings.EqualFold(f.Name, "DKIM-Signature") {
			continue
		}
		tags := map[string]string{}
		for tag := range strings.SplitSeq(f.Value, ";") {
			name, value, _ := strings.Cut(tag, "=")
			tags[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
		all = append(all, tags["d"]+"/"+tags["s"])
	}
	return all
}
