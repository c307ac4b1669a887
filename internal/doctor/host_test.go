package doctor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Faults of files, of the daemon and of the configuration. As in TestOneFaultInDNS, want is the
// only id above low.
func TestOneFaultOfTheHost(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*house)
		want  string
		says  string
	}{
		"a key file is missing": {func(h *house) { h.remove("keys/example.com/s1.pem") }, "key.unreadable", "there is no file"},
		"a key of 512 bits": {func(h *house) {
			h.write("keys/example.com/s1.pem", shortPEM)
			h.chmod("keys/example.com/s1.pem", 0o600)
		}, "key.weak", "RSA key of 512 bits"},
		"a damaged key file": {func(h *house) {
			h.write("keys/example.com/s1.pem", "no key")
			h.chmod("keys/example.com/s1.pem", 0o600)
		}, "key.unreadable", "s1.pem"},
		"everybody may read a key":  {func(h *house) { h.chmod("keys/example.com/s1.pem", 0o644) }, "key.permissions", "chmod o-rw @DIR@/keys/example.com/s1.pem"},
		"everybody may replace it":  {func(h *house) { h.chmod("keys/example.com", 0o777) }, "key.permissions", "chmod o-w @DIR@/keys/example.com"},
		"the daemon is down":        {func(h *house) { h.stopped = true }, "daemon.down", "signpost serve --config @DIR@/signpost.yaml"},
		"down, without a control":   {func(h *house) { h.stopped = true; h.replace(`"unix:@DIR@/control.sock"`, `""`) }, "daemon.down", "nothing listens at"},
		"the file has changed":      {func(h *house) { h.changed = "# a comment\n" }, "daemon.stale-config", "signpost check-config @DIR@/signpost.yaml"},
		"the file has a mistake":    {func(h *house) { h.changed = "nonsense: 1\n" }, "daemon.stale-config", "signpost check-config @DIR@/signpost.yaml"},
		"an address more":           {func(h *house) { h.second = true }, "daemon.stale-config", "systemctl reload signpost"},
		"a proxy hides all clients": {func(h *house) { h.log(25, "172.17.0.1") }, "clients.private", "172.17.0.1"},
		"another has the state":     {func(h *house) { h.lockedByAnother() }, "daemon.state-shared", "fuser -v @DIR@/state/keys.json.lock"},
		"localhost gives results":   {func(h *house) { h.replace("authserv_id: mail.example.com", "authserv_id: localhost") }, "authserv.default", "authserv_id"},
		"the MTA is localhost": {func(h *house) {
			h.replace("authserv_id: mail.example.com", "mode: monitor")
			h.main = strings.Replace(h.main, "myhostname = mail.example.com", "myhostname = localhost", 1)
		}, "(authserv.default) host.name", "localhost"},
		"the Internet is trusted": {func(h *house) {
			h.replace("authserv_id: mail.example.com", "authserv_id: mail.example.com, trusted: {networks: [0.0.0.0/0]}")
		}, "trusted.too-wide", "0.0.0.0/0"},
		"the IPv6 Internet as well": {func(h *house) {
			h.replace("authserv_id: mail.example.com", `authserv_id: mail.example.com, trusted: {networks: ["2000::/3"]}`)
		}, "trusted.too-wide", "2000::/3"},
		"the Internet is ours": {func(h *house) {
			h.replace("require_published: true", "require_published: true\n  ours: {networks: [127.0.0.0/8, 0.0.0.0/0]}")
		}, "trusted.too-wide", "signer.ours.networks"},
		"nothing counts refusals": {func(h *house) {
			h.replace("authserv_id: mail.example.com", "authserv_id: mail.example.com, mode: enforce")
			h.config += "reports: {database: \"\"}\n"
		}, "enforce.unwatched", "metrics"},
		"the clock is behind": {func(h *house) {
			h.state("s1", `"state": "active", "dns": "found", "asked": "`+in(48*time.Hour)+`"`)
			h.stopped = true
		}, "clock.skew daemon.down", "the clock was ahead"},
		"another time on the net": {func(h *house) { h.options.TimeServers = []string{timeServer(h.t, -5*time.Minute)} }, "clock.skew", "5m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			c.fault(h)
			r := h.run()
			if got := ids(r); got != c.want {
				t.Errorf("got %s, want %s\n%s", got, c.want, text(r))
			}
			if want := strings.ReplaceAll(c.says, "@DIR@", h.dir); !strings.Contains(remedies(r), want) {
				t.Errorf("%q is missing in:\n%s", want, text(r))
			}
			again, tried := h.mended(r)
			for _, id := range tried {
				if strings.Contains(ids(again), id) {
					h.t.Errorf("%s is found again after its remedy\n%s", id, text(again))
				}
			}
		})
	}
}

// log writes an MTA's log with connections of these clients in turn.
func (h *house) log(n int, from ...string) {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "%s mail postfix/smtpd[7]: connect from unknown[%s]\n", in(-time.Minute), from[i%len(from)])
	}
	h.write("mail.log", lines.String())
	h.options.MTALog = h.path("mail.log")
}

// remedies are the texts of the findings without line ends.
func remedies(r Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintln(&b, f.Subject, f.Finding, f.Consequence, f.Remedy)
	}
	return b.String()
}

// shortPEM is a key that no verifier accepts, made for this test.
const shortPEM = `-----BEGIN RSA PRIVATE KEY-----
MIIBOwIBAAJBAKPRauq8ObzN2Aj7CWvSDOIRVZc1eLwYK90DBu6jptSHR6RuM262
j9OSjucIQwLUR4e3yjYwZyVX38LqFZsQZUcCAwEAAQJBAIHO4LTOn8W/Ks+69HUu
hazhZXwjD9+kG6XOz0BsBzdiEbxfcath93CTpKSl6iQGl65E3K9xgOE+AiM1Ota9
YHkCIQDZiPFCRs8g0dZe3JwbkDwvCIoJWvyC6saevGKp6SjwRQIhAMDI5XbpfKx7
OuXBPpXzQ25SduOuuMmZqQhZPwTnFrYbAiBMYg103DA2sfe373bRJuA7E6CEkHJB
9fYwHq32Q2ygkQIgATD8ogh9Wb+FNKhGD70qHINr8qpAwBYwAjoy9n/LFyMCIQDM
XBgV6f5fx7cqdsP82X7tQN5oU16gqZHHdnrmlBiIbg==
-----END RSA PRIVATE KEY-----
`

func in(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }

func (h *house) remove(name string) {
	h.t.Helper()
	if err := os.Remove(h.path(name)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) chmod(name string, mode os.FileMode) {
	h.t.Helper()
	if err := os.Chmod(h.path(name), mode); err != nil {
		h.t.Fatal(err)
	}
}

// lockedByAnother starts a daemon with the same state, and other addresses.
func (h *house) lockedByAnother() {
	other := *h
	other.dir, other.listen = h.t.TempDir(), freePort(h.t)
	other.config = strings.ReplaceAll(h.config, "@DIR@/state", h.dir+"/state")
	other.config = strings.ReplaceAll(other.config, "@DIR@/keys", h.dir+"/keys")
	other.write("signpost.yaml", other.config)
	other.write("zone", "example.com. TXT x\n")
	other.start()
	h.stopped = true
}

// timeServer answers with a time that is off by some duration.
func timeServer(t *testing.T, off time.Duration) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		for query := make([]byte, 128); ; {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			reply := make([]byte, ntpPacket)
			reply[0], reply[1] = 4<<3|4, 2
			copy(reply[24:32], query[40:min(n, 48)])
			for _, at := range []int{32, 40} {
				v := ntpTime(time.Now().Add(off))
				for i := range 8 {
					reply[at+i] = byte(v >> (56 - 8*i))
				}
			}
			_, _ = conn.WriteTo(reply, from)
		}
	}()
	return conn.LocalAddr().String()
}

func TestATimeServerThatAgreesIsNoFinding(t *testing.T) {
	h := newHouse(t)
	h.options.TimeServers = []string{timeServer(t, 2*time.Second)}
	if r := h.run(); len(r.Findings) > 0 || r.ExitCode() != 0 {
		t.Error(text(r))
	}
}

// A retired key whose file is gone, as docs/rotation.md tells, is known by the daemon's state alone.
func TestTheRecordOfARetiredKeyIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		gone bool   // its file
		ago  int    // days since it was used
		data string // the record; "" is that of the key
		want string
	}{
		"still published":            {false, 30, "", "key.retired-published"},
		"still published, file gone": {true, 30, "", "key.retired-published"},
		"retired a few days ago":     {true, 8, "", ""},
		"revoked":                    {true, 30, txt("v=DKIM1; p="), ""},
		"another key in its place":   {true, 30, txt("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			k := h.key(theDomain, "s2", madeKeys()["s2"])
			h.record(k.RecordName(), cmpOr(c.data, txt(k.Record())))
			h.state("s2", `"state": "retired", "dns": "found", "first_seen": "`+in(-400*day)+`", "unlisted": "`+in(-time.Duration(c.ago)*day)+`"`)
			if c.gone {
				h.remove("keys/example.com/s2.pem")
			}
			if r := h.run(); ids(r) != c.want {
				t.Errorf("got %s, want %s\n%s", ids(r), c.want, text(r))
			}
		})
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Hosts that are healthy although they look unusual.
func TestHealthyHosts(t *testing.T) {
	noFinding(t, map[string]func(*house){
		"behind NAT": func(h *house) {
			h.main = strings.Replace(strings.Replace(h.main, "smtp_bind_address = 192.0.2.25", "smtp_bind_address = 10.0.0.5", 1), "smtp_bind_address6 = 2001:db8::25", "inet_protocols = ipv4", 1)
		},
		"relayhost, private names": func(h *house) {
			h.main = strings.Replace(h.main, "myhostname = mail.example.com", "myhostname = app1.internal.example.com\nrelayhost = [smtp.example.net]:587", 1)
			delete(h.zone, "25.2.0.192.in-addr.arpa")
			h.record("example.com", txt("v=spf1 include:_spf.example.net -all"))
			h.record("_spf.example.net", txt("v=spf1 ip4:198.51.100.7 -all"))
		},
		"verify only": func(h *house) {
			h.config = strings.Replace(h.config, "\n  require_published: true\n  domains:\n    - {domain: example.com, selectors: [s1, e1]}", " {}", 1)
			for _, name := range []string{"example.com", "_dmarc.example.com", s1, "e1._domainkey.example.com"} {
				delete(h.zone, name)
			}
		},
		"sign only": func(h *house) {
			h.replace(`["inet:@LISTEN@"]`, `[{address: "inet:@LISTEN@", role: sign}]`)
			h.replace("verifier: {authserv_id: mail.example.com}\n", "")
		},
		"IPv4 only": func(h *house) {
			h.main = strings.Replace(h.main, "smtp_bind_address6 = 2001:db8::25", "inet_protocols = ipv4", 1)
			h.record(theName, "A "+theIPv4)
			h.record("example.com", txt("v=spf1 a:mail.example.com ~all"))
		},
		"some clients are in the network of the host": func(h *house) { h.log(60, "10.0.0.7", "10.0.0.8", "198.51.100.7") },
		"many hosts of the network and no other":      func(h *house) { h.log(60, "10.0.0.7", "10.0.0.8", "10.0.0.9") },
		"the one relay of a host that is no MX": func(h *house) {
			h.log(60, "10.0.0.7")
			h.record("example.com", txt("v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all"), "MX 10 mx.example.net")
		},
		"control off": func(h *house) { h.replace(`"unix:@DIR@/control.sock"`, `""`) },
		"enforce, with metrics": func(h *house) {
			h.replace("authserv_id: mail.example.com", "authserv_id: mail.example.com, mode: enforce")
			h.config += "metrics: {listen: " + freePort(h.t) + "}\n"
		},
		"the policy of a parent": func(h *house) {
			h.replace("domain: example.com, selectors", "domain: news.example.com, keys_of: example.com, selectors")
			for _, s := range []string{"s1", "e1"} {
				h.record(s+"._domainkey.news.example.com", "CNAME "+s+"._domainkey.example.com")
			}
			h.record("news.example.com", h.zone["example.com"]...)
		},
		"reports to a service that wants them": func(h *house) {
			h.record("_dmarc.example.com", txt("v=DMARC1; p=none; pct=100; rf=afrf; ri=86400; fo=1; rua=mailto:abc@reports.example.net,mailto:d@sub.example.com!10m"))
			h.record("*._report._dmarc.reports.example.net", txt("v=DMARC1"))
		},
		"a record with another order": func(h *house) {
			h.record(s1, txt("k=rsa; t=s; n=made in 2026; "+strings.Replace(strings.TrimPrefix(h.recordOf("s1"), "v=DKIM1; k=rsa; "), "v=DKIM1; ", "", 1)))
		},
		"a new key that waits, while the old one signs": func(h *house) {
			k := h.key(theDomain, "s2", madeKeys()["s2"])
			h.record(k.RecordName(), txt(k.Record()))
			h.replace("[s1, e1]", "[s1, e1, {selector: s2, active_from: 2099-01-01}]")
		},
	})
}

// noFinding runs doctor in each set-up.
func noFinding(t *testing.T, setups map[string]func(*house)) {
	for name, set := range setups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			set(h)
			if r := h.run(); len(r.Findings) > 0 || r.ExitCode() != 0 {
				t.Errorf("exit %d\n%s", r.ExitCode(), text(r))
			}
		})
	}
}

// What another user's process cannot see is said, and no finding.
func TestAnUnreadableLogOrZoneIsNoFinding(t *testing.T) {
	h := newHouse(t)
	h.write("signpost.yaml", h.config)
	h.options.Config, h.options.Zone = h.path("signpost.yaml"), filepath.Join(h.dir, "nowhere")
	if _, err := Run(t.Context(), h.options); err == nil {
		t.Error("a zone file that is not there: no error")
	}
}

func TestEachKindHasATextAndIsUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range kinds() {
		if seen[k.id] || k.reference == "" || k.severity.rank() < 0 {
			t.Errorf("%+v", k)
		}
		seen[k.id] = true
	}
}

// docs/doctor.md has a section for each id, with its severity, and for nothing else.
func TestTheDocumentHasEachFinding(t *testing.T) {
	file, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for section := range strings.SplitSeq(string(file), "\n### ") {
		head, body, _ := strings.Cut(section, "\n")
		sections[head] = strings.TrimSpace(body)
	}
	if len(sections) != len(kinds())+1 { // and what stands before the first
		t.Errorf("%d sections for %d ids", len(sections)-1, len(kinds()))
	}
	for _, k := range kinds() {
		if head := fmt.Sprintf("%s (%s)", k.id, k.severity); len(sections[head]) < 40 {
			t.Errorf("no section %q", head)
		}
	}
}
