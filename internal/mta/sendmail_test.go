package mta

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const sendmailMC = "divert(-1)dnl\n" +
	"dnl INPUT_MAIL_FILTER(`old', `S=local:/x')\n" +
	"define(`confDOMAIN_NAME', `mx.example.com')dnl\n" +
	"DAEMON_OPTIONS(`Name=MTA, Addr=127.0.0.1, Port=25')dnl\n" +
	"DAEMON_OPTIONS(`Name=REINJECT, Port=10025, Addr=127.0.0.1, InputMailFilters=')dnl\n" +
	"INPUT_MAIL_FILTER(`signpost', `S=inet:8891@127.0.0.1, F=T, T=C:30s;S:30s;R:60s;E:5m')dnl\n" +
	"INPUT_MAIL_FILTER(`spam', `S=local:/run/spam.sock')dnl\n" +
	"define(`confMILTER_MACROS_ENVFROM', `i, {auth_type}')dnl\n" +
	"FEATURE(`genericstable')dnl\n" +
	"GENERICS_DOMAIN(`example.com')dnl\n" +
	"MASQUERADE_AS(`example.org')dnl\n" +
	"MASQUERADE_DOMAIN(`a.example b.example')dnl\n"

const sendmailCF = `
V10/Berkeley
# comment
Djmx.example.com
DMexample.org
CMa.example b.example
CGexample.com
Kgenerics hash /etc/mail/genericstable
O DaemonPortOptions=Name=MTA, Addr=127.0.0.1, Port=25
O DaemonPortOptions=Name=REINJECT, Port=10025, Addr=127.0.0.1, InputMailFilters=
#O MustQuoteChars=.
O InputMailFilters=signpost, spam
O Milter.macros.envfrom=i, {auth_type}
Xsignpost, S=inet:8891@127.0.0.1, F=T,
	T=C:30s;S:30s;R:60s;E:5m
Xspam, S=local:/run/spam.sock
Mesmtp,		P=[IPC], F=mDFMuXa, S=EnvFromSMTP/HdrFromSMTP
`

// sendmail.cf and the .mc file that it is made of say the same.
func TestSendmail(t *testing.T) {
	for name, text := range map[string]string{"sendmail.cf": sendmailCF, "sendmail.mc": sendmailMC} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		s, err := ReadSendmail(dir)
		must(t, err)
		asked := s.Asked(s.Daemons[0])
		if len(asked) != 2 || asked[0].Name != "signpost" || asked[0].Socket != "inet:8891@127.0.0.1" || asked[0].Flags != "T" || asked[0].Timeouts["R"] != "60s" || asked[1].Socket != "local:/run/spam.sock" {
			t.Errorf("%s: asked %+v", name, asked)
		}
		if d := s.Daemons[1]; d.Name != "REINJECT" || d.Port != "10025" || d.Addr != "127.0.0.1" || !d.Own || len(s.Asked(d)) != 0 {
			t.Errorf("%s: daemon %+v", name, d)
		}
		as, domains := s.Masquerade()
		generics, on := s.Generics()
		if as != "example.org" || !slices.Equal(domains, []string{"a.example", "b.example"}) || !on || !slices.Equal(generics, []string{"example.com"}) {
			t.Errorf("%s: masquerade %s %q generics %t %q", name, as, domains, on, generics)
		}
		if v, set := s.Option("Milter.macros.envfrom"); !set || v != "i, {auth_type}" {
			t.Errorf("%s: macros %q %t", name, v, set)
		}
		if _, set := s.Option("MustQuoteChars"); set || !slices.Equal(s.OwnNames(), []string{"mx.example.com"}) {
			t.Errorf("%s: %q", name, s.OwnNames())
		}
	}
}

func FuzzSendmail(f *testing.F) {
	f.Add(sendmailCF, sendmailMC)
	f.Fuzz(func(t *testing.T, cf, mc string) {
		s := &Sendmail{options: map[string]string{}, macros: map[string]string{}, classes: map[string][]string{}}
		s.parse(cf)
		s.parseMC(withoutDNL(mc))
		for _, d := range s.Daemons {
			s.Asked(d)
		}
		s.OwnNames()
	})
}
