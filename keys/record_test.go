package keys

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func keyOf(t testing.TB, file string, ref Ref) *Key {
	t.Helper()
	signer, err := parse(testFile(t, file))
	check(t, err)
	k, err := newKey(ref, signer)
	check(t, err)
	return k
}

func TestRecordsOfPublishedVectors(t *testing.T) {
	for _, c := range []struct{ name, key, want string }{
		{"RFC 6376 appendix C", string(testFile(t, "rfc6376-appendix-c.pem")),
			"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"},
		{"RFC 8463 appendix A", "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="},
		{"dkimpy's key and the record that dkimpy made of it", string(testFile(t, "ed25519-dkimpy.key")), "v=DKIM1; k=ed25519; p=sCMaMjpBtVv3EWFJdfNTWF9QwmjoWnpPJVEBXxMsPMI="},
	} {
		t.Run(c.name, func(t *testing.T) {
			signer, err := parse([]byte(c.key))
			check(t, err)
			k, err := newKey(Ref{"example.com", "s"}, signer)
			check(t, err)
			if got := k.Record(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTheZoneLineIsTheRecord(t *testing.T) {
	for _, c := range []struct {
		name, file, domain string
		strings            int
	}{
		{"Ed25519 is one string", "ed25519-pkcs8.pem", "example.com", 1},
		{"RSA of 1024 bits is one string", "rsa1024.pem", "example.com", 1},
		{"RSA of 2048 bits is its tags and two strings", "rsa2048-pkcs8.pem", "example.com", 3},
		{"RSA of 4096 bits is its tags and three strings", "rsa4096.pem", "xn--bcher-kva.example", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := keyOf(t, c.file, Ref{c.domain, "s1"})
			rr, err := dns.NewRR(k.ZoneLine())
			if err != nil {
				t.Fatalf("%v in\n%s", err, k.ZoneLine())
			}
			txt, ok := rr.(*dns.TXT)
			if !ok || txt.Hdr.Name != "s1._domainkey."+c.domain+"." || txt.Hdr.Ttl != 3600 {
				t.Fatalf("got %v", rr)
			}
			if got := strings.Join(txt.Txt, ""); got != k.Record() {
				t.Errorf("got  %s\nwant %s", got, k.Record())
			}
			if len(txt.Txt) != c.strings {
				t.Errorf("%d strings, want %d", len(txt.Txt), c.strings)
			}
			for _, s := range txt.Txt {
				if len(s) == 0 || len(s) > 255 {
					t.Errorf("a string of %d octets", len(s))
				}
			}
		})
	}
}

func TestTheNameOfTheRecord(t *testing.T) {
	if got := (&Key{Domain: "example.com", Selector: "mail.2026"}).RecordName(); got != "mail.2026._domainkey.example.com" {
		t.Errorf("got %s", got)
	}
}
