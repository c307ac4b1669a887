package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"signpost/internal/daemon"
	"signpost/internal/dns"
	"signpost/keys"
)

// house is a mail host in a folder of its own: configuration, keys, zone, Postfix' folder, and a
// daemon. A test breaks one thing in it.
type house struct {
	t       *testing.T
	dir     string
	listen  string
	config  string // text of signpost.yaml
	main    string // text of main.cf
	zone    map[string][]string
	options Options
	stopped bool   // no daemon runs
	changed string // what is added to the configuration after the start
	network bool   // DNS comes by the network
	second  bool   // a second listener is added after the start
}

const (
	theDomain = "example.com"
	theName   = "mail.example.com"
	theIPv4   = "192.0.2.25"
	theIPv6   = "2001:db8::25"
)

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), listen: freePort(t), zone: map[string][]string{}, options: patient()}
	for _, selector := range []string{"s1", "e1"} {
		k := h.key(theDomain, selector, madeKeys()[selector])
		h.zone[k.RecordName()] = []string{txt(k.Record())}
	}
	h.zone[theDomain] = []string{txt("v=spf1 ip4:" + theIPv4 + " ip6:" + theIPv6 + " -all"), "MX 10 " + theName}
	h.zone["_dmarc."+theDomain] = []string{txt("v=DMARC1; p=reject; rua=mailto:dmarc@" + theDomain)}
	h.zone[theName] = []string{"A " + theIPv4, "AAAA " + theIPv6}
	for _, addr := range []string{theIPv4, theIPv6} {
		h.zone[strings.TrimSuffix(reverseName(netip.MustParseAddr(addr)), ".")] = []string{"PTR " + theName}
	}
	h.config = `milter: {listen: ["inet:@LISTEN@"]}
control: {listen: "unix:@DIR@/control.sock", group: ""}
dns: {zone_file: "@DIR@/zone"}
keys: {dir: "@DIR@/keys", state: "@DIR@/state/keys.json"}
signer:
  require_published: true
  domains:
    - {domain: example.com, selectors: [s1, e1]}
verifier: {authserv_id: mail.example.com}
`
	h.main = `compatibility_level = 3.6
myhostname = mail.example.com
mydomain = example.com
smtp_bind_address = 192.0.2.25
smtp_bind_address6 = 2001:db8::25
smtpd_milters = inet:@LISTEN@
non_smtpd_milters = inet:@LISTEN@
milter_default_action = tempfail
internal_mail_filter_classes = bounce
smtp_header_checks =
`
	return h
}

const masterCF = `smtp      inet  n       -       n       -       100     smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
smtp      unix  -       -       n       -       -       smtp
`

func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		// The kernel gives ports of this range only to those that ask for them, so nothing takes one before the daemon does.
		// The end-to-end tests use those below, the demonstration those above.
		port := 20_000 + (50*os.Getpid()+int(ports.Add(1)))%8000
		// A program that another test starts has a copy of the socket until it runs: none starts meanwhile.
		syscall.ForkLock.RLock()
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
		}
		syscall.ForkLock.RUnlock()
		if err == nil {
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

var ports atomic.Int32

// txt is a record's data in a zone file.
func txt(text string) string { return `TXT "` + escaped(text) + `"` }

// madeKeys are the texts of key files, by selector: to make one takes longer than a test.
var madeKeys = sync.OnceValue(func() map[string]string {
	dir, err := os.MkdirTemp("", "doctor")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	made := map[string]string{}
	for selector, alg := range map[string]keys.Algorithm{"s1": keys.RSA, "s2": keys.RSA, "e1": keys.Ed25519} {
		k, err := keys.Generate(dir, theDomain, selector, alg, 0)
		if err != nil {
			panic(err)
		}
		text, err := os.ReadFile(k.Path)
		if err != nil {
			panic(err)
		}
		made[selector] = string(text)
	}
	return made
})

// key writes a key file and loads it.
func (h *house) key(domain, selector, pem string) *keys.Key {
	h.t.Helper()
	folder := h.path("keys/" + domain)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, selector+".pem"), []byte(pem), 0o600); err != nil {
		h.t.Fatal(err)
	}
	k, err := keys.Load(h.path("keys"), domain, selector)
	if err != nil {
		h.t.Fatal(err)
	}
	return k
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

func (h *house) write(name, text string) {
	h.t.Helper()
	text = strings.NewReplacer("@LISTEN@", h.listen, "@DIR@", h.dir).Replace(text)
	if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.path(name), []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// replace changes the configuration.
func (h *house) replace(old, new string) {
	h.t.Helper()
	if !strings.Contains(h.config, old) {
		h.t.Fatalf("the configuration has no %q", old)
	}
	h.config = strings.Replace(h.config, old, new, 1)
}

// record replaces the records of a name.
func (h *house) record(name string, data ...string) { h.zone[name] = data }

// run writes the files, starts the daemon, and looks.
func (h *house) run() Report {
	h.t.Helper()
	h.write("signpost.yaml", h.config)
	h.write("postfix/main.cf", h.main)
	h.write("postfix/master.cf", masterCF)
	// postconf(1) waits where a file is younger than two seconds.
	for _, name := range []string{"postfix/main.cf", "postfix/master.cf"} {
		if err := os.Chtimes(h.path(name), time.Time{}, time.Now().Add(-time.Minute)); err != nil {
			h.t.Fatal(err)
		}
	}
	h.write("zone", h.zoneText())
	if !h.stopped {
		h.start()
	}
	if h.second {
		h.replace(`["inet:@LISTEN@"]`, `["inet:@LISTEN@", "inet:`+freePort(h.t)+`"]`)
	}
	h.write("signpost.yaml", h.config+h.changed)
	return h.look()
}

// look looks at what stands in the folder now.
func (h *house) look() Report {
	h.t.Helper()
	h.write("zone", h.zoneText())
	h.options.Config, h.options.Postfix = h.path("signpost.yaml"), h.path("postfix")
	if !h.network {
		h.options.Zone = h.path("zone")
	}
	r, err := Run(h.t.Context(), h.options)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// zoneText is the zone as a file.
func (h *house) zoneText() string {
	var zone strings.Builder
	for name, data := range h.zone {
		for _, d := range data {
			fmt.Fprintf(&zone, "%s. %s\n", name, d)
		}
	}
	return zone.String()
}

// start runs the daemon until the test ends.
func (h *house) start() {
	h.t.Helper()
	g, err := daemon.LoadForStart(h.path("signpost.yaml"), time.Now)
	if err != nil {
		h.t.Fatal(err)
	}
	d, err := daemon.New(g, h.path("signpost.yaml"), "test", slog.New(slog.DiscardHandler))
	if err != nil {
		h.t.Fatal(err)
	}
	d.Start()
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := d.Shutdown(ctx); err != nil {
			h.t.Error(err)
		}
		d.Close()
	})
}

// mended carries out the remedies of a report that are a single DNS record, or commands that
// change modes, and looks again. Every other line is read by the program that it is for.
func (h *house) mended(r Report) (again Report, tried []string) {
	h.t.Helper()
	for _, f := range r.Findings {
		for _, line := range f.Remedy.Lines {
			h.readable(line)
		}
		if name, data, ok := strings.Cut(strings.Join(f.Remedy.Lines, "\n"), ". 3600 IN "); ok && len(f.Remedy.Lines) == 1 && !strings.Contains(f.Remedy.Text, "Correct") && !strings.Contains(data, "ADDRESS") {
			h.mend(name, data)
			tried = append(tried, f.ID)
		}
		for _, words := range f.Remedy.Commands {
			if words[0] != "chmod" {
				continue
			}
			tried = append(tried, f.ID)
			if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
				h.t.Errorf("%v: %v %s", words, err, out)
			}
		}
	}
	h.script(r)
	h.t.Logf("tried: %v", tried)
	if len(tried) == 0 {
		return Report{}, nil
	}
	return h.look(), tried
}

// mend puts a record into the zone: in the place of the others of its kind.
func (h *house) mend(name, data string) {
	kind := strings.Fields(data)[0] + " "
	if strings.Contains(data, "v=spf1") {
		kind = `TXT "v=spf1`
	}
	h.zone[name] = append(slices.DeleteFunc(slices.Clone(h.zone[name]), func(d string) bool { return strings.HasPrefix(d, kind) }), data)
}

// readable checks that a line of a remedy can be read where it belongs.
func (h *house) readable(line string) {
	h.t.Helper()
	section, _, _ := strings.Cut(line, ":")
	switch {
	case strings.Contains(line, "ADDRESS"), strings.Contains(line, "SELECTOR"):
	case strings.Contains(line, " IN "):
		printed := strings.Join(foldRecord(line), "\n")
		for _, text := range []string{line, printed} {
			if _, err := dns.ParseZone(strings.NewReader(text), "remedy"); err != nil {
				h.t.Errorf("%v in:\n%s", err, text)
			}
		}
	case slices.Contains([]string{"verifier", "signer", "dns", "metrics", "log"}, section):
		h.write("remedy.yaml", line+"\n")
		if _, _, err := daemon.Read(h.path("remedy.yaml")); err != nil {
			h.t.Errorf("%s: %v", line, err)
		}
	}
}

// script checks that --fix gives a shell script.
func (h *house) script(r Report) {
	h.t.Helper()
	var b strings.Builder
	r.PrintFix(&b)
	sh := exec.Command("sh", "-n")
	sh.Stdin = strings.NewReader(b.String())
	if out, err := sh.CombinedOutput(); err != nil {
		h.t.Errorf("sh -n: %v %s\n%s", err, out, b.String())
	}
}

// ids are the ids of the findings above low, each once, with low ones in parentheses.
func ids(r Report) string {
	var all []string
	for _, f := range r.Findings {
		id := f.ID
		if f.Severity == Low {
			id = "(" + id + ")"
		}
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// text is the report as it is printed.
func text(r Report) string {
	var b strings.Builder
	r.Print(&b, false)
	return b.String()
}
