package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const ordinarySendmail = `
Djmx.example.com
O DaemonPortOptions=Name=MTA, Addr=0.0.0.0, Port=25
O DaemonPortOptions=Port=587, Name=MSA, M=E
O DaemonPortOptions=Name=REINJECT, Port=10025, Addr=127.0.0.1, InputMailFilters=
O InputMailFilters=signpost
O Milter.macros.connect=j, _, {daemon_name}, {if_name}, {if_addr}
O Milter.macros.envfrom=i, {auth_type}, {auth_authen}, {auth_ssf}
Xsignpost, S=inet:8891@127.0.0.1, F=T, T=C:30s;S:30s;R:60s;E:5m
`

// lookAtSendmail runs the checks for files of a folder; @ is the folder above it.
func lookAtSendmail(t *testing.T, yaml string, files map[string]string, changes ...func(*testing.T, string)) Report {
	t.Helper()
	dir, err := os.MkdirTemp("", "d")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	file(t, dir+"/signpost.yaml", strings.ReplaceAll(yaml, "@", dir))
	must(t, os.MkdirAll(dir+"/mail", 0o755))
	for name, text := range files {
		file(t, filepath.Join(dir, "mail", name), strings.ReplaceAll(text, "@@", dir))
	}
	for _, change := range changes {
		if change != nil {
			change(t, dir)
		}
	}
	o := patient()
	o.Config, o.Sendmail, o.root = dir+"/signpost.yaml", dir+"/mail", dir+"/system"
	return findingsOf(t, o, lookAtMTA)
}

func cf(text string) map[string]string { return map[string]string{"sendmail.cf": text} }

func TestAHealthySendmailGivesNoFinding(t *testing.T) {
	mc := "INPUT_MAIL_FILTER(`signpost', `S=inet:8891@127.0.0.1, F=T, T=C:30s;S:30s;R:60s;E:5m')dnl\n"
	for what, c := range map[string]struct {
		yaml  string
		files map[string]string
	}{
		"TCP":                         {signing, cf(ordinarySendmail)},
		"with its .mc file":           {signing, map[string]string{"sendmail.cf": ordinarySendmail, "sendmail.mc": mc}},
		"the .mc file alone":          {signing, map[string]string{"sendmail.mc": mc}},
		"IPv6":                        {signing + "milter: {listen: [\"inet:[::1]:8891\"]}\n", cf(replaced(ordinarySendmail, "inet:8891@127.0.0.1", "inet6:8891@::1"))},
		"a unix socket":               {signing + "milter: {listen: [\"local:/run/signpost/milter.sock\"]}\n", cf(replaced(ordinarySendmail, "inet:8891@127.0.0.1", "local:/run/signpost/milter.sock"))},
		"beside a spam filter":        {signing, cf(replaced(ordinarySendmail, "InputMailFilters=signpost", "InputMailFilters=signpost, spam") + "Xspam, S=local:/run/spam.sock\n")},
		"verify only":                 {"verifier: {authserv_id: mx.example.com}\n", cf(ordinarySendmail + "DMexample.org\nCMexample.com\n")},
		"masquerading of others":      {signing, cf(ordinarySendmail + "DMexample.net\nCMother.example\n")},
		"names are not put in quotes": {signing, cf(ordinarySendmail + "O MustQuoteChars\n")},
	} {
		r := lookAtSendmail(t, c.yaml, c.files)
		for _, f := range r.Findings {
			t.Errorf("%s: %s %s: %s", what, f.ID, f.Subject, f.Finding)
		}
		for _, u := range r.Unseen {
			t.Errorf("%s: not seen: %v", what, u)
		}
	}
}

func TestEachFaultOfSendmailIsNamed(t *testing.T) {
	const socketYAML = signing + "milter: {listen: [\"local:@/run/m.sock\"]}\n"
	for _, c := range []struct {
		id, what, yaml string
		files          map[string]string
		change         func(*testing.T, string)
		remedy         string
	}{
		{id: "sendmail.not-connected", what: "no filter", files: cf(replaced(ordinarySendmail, "Xsignpost, S=inet:8891@127.0.0.1, F=T, T=C:30s;S:30s;R:60s;E:5m\n", "", "O InputMailFilters=signpost\n", "")), remedy: "S=inet:8891@127.0.0.1, F=T"},
		{id: "sendmail.not-connected", what: "a wrong port", files: cf(replaced(ordinarySendmail, "8891@", "1@"))},
		{id: "sendmail.not-connected", what: "defined, not asked", files: cf(replaced(ordinarySendmail, "InputMailFilters=signpost", "InputMailFilters=")), remedy: "define(`confINPUT_MAIL_FILTERS', `signpost')"},
		{id: "sendmail.not-connected", what: "sendmail.cf is old", files: map[string]string{"sendmail.cf": "V10/Berkeley\n", "sendmail.mc": "INPUT_MAIL_FILTER(`signpost', `S=inet:8891@127.0.0.1, F=T')dnl\n"}, remedy: "make -C"},
		{id: "sendmail.not-connected", what: "one port has a list of its own", files: cf(replaced(ordinarySendmail, "Name=MSA, M=E", "Name=MSA, M=E, InputMailFilters="))},
		{id: "sendmail.not-connected", what: "the way back of a content filter asks us", files: cf(replaced(ordinarySendmail, "Addr=127.0.0.1, InputMailFilters=", "Addr=127.0.0.1, InputMailFilters=signpost"))},
		{id: "opendkim.still-there", what: "beside us", files: cf(replaced(ordinarySendmail, "InputMailFilters=signpost", "InputMailFilters=signpost, opendkim") + "Xopendkim, S=local:/run/opendkim/opendkim.sock\n"), remedy: "systemctl disable --now opendkim"},
		{id: "sendmail.default-action", what: "none", files: cf(replaced(ordinarySendmail, " F=T,", "")), remedy: "F=T"},
		{id: "sendmail.timeouts", what: "short", files: cf(replaced(ordinarySendmail, "R:60s", "R:5s"))},
		{id: "sendmail.macros", what: "no logins", files: cf(replaced(ordinarySendmail, "i, {auth_type}, {auth_authen}, {auth_ssf}", "i, {mail_addr}")), remedy: "define(`confMILTER_MACROS_ENVFROM', `i, {mail_addr}, {auth_type}, {auth_authen}')"},
		{id: "sendmail.rewrites", what: "masquerading", files: cf(ordinarySendmail + "DMexample.net\nCMexample.com\n"), remedy: "MASQUERADE_AS(`example.net')"},
		{id: "sendmail.rewrites", what: "genericstable", files: cf(ordinarySendmail + "Kgenerics hash /etc/mail/genericstable\nCGexample.com\n"), remedy: "genericstable"},
		{id: "sendmail.rewrites", what: "quotes", files: cf(ordinarySendmail + "O MustQuoteChars=.\n"), remedy: "confMUST_QUOTE_CHARS"},
		{id: "sendmail.rewrites", what: "seven bits", files: cf(ordinarySendmail + "O SevenBitInput=True\n"), remedy: "confSEVEN_BIT_INPUT"},
		{id: "sendmail.rewrites", what: "8-bit mail is converted", files: cf(ordinarySendmail + "O EightBitMode=mimefy\n"), remedy: "pass8"},
		{id: "sendmail.socket-permission", what: "a folder that a group may write to", yaml: socketYAML, files: cf(replaced(ordinarySendmail, "inet:8891@127.0.0.1", "local:@@/run/m.sock")), change: func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/run", 0o755))
			must(t, os.Chmod(dir+"/run", 0o775))
			listenAt(t, "unix", dir+"/run/m.sock")
		}, remedy: "chmod go-w"},
	} {
		yaml := c.yaml
		if yaml == "" {
			yaml = signing
		}
		r := lookAtSendmail(t, yaml, c.files, c.change)
		found := false
		for _, f := range r.Findings {
			found = found || f.ID == c.id
			if f.ID != c.id {
				t.Errorf("%s, %s: %s: %s", c.id, c.what, f.ID, f.Finding)
			} else if !strings.Contains(f.Remedy.String(), c.remedy) || f.Consequence == "" {
				t.Errorf("%s, %s: want %q in the remedy:\n%s", c.id, c.what, c.remedy, f.Remedy)
			}
		}
		if !found {
			t.Errorf("%s, %s: not found; %v", c.id, c.what, r.Unseen)
		}
	}
}

// Of two MTAs on a host, the one that asks us is in use.
func TestTwoMTAs(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ what, main, sendmail, ids string }{
		{"Postfix asks us", ordinaryMain, "V10/Berkeley\n", ""},
		{"Sendmail asks us", "compatibility_level = 3.6\n", ordinarySendmail, ""},
		{"neither", "compatibility_level = 3.6\nqueue_directory = " + dir + "\n", "V10/Berkeley\n", "sendmail.not-connected"},
	} {
		file(t, dir+"/postfix/main.cf", c.main)
		file(t, dir+"/postfix/master.cf", ordinaryMaster)
		file(t, dir+"/system/etc/mail/sendmail.cf", c.sendmail)
		file(t, dir+"/signpost.yaml", signing)
		o := patient()
		o.Config, o.root, o.usualPostfix = dir+"/signpost.yaml", dir+"/system", dir+"/postfix"
		if r := findingsOf(t, o, lookAtMTA); ids(r) != c.ids || len(r.Findings) > 1 {
			t.Errorf("%s: want %q\n%+v", c.what, c.ids, r.Findings)
		}
	}
}

func TestTwoMTAsThatAreNamed(t *testing.T) {
	dir := t.TempDir()
	file(t, dir+"/postfix/main.cf", "compatibility_level = 3.6\n")
	file(t, dir+"/postfix/master.cf", ordinaryMaster)
	file(t, dir+"/mail/sendmail.cf", "V10/Berkeley\n")
	file(t, dir+"/signpost.yaml", signing)
	o := patient()
	o.Config, o.root, o.Postfix, o.Sendmail = dir+"/signpost.yaml", dir+"/system", dir+"/postfix", dir+"/mail"
	if r := findingsOf(t, o, lookAtMTA); len(r.Findings) != 2 {
		t.Errorf("%+v", r.Findings)
	}
}

// opendkim that is installed and enabled does no harm by itself; at an address of ours it does.
func TestOpendkimAtOurAddress(t *testing.T) {
	for _, c := range []struct {
		socket string
		want   int
	}{{"inet:8891@localhost", 1}, {"local:/run/opendkim/opendkim.sock", 0}} {
		s := ordinary
		s.files = map[string]string{
			"etc/opendkim.conf": "Syslog yes\nSocket " + c.socket + "\n",
			"etc/systemd/system/multi-user.target.wants/opendkim.service": "",
		}
		r := s.look(t)
		if len(r.Findings) != c.want || c.want > 0 && r.Findings[0].ID != "opendkim.still-there" {
			t.Errorf("%s: %+v", c.socket, r.Findings)
		}
	}
}
