package dkim

import (
	"slices"
	"strings"
	"testing"
)

func TestCheckUseIsTheVerifiersJudgement(t *testing.T) {
	spki, _ := rsaText(t)
	for _, tt := range []struct {
		tags string
		want string
	}{
		{"", ""}, {"h=sha256; ", ""}, {"h=sha1:sha256; ", ""}, {"h=SHA256; ", ""}, {"t=s; ", ""}, {"t=y; ", ""}, {"s=email; ", ""},
		{"h=sha1; ", reasonHashBarred}, {"h=sha1:; ", reasonHashBarred}, {"h=SHA1; ", reasonHashBarred}, {"h=sha1:sha512; ", reasonHashBarred},
	} {
		key, err := ParseKey("v=DKIM1; k=rsa; " + tt.tags + "p=" + spki)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := key.CheckUse(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.tags, got, tt.want)
		}
		// The verifier agrees for a message under this record.
		z := zone{"rsa2048._domainkey.example.org": {"v=DKIM1; k=rsa; " + tt.tags + "p=" + spki}}
		o := verify(sign(t, plainHeader(), plainBody, params("rsa2048")), plainBody, z, Options{})[0]
		if (o.Result == Pass) != (tt.want == "") || o.Result != Pass && o.Reason != tt.want {
			t.Errorf("%q: the verifier says %s (%s)", tt.tags, o.Result, o.Reason)
		}
	}
}

func TestRecordSpelling(t *testing.T) {
	spki, _ := rsaText(t)
	for _, tt := range []struct{ record, want string }{
		{"v=DKIM1; k=rsa; p=" + spki, ""},
		{"v=DKIM1; k=rsa; h=sha256 : sha1; s=email:*; t=y:s; n=x; x=Y; p=" + spki + ";", ""},
		{"v=DKIM1; g=*; p=" + spki, ""},
		{"v=DKIM1; h=sha512; s=email:Other; t=q; p=" + spki, ""},
		{"v=DKIM1; g=; p=" + spki, "g="},
		{"v=DKIM1; g=ann; p=" + spki, "g="},
		{"v=DKIM1;; k=RSA; p=" + spki, "an empty tag,k= is not"},
		{"v=DKIM1; h=SHA256; s=Email; t=S; p=" + spki, "h= is not,s= is not,t= is not"},
		{"v=DKIM1; h=sha256:; t=; p=" + spki, "h= has an empty,t= has an empty"},
		{"v=DKIM1; p=" + strings.TrimRight(spki+"A==", "="), "p= lacks"},
		{"v=DKIM1; p=\n" + spki, "a control character"},
	} {
		got := RecordSpelling(tt.record)
		want := strings.FieldsFunc(tt.want, func(r rune) bool { return r == ',' })
		if len(got) != len(want) || slices.ContainsFunc(want, func(w string) bool {
			return !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, w) })
		}) {
			t.Errorf("%.80q: %q, want %q", tt.record, got, want)
		}
	}
}

func FuzzRecordSpelling(f *testing.F) {
	for _, s := range []string{"", "v=DKIM1;; k=RSA; h=:; g=; p=QQ", "p=" + strings.Repeat("A", 43), "t=\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, record string) {
		for _, text := range RecordSpelling(record) {
			if strings.IndexFunc(text, func(r rune) bool { return r < ' ' }) >= 0 || len(text) > 100 {
				t.Errorf("%q: %q", record, text)
			}
		}
	})
}
