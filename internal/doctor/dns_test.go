package doctor

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/keys"
)

func TestAGoodHostHasNoFinding(t *testing.T) {
	r := newHouse(t).run()
	if len(r.Findings) > 0 || r.ExitCode() != 0 {
		t.Errorf("exit %d\n%s", r.ExitCode(), text(r))
	}
}

// recordOf is the record of a key in the zone.
func (h *house) recordOf(selector string) string {
	return strings.TrimSuffix(strings.TrimPrefix(h.zone[selector+"._domainkey.example.com"][0], `TXT "`), `"`)
}

// s1 is the name of the RSA key's record.
const s1 = "s1._domainkey.example.com"

// Each case breaks one thing of a good host. want is the only id above low; an id in parentheses
// is low.
func TestOneFaultInDNS(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*house)
		want  string
		says  string // a part of the report
	}{
		"no key record":          {func(h *house) { delete(h.zone, s1) }, "key.not-published", "v=DKIM1; k=rsa"},
		"a wildcard for the key": {func(h *house) { h.record(s1, txt("hello")) }, "key.not-published", "has other text"},
		"the host's name in it":  {func(h *house) { h.record("s1._domainkey.mail.example.com", txt(h.recordOf("s1"))); delete(h.zone, s1) }, "key.wrong-name", "s1._domainkey.mail.example.com, where no receiver looks"},
		"a doubled prefix": {func(h *house) {
			h.record("s1._domainkey."+s1, txt(h.recordOf("s1")))
			delete(h.zone, s1)
		}, "key.wrong-name", "s1._domainkey." + s1},
		"a doubled name":     {func(h *house) { h.record(s1+".example.com", txt(h.recordOf("s1"))); delete(h.zone, s1) }, "key.wrong-name", s1 + ".example.com"},
		"without _domainkey": {func(h *house) { h.record("s1.example.com", txt(h.recordOf("s1"))); delete(h.zone, s1) }, "key.wrong-name", "s1.example.com"},
		"another key":        {func(h *house) { h.record(s1, txt(h.recordOf("e1"))) }, "key.differs", "has another key"},
		"a revoked key":      {func(h *house) { h.record(s1, txt("v=DKIM1; p=")) }, "key.differs", "is revoked"},
		"h=sha1": {func(h *house) {
			h.record(s1, txt(strings.Replace(h.recordOf("s1"), "v=DKIM1;", "v=DKIM1; h=sha1;", 1)))
		}, "key.differs", "h="},
		"two keys":              {func(h *house) { h.record(s1, txt(h.recordOf("s1")), txt(h.recordOf("e1"))) }, "key.several-records", "has 2 key records"},
		"the same record twice": {func(h *house) { h.record(s1, txt(h.recordOf("s1")), txt(h.recordOf("s1"))) }, "key.several-records", "in 2 records"},
		"another text beside":   {func(h *house) { h.record(s1, txt(h.recordOf("s1")), txt("hello")) }, "key.several-records", "second TXT record"},
		"quotation marks":       {func(h *house) { h.record(s1, txt(`"`+h.recordOf("s1")+`"`)) }, "key.damaged", "quotation marks"},
		"escaped semicolons":    {func(h *house) { h.record(s1, txt(strings.ReplaceAll(h.recordOf("s1"), ";", `\;`))) }, "key.damaged", "backslashes"},
		"cut off":               {func(h *house) { h.record(s1, txt(h.recordOf("s1")[:255])) }, "key.damaged", "cut off"},
		"in two records":        {func(h *house) { r := h.recordOf("s1"); h.record(s1, txt(r[:255]), txt(r[255:])) }, "key.damaged", "several strings of one record"},
		"k=dsa":                 {func(h *house) { h.record(s1, txt(strings.Replace(h.recordOf("s1"), "k=rsa", "k=dsa", 1))) }, "key.damaged", "is not used by verifiers"},
		"k=RSA":                 {func(h *house) { h.record(s1, txt(strings.Replace(h.recordOf("s1"), "k=rsa", "k=RSA", 1))) }, "key.damaged", "small letters"},
		"v=DKIM2":               {func(h *house) { h.record(s1, txt(strings.Replace(h.recordOf("s1"), "DKIM1", "DKIM2", 1))) }, "key.damaged", "is not used"},
		"t=y for a month":       {func(h *house) { h.testing(30 * 24 * time.Hour) }, "key.testing-flag", "t=y"},
		"no RSA key":            {func(h *house) { h.replace("[s1, e1]", "[e1]") }, "key.ed25519-alone", "signpost keys generate"},
		"a short key":           {func(h *house) { h.keyOf(1024) }, "key.weak", "1024 bits"},
		"a long key":            {func(h *house) { h.keyOf(4104) }, "key.weak", "4104 bits"},
		"an old key":            {func(h *house) { h.options.KeyAge = 0; h.replace("[s1, e1]", "[s1]") }, "key.old", "signpost keys rotate"},
		"a key of two domains":  {(*house).sharedKey, "key.shared", "same private key"},
		"no DMARC":              {func(h *house) { delete(h.zone, "_dmarc.example.com") }, "dmarc.missing", `"v=DMARC1; p=none`},
		"DMARC at the domain": {func(h *house) {
			delete(h.zone, "_dmarc.example.com")
			h.record("example.com", append(h.zone["example.com"], txt("v=DMARC1; p=reject"))...)
		}, "dmarc.missing", "there is one at example.com"},
		"DMARC at a doubled name": {func(h *house) {
			h.record("_dmarc.example.com.example.com", h.zone["_dmarc.example.com"]...)
			delete(h.zone, "_dmarc.example.com")
		}, "dmarc.missing", "_dmarc.example.com.example.com"},
		"two DMARC records":      {func(h *house) { h.record("_dmarc.example.com", txt("v=DMARC1; p=none"), txt("v=DMARC1; p=reject")) }, "dmarc.several", "2 DMARC records"},
		"DMARC misspelt":         {func(h *house) { h.record("_dmarc.example.com", txt("v=DMARC2; p=reject; rua=mailto:d@example.com")) }, "dmarc.syntax", ""},
		"DMARC without a policy": {func(h *house) { h.record("_dmarc.example.com", txt("v=DMARC1; p=rejct")) }, "dmarc.syntax", ""},
		"a tag twice": {func(h *house) {
			h.record("_dmarc.example.com", txt("v=DMARC1; p=none; p=reject; rua=mailto:d@example.com"))
		}, "dmarc.syntax", "twice"},
		"rua without mailto": {func(h *house) { h.record("_dmarc.example.com", txt("v=DMARC1; p=reject; rua=dmarc@example.com")) }, "(dmarc.no-reports) dmarc.syntax", "dmarc@example.com"},
		"a misspelt tag": {func(h *house) {
			h.record("_dmarc.example.com", txt("v=DMARC1; p=reject; rua=mailto:d@example.com; apsf=s"))
		}, "dmarc.syntax", "apsf"},
		"sp=none": {func(h *house) {
			h.record("_dmarc.example.com", txt("v=DMARC1; p=reject; sp=none; rua=mailto:d@example.com"))
		}, "dmarc.weaker-subdomains", `"v=DMARC1; p=reject; rua`},
		"np=none": {func(h *house) {
			h.record("_dmarc.example.com", txt("v=DMARC1; p=reject; np=none; rua=mailto:d@example.com"))
		}, "dmarc.weaker-subdomains", "np=none"},
		"no rua": {func(h *house) { h.record("_dmarc.example.com", txt("v=DMARC1; p=reject")) }, "(dmarc.no-reports)", "rua=mailto:"},
		"rua elsewhere": {func(h *house) {
			h.record("_dmarc.example.com", txt("v=DMARC1; p=reject; rua=mailto:d@reports.example.net"))
		}, "dmarc.external-unauthorized", "example.com._report._dmarc.reports.example.net"},
		"v=spf":                  {func(h *house) { h.record("example.com", txt("v=spf ip4:192.0.2.1 -all")) }, "spf.syntax", "does not begin with v=spf1 and a blank: v=spf ip4"},
		"spf2":                   {func(h *house) { h.record("example.com", txt("v=spf2 ip4:192.0.2.1 -all")) }, "spf.syntax", "v=spf2"},
		"no blank behind v=spf1": {func(h *house) { h.record("example.com", txt("v=spf1ip4:192.0.2.1 -all")) }, "spf.syntax", "v=spf1ip4"},
		"v=sfp1":                 {func(h *house) { h.record("example.com", txt("v=sfp1 mx ~all")) }, "spf.syntax", "v=sfp1"},
		"SPF in quotation marks": {func(h *house) { h.record("example.com", txt(`"v=spf1 ip4:192.0.2.1 -all"`)) }, "spf.syntax", "quotation marks"},
		"Sender ID alone":        {func(h *house) { h.record("example.com", txt("spf2.0/pra ip4:192.0.2.1 -all"), txt("v=verify all")) }, "spf.missing", "v=spf1"},
		"no SPF":                 {func(h *house) { h.record("example.com", "MX 10 mail.example.com") }, "spf.missing", "v=spf1"},
		"two SPF records": {func(h *house) {
			h.record("example.com", txt("v=spf1 mx -all"), txt("v=spf1 a -all"), "MX 10 mail.example.com")
		}, "spf.several", "2 SPF records"},
		"an error in SPF": {func(h *house) { h.record("example.com", txt("v=spf1 ipv4:192.0.2.25 -all")) }, "spf.syntax", "ipv4"},
		"eleven look-ups": {func(h *house) { h.elevenLookups() }, "spf.lookups", "more than 10"},
		"+all":            {func(h *house) { h.record("example.com", txt("v=spf1 +all")) }, "spf.too-open", "passes every address"},
		"?all":            {func(h *house) { h.record("example.com", txt("v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 ?all")) }, "spf.too-open", "?all"},
		"half of the Internet": {func(h *house) {
			h.record("example.com", txt("v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/2 ip4:192.0.0.0/3 ip6:2001:db8::25 -all"))
		}, "spf.too-open", "9.9.9.9"},
		"IPv4 not covered": {func(h *house) { h.record("example.com", txt("v=spf1 ip6:2001:db8::25 -all")) }, "spf.not-covering", "ip4:192.0.2.25"},
		"IPv6 not covered": {func(h *house) { h.record("example.com", txt("v=spf1 mx:other.example.com ip4:192.0.2.25 ~all")) }, "spf.not-covering", "ip6:2001:db8::25"},
		"HELO not covered": {func(h *house) { h.record(theName, "A "+theIPv4, "AAAA "+theIPv6, txt("v=spf1 ip4:192.0.2.25 -all")) }, "spf.not-covering", "HELO name"},
		"no PTR":           {func(h *house) { delete(h.zone, "25.2.0.192.in-addr.arpa") }, "ptr.missing", "PTR mail.example.com."},
		"PTR leads elsewhere": {func(h *house) {
			h.record("25.2.0.192.in-addr.arpa", "PTR other.example.com")
			h.record("other.example.com", "A 192.0.2.26")
		}, "ptr.mismatch", "other.example.com"},
		"the name lacks one address": {func(h *house) { h.record(theName, "AAAA "+theIPv6) }, "ptr.mismatch", "mail.example.com. 3600 IN A 192.0.2.25"},
		"the host has no address":    {func(h *house) { delete(h.zone, theName) }, "host.name", "mail.example.com. 3600 IN AAAA 2001:db8::25"},
		"sdid of another domain": {func(h *house) {
			h.config = strings.Replace(h.config, "verifier:", "    - {domain: other.example, sdid: example.com}\nverifier:", 1)
			h.record("_dmarc.other.example", txt("v=DMARC1; p=none; rua=mailto:d@other.example"))
			h.record("other.example", h.zone["example.com"]...)
		}, "signature.not-aligned", "d=example.com"},
		"no SPF of a domain with sdid": {func(h *house) {
			h.config = strings.Replace(h.config, "verifier:", "    - {domain: news.example.com, sdid: example.com}\nverifier:", 1)
		}, "spf.missing", "news.example.com"},
		"adkim=s for subdomains": {func(h *house) {
			h.replace("[s1, e1]}", "[s1, e1], subdomains: true}")
			h.record("_dmarc.example.com", txt("v=DMARC1; p=reject; adkim=s; rua=mailto:d@example.com"))
		}, "signature.not-aligned", "adkim=s"},
		"* with sdid": {func(h *house) {
			h.config = strings.Replace(h.config, "verifier:", "    - {domain: \"*\", sdid: example.com}\nverifier:", 1)
		}, "signature.not-aligned", "every other domain"},
		"a rewriting resolver": {func(h *house) { h.record("*.invalid", "A 198.18.0.1") }, "resolver.rewrites", "198.18.0.1"},
		"DNS down": {func(h *house) {
			for name := range h.zone {
				h.record(name, "SERVFAIL")
			}
		}, "resolver.down", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			c.fault(h)
			r := h.run()
			if got := ids(r); got != c.want {
				t.Errorf("got %s, want %s\n%s", got, c.want, text(r))
			}
			if !strings.Contains(strings.Join(strings.Fields(text(r)), " "), strings.Join(strings.Fields(c.says), " ")) {
				t.Errorf("%q is missing in:\n%s", c.says, text(r))
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

func TestDNSAnswersForOneFamilyOfTheHostName(t *testing.T) {
	h := newHouse(t)
	h.record(theName, "A "+theIPv4, "AAAA TIMEOUT")
	r := h.run()
	i := slices.IndexFunc(r.Unseen, func(u Unseen) bool { return u.What == "the address of "+theName })
	if i < 0 || strings.Contains(r.Unseen[i].Reason, "nil") {
		t.Errorf("%+v", r.Unseen)
	}
}

// keyOf replaces s1 by a key of another length.
func (h *house) keyOf(bits int) {
	h.t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		h.t.Fatal(err)
	}
	path := h.path("keys/example.com/s1.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}), 0o600); err != nil {
		h.t.Fatal(err)
	}
	k, err := keys.Load(h.path("keys"), theDomain, "s1")
	if err != nil {
		h.t.Fatal(err)
	}
	h.record(s1, txt(k.Record()))
}

// sharedKey adds a domain whose key is a copy.
func (h *house) sharedKey() {
	h.config = strings.Replace(h.config, "verifier:", "    - {domain: example.net, selectors: [s1]}\nverifier:", 1)
	h.key("example.net", "s1", madeKeys()["s1"])
	for _, name := range []string{"s1._domainkey.", "_dmarc.", ""} {
		h.record(name+"example.net", h.zone[name+"example.com"]...)
	}
	h.record("_dmarc.example.net", txt("v=DMARC1; p=reject; rua=mailto:d@example.net"))
}

func (h *house) elevenLookups() {
	record := "v=spf1"
	for i := range 11 {
		name := string(rune('a'+i)) + ".spf.example.net"
		h.record(name, txt("v=spf1 ip4:198.51.100.1"))
		record += " include:" + name
	}
	h.record("example.com", txt(record+" ip4:192.0.2.25 ip6:2001:db8::25 -all"))
}

// A key that has just been put into DNS may say t=y for some days.
func TestANewKeyMayBeTested(t *testing.T) {
	h := newHouse(t)
	h.testing(time.Hour)
	if r := h.run(); ids(r) != "(key.testing-flag)" {
		t.Error(text(r))
	}
}

// testing puts t=y into the record of s1. The daemon has known the record for the time given: without it,
// the first look of the daemon that is starting would decide.
func (h *house) testing(known time.Duration) {
	h.record(s1, txt(strings.Replace(h.recordOf("s1"), "k=rsa;", "k=rsa; t=y;", 1)))
	h.state("s1", `"state": "active", "dns": "found", "first_seen": "`+time.Now().Add(-known).UTC().Format(time.RFC3339)+`"`)
}

// state writes what the daemon knows of one key.
func (h *house) state(selector, fields string) {
	h.t.Helper()
	k, err := keys.Load(h.path("keys"), theDomain, selector)
	if err != nil {
		h.t.Fatal(err)
	}
	h.write("state/keys.json", `{"version": 1, "keys": [{"domain": "example.com", "selector": "`+selector+`", "algorithm": "`+string(k.Algorithm)+
		`", "bits": 2048, "fingerprint": "`+k.Fingerprint()+`", `+fields+`}]}`)
}
