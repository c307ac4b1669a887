package verifier

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/config"
	"signpost/internal/dns"
	"signpost/internal/message"
)

// publishedRecords are what real domains publish (docs/interoperability.md has a row for each). {p}
// stands for the key of the message's signature.
var publishedRecords = []struct {
	name   string
	zone   string
	from   string // the author, else alice@example.com
	sender string // of MAIL FROM, else the author
	signed bool
	body   string // what arrives in place of the body that was signed
	field  []string
	out    message.Disposition
	asked  string // a name that must not be asked for
}{
	{
		name: "a Sender ID record beside v=spf1 is no second SPF record",
		zone: `example.com. TXT "spf2.0/pra ip4:198.51.100.0/24 -all"
example.com. TXT "v=spf1 ip4:192.0.2.10 -all"`,
		field: []string{"spf=pass"}, out: message.Accept,
	},
	{
		name:  "a Sender ID record alone is no SPF record",
		zone:  `example.com. TXT "spf2.0/mfrom,pra ip4:192.0.2.10 -all"`,
		field: []string{"spf=none"}, out: message.Accept,
	},
	{
		name: "ip4: with nothing after it spoils the whole record, though a would match",
		zone: `example.com. TXT "v=spf1 a ip4: -all"
example.com. A 192.0.2.10
_dmarc.example.com. TXT "v=DMARC1; p=reject"`,
		field: []string{"spf=permerror", "dmarc=fail"}, out: message.Reject,
	},
	{
		name: "ip4: with nothing after it leaves DMARC to the signature",
		zone: `example.com. TXT "v=spf1 a ip4: -all"
example.com. A 192.0.2.10
ed._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p={p}"
_dmarc.example.com. TXT "v=DMARC1; p=reject"`,
		signed: true, field: []string{"spf=permerror", "dkim=pass", "dmarc=pass"}, out: message.Accept,
	},
	{
		name:   "a key record without v= is a key",
		zone:   `ed._domainkey.example.com. TXT "k=ed25519;p={p}"`,
		signed: true, field: []string{"dkim=pass"}, out: message.Accept,
	},
	{
		name: "v= that is not the first tag makes the record no key",
		zone: `ed._domainkey.example.com. TXT "k=ed25519; v=DKIM1; p={p}"
_dmarc.example.com. TXT "v=DMARC1; p=reject"`,
		signed: true, field: []string{`dkim=permerror reason="key record: v= is not the first tag"`, "dmarc=fail"}, out: message.Reject,
	},
	{
		name: "h= of a key record may end in a colon",
		zone: `ed._domainkey.example.com. TXT "v=DKIM1; h=sha256:; k=ed25519; p={p}"
_dmarc.example.com. TXT "v=DMARC1; p=reject"`,
		signed: true, field: []string{"dkim=pass", "dmarc=pass"}, out: message.Accept,
	},
	{
		name: "h= of a key record without sha256 makes the record no key",
		zone: `ed._domainkey.example.com. TXT "v=DKIM1; h=sha1; k=ed25519; p={p}"
_dmarc.example.com. TXT "v=DMARC1; p=reject"`,
		signed: true, field: []string{"dkim=permerror", "dmarc=fail"}, out: message.Reject,
	},
	{
		name: "an Ed25519 key of zeros as a placeholder is no key",
		zone: `ed._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
_dmarc.example.com. TXT "v=DMARC1; p=reject"`,
		signed: true, field: []string{"dkim=permerror", "dmarc=fail"}, out: message.Reject,
	},
	{
		name:   "spaces inside p= are no part of the key",
		zone:   `ed._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p={p with spaces}"`,
		signed: true, field: []string{"dkim=pass"}, out: message.Accept,
	},
	{
		name:   "a key record of several strings is joined without a separator",
		zone:   `ed._domainkey.example.com. TXT "v=DKIM1; t=s; k=ed2" "5519; " "p={p in strings}"`,
		signed: true, field: []string{"dkim=pass"}, out: message.Accept,
	},
	{
		name:   "t=y left on does not take a pass away",
		zone:   `ed._domainkey.example.com. TXT "v=DKIM1; t=y; k=ed25519; p={p}"`,
		signed: true, field: []string{`dkim=pass (256-bit key) reason="the key is marked as testing`}, out: message.Accept,
	},
	{
		name: "t=y left on makes a broken signature no signature",
		zone: `ed._domainkey.example.com. TXT "v=DKIM1; t=y; k=ed25519; p={p}"
_dmarc.example.com. TXT "v=DMARC1; p=reject"`,
		signed: true, body: "changed\r\n", field: []string{"dkim=none", "dmarc=fail"}, out: message.Reject,
	},
	{
		name: "the policy record of DomainKeys is not asked for and says nothing of unsigned mail",
		zone: `_domainkey.example.com. TXT "o=-;"
example.com. TXT "v=spf1 ip4:192.0.2.10 -all"`,
		field: []string{"dkim=none", "spf=pass"}, out: message.Accept, asked: "_domainkey.example.com",
	},
	{
		name: "the policy record of DomainKeys leaves a signature alone",
		zone: `_domainkey.example.com. TXT "o=-;"
ed._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p={p}"`,
		signed: true, field: []string{"dkim=pass"}, out: message.Accept, asked: "_domainkey.example.com",
	},
	{
		name:  "mailto: without rua= is passed over and the policy stands",
		zone:  `_dmarc.example.com. TXT "v=DMARC1; p=reject; sp=reject; mailto:report@example.com"`,
		field: []string{"dmarc=fail (p=reject"}, out: message.Reject,
	},
	{
		name:  "mailto: without rua= leaves sp= to the names below",
		zone:  `_dmarc.example.com. TXT "v=DMARC1; p=none; sp=reject; mailto:report@example.com"`,
		from:  "alice@sub.example.com",
		field: []string{"dmarc=fail (p=reject"}, out: message.Reject,
	},
	{
		name:  "empty tags are passed over and the policy stands",
		zone:  `_dmarc.example.com. TXT "v=DMARC1; p=quarantine;;; fo=1; adkim=r; aspf=r"`,
		field: []string{"dmarc=fail (p=quarantine"}, out: message.Accept, // with the field of the action tag
	},
	{
		name: "empty tags do not hide that alignment is relaxed",
		zone: `_dmarc.example.com. TXT "v=DMARC1; p=quarantine;;; fo=1; adkim=r; aspf=r"
ed._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p={p}"`,
		from: "alice@sub.example.com", signed: true, field: []string{"dkim=pass", "dmarc=pass"}, out: message.Accept,
	},
	{
		name: "a record at an ICANN suffix without psd=y makes strangers below it no organization",
		zone: `_dmarc.co.uk. TXT "v=DMARC1; p=reject"
attack.co.uk. TXT "v=spf1 ip4:192.0.2.10 -all"`,
		from: "alice@victim.co.uk", sender: "x@attack.co.uk", field: []string{"spf=pass", "dmarc=fail (p=reject"}, out: message.Reject,
	},
	{
		name:  "a DMARC record with a comma for the semicolon is none, and the reason says why",
		zone:  `_dmarc.example.com. TXT "v=DMARC1, p=reject"`,
		field: []string{`dmarc=none reason="no DMARC record for example.com: a TXT record at _dmarc.example.com misses being one: ',' stands where a semicolon should`},
		out:   message.Accept,
	},
	{
		name:  "pct= is ignored, and the reason says so",
		zone:  `_dmarc.example.com. TXT "v=DMARC1; p=reject; pct=0"`,
		field: []string{"dmarc=fail (p=reject", "'pct=0' of the record is ignored"}, out: message.Reject,
	},
	{
		name:  "SPF at the apex alone says nothing of the names below",
		zone:  `example.com. TXT "v=spf1 -all"`,
		from:  "alice@sub.example.com",
		field: []string{"spf=none smtp.mailfrom=sub.example.com"}, out: message.Accept,
	},
	{
		name: "SPF at the apex alone and DMARC refuse the names below",
		zone: `example.com. TXT "v=spf1 -all"
_dmarc.example.com. TXT "v=DMARC1; p=reject"`,
		from:  "alice@sub.example.com",
		field: []string{"spf=none", "dmarc=fail"}, out: message.Reject,
	},
	{
		name: "TXT at default_bimi is not asked for",
		zone: `default_bimi.example.com. TXT "v=BIMI1; l=https://example.com/logo.svg"
example.com. TXT "v=spf1 ip4:192.0.2.10 -all"
_dmarc.example.com. TXT "v=DMARC1; p=reject"`,
		field: []string{"spf=pass", "dmarc=pass"}, out: message.Accept, asked: "default_bimi.example.com",
	},
}

// asking notes the names that are asked for.
type asking struct {
	*dns.Zone
	mu    sync.Mutex
	names []string
}

func (a *asking) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a.mu.Lock()
	a.names = append(a.names, name)
	a.mu.Unlock()
	return a.Zone.LookupTXT(ctx, name)
}

func TestRecordsOfRealDomains(t *testing.T) {
	p := base64.StdEncoding.EncodeToString(caseKey.Public().(ed25519.PublicKey))
	keys := strings.NewReplacer("{p}", p, "{p with spaces}", p[:8]+" "+p[8:20]+"  "+p[20:]+" ", "{p in strings}", p[:10]+`" "`+p[10:])
	for _, tt := range publishedRecords {
		t.Run(tt.name, func(t *testing.T) {
			zone, err := dns.ParseZone(strings.NewReader(keys.Replace(tt.zone)+"\n"), "interoperability")
			if err != nil {
				t.Fatal(err)
			}
			from := tt.from
			if from == "" {
				from = "alice@example.com"
			}
			c := testCase{envelope: map[string][]string{}, sections: map[string]string{"message": "From: " + from + "\nSubject: x\n\nHello\n"}}
			if tt.signed {
				c.envelope["sign"] = []string{"example.com"}
			}
			header, body := c.message(t)
			if tt.body != "" {
				body = []byte(tt.body)
			}
			cfg := Defaults()
			if err := config.Decode("interoperability", []byte("mode: enforce\n"), &cfg).Err(); err != nil {
				t.Fatal(err)
			}
			resolver := &asking{Zone: zone}
			v := New(cfg, resolver, "mx.receiver.example", func() time.Time { return caseTime })
			env := message.Envelope{ClientAddr: netip.MustParseAddr("192.0.2.10"), Helo: "out.example.net", Sender: cmp.Or(tt.sender, from)}
			tx := v.Explain(context.Background(), env, nil)
			if tx.Header(env, header) {
				tx.Body(body)
			}
			j, err := tx.Judge()
			if err != nil {
				t.Fatal(err)
			}
			field := unfolded(j.Field().Value)
			for _, want := range tt.field {
				if !strings.Contains(field, want) {
					t.Errorf("the field lacks %q:\n%s", want, field)
				}
			}
			if got := j.Decision.Disposition(); got != tt.out {
				t.Errorf("%s (%s), want %s", got, j.Decision.Rule, tt.out)
			}
			if tt.asked != "" && slices.Contains(resolver.names, tt.asked) {
				t.Errorf("%s is asked for: %q", tt.asked, resolver.names)
			}
		})
	}
}
