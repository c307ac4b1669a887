package keys

import (
	"strings"
	"testing"
)

func TestWhatDNSHasOfAKey(t *testing.T) {
	dir := t.TempDir()
	mine, err := Generate(dir, "example.com", "s1", RSA, 2048)
	check(t, err)
	another, err := Generate(dir, "example.com", "e1", Ed25519, 0)
	check(t, err)
	record := mine.Record()
	p := record[strings.Index(record, "p="):]
	for _, c := range []struct {
		name    string
		records []string
		want    Answer
		says    string
	}{
		{"the record", []string{record}, Found, ""},
		{"the record in another spelling", []string{"k=rsa;  " + p + " ;"}, Found, ""},
		{"the record with a note", []string{"v=DKIM1; n=made in 2026; s=email; " + p}, Found, ""},
		{"t=y left over", []string{"v=DKIM1; t=y; " + p}, Found, "t=y"},
		{"no record", nil, Absent, "does not exist"},
		{"the answer of a wildcard", []string{"v=spf1 -all"}, Absent, "(a wildcard record?)"},
		{"a second text that is no key", []string{record, "site-verification=x"}, Found, "second TXT record"},
		{"another key", []string{another.Record()}, Differs, "has another key (ed25519, 256 bits)"},
		{"two keys", []string{record, another.Record()}, Differs, "has 2 key records, and a verifier may take any"},
		{"the same key twice", []string{record, "v=DKIM1;" + p}, Found, "in 2 records"},
		{"two keys, neither ours", []string{another.Record(), another.Record() + "; n=x"}, Differs, "none of them with this key"},
		{"a revoked key", []string{"v=DKIM1; p="}, Differs, "is revoked"},
		{"quotation marks within", []string{`"v=DKIM1; k=rsa; ` + p + `"`}, Differs, "quotation marks"},
		{"strings pasted with their quotation marks", []string{`v=DKIM1; k=rsa; ` + p[:100] + `" "` + p[100:]}, Differs, "quotation marks"},
		{"escaped semicolons", []string{`v=DKIM1\; k=rsa\; ` + p}, Differs, "quotation marks"},
		{"cut off", []string{record[:255]}, Differs, "cut off after 255 octets"},
		{"in two records", []string{record[:255], record[255:]}, Differs, "several strings of one record"},
		{"a key type that nobody has", []string{"v=DKIM1; k=dsa; " + p}, Differs, "is not used by verifiers"},
		{"h= without SHA-256", []string{"v=DKIM1; h=sha1; " + p}, Differs, "h= of the key record does not allow the hash): take h= out"},
		{"h= of unknown hashes", []string{"v=DKIM1; h=sha512; " + p}, Differs, "h= names no known hash"},
		{"h= with SHA-256", []string{"v=DKIM1; h=sha1:sha256; " + p}, Found, ""},
		{"h= without SHA-256 beside the record", []string{record, "v=DKIM1; h=sha1; " + p}, Differs, "a verifier may take any"},
		{"a revoked key beside the record", []string{record, "v=DKIM1; p="}, Differs, "a verifier may take any"},
		{"t=s, which bars nothing that we sign", []string{"v=DKIM1; t=s; " + p}, Found, ""},
		{"g= of RFC 4871", []string{"v=DKIM1; g=; " + p}, Found, "g= restricts the key"},
		{"k= in capitals", []string{"v=DKIM1; k=RSA; " + p}, Found, "k= is not in small letters"},
		{"an empty tag", []string{"v=DKIM1;; " + p}, Found, "an empty tag"},
		{"v= that is not first", []string{"k=rsa; v=DKIM1; " + p}, Differs, "v= is not the first tag"},
		{"a key that is not for mail", []string{"v=DKIM1; s=other; " + p}, Differs, "is not used by verifiers (s= does not allow email)"},
		{"the wrong key type", []string{"v=DKIM1; k=ed25519; " + p}, Differs, "is not used by verifiers"},
		{"an Ed25519 key of small order", []string{"v=DKIM1; k=ed25519; p=" + strings.Repeat("A", 43) + "="}, Differs, "small order"},
		{"a short RSA key", []string{"v=DKIM1; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMPekl+uAfmcdIuyNUybIsdPyzK6mFOk5s87lOXFWKs//btaTCJRSjG1kijuGZZEZluxlX/qR1xB4G/ep/hYTZkCAwEAAQ=="}, Differs, "too short"},
		{"not for mail", []string{"v=DKIM1; s=other; " + p}, Differs, "s= does not allow email"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := CompareRecord(mine.Fingerprint(), c.records)
			all := f.Detail + strings.Join(f.Warnings, " ")
			if f.Answer != c.want || !strings.Contains(all, c.says) || (c.says == "") != (all == "") {
				t.Errorf("%s, because %q; want %s, because %q", f.Answer, all, c.want, c.says)
			}
		})
	}
}

func FuzzExamine(f *testing.F) {
	for _, s := range []string{"", "v=DKIM1; p=", `"v=DKIM1; k=ed25519; p=` + strings.Repeat("A", 43) + `="`, "v=spf1 -all", ";p=;p="} {
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, records := range [][]string{{a}, {a, b}, {a, b, a + b}} {
			finding := CompareRecord("no key has this", records)
			if finding.Answer == Found || finding.Answer == NoAnswer || finding.Detail == "" {
				t.Errorf("%q: %+v", records, finding)
			}
			for _, r := range finding.Detail {
				if r < ' ' {
					t.Errorf("%q: a control character in %q", records, finding.Detail)
				}
			}
		}
	})
}
