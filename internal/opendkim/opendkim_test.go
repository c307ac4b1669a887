package opendkim

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// files is an installation of opendkim, by path.
type files map[string]string

func (f files) read(path string) (string, error) {
	text, ok := f[path]
	if !ok {
		return "", fmt.Errorf("%s: %w", path, os.ErrNotExist)
	}
	return text, nil
}

// config reads the file opendkim.conf of an installation.
func (f files) config(t *testing.T) *Config {
	t.Helper()
	c, err := Read("opendkim.conf", f.read)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tables is an installation with a KeyTable and a SigningTable of a kind.
func tables(kind, keys, signing, more string) files {
	return files{
		"opendkim.conf": "KeyTable file:kt\nSigningTable " + kind + ":st\nCanonicalization relaxed/relaxed\nInternalHosts 127.0.0.1,::1\n" + more,
		"kt":            keys, "st": signing,
	}
}

// shown writes an answer in few words.
func (a Answer) shown() string {
	switch {
	case a.Refused != "":
		return "refused"
	case a.Unsigned != "":
		return "unsigned"
	}
	var words []string
	for _, s := range a.Signatures {
		words = append(words, s.Domain+"/"+s.Selector+"/"+s.Key)
	}
	return strings.Join(words, " ")
}

// The answers are those of opendkim 2.11.0 (Debian 12), which was asked.
func TestSignAnswersAsOpenDKIMDoes(t *testing.T) {
	const keys = "k1 example.com:s1:/a\nk2 example.com:s2:/b\nk3 %:s3:/c\nkp a%.example:s4:/d\na.example a.example:own:/a\n" +
		"cut c.example:cut\nalg example.com:s1:/a:rsa-sha256\neach %:s5:/k/%.pem\n"
	const plain = "*@never.example k1\nBoss@Example.com k1\nexample.com k2\njoe@.example.com k1\n.example.com k2\n.news.example.com k3\n" +
		"sales@* k3\nx.example kp\ncut.example cut\nlonely.example\na.example %\nz.example %\nmiss.example nokey\neach.example each\nfour.example alg\n"
	const patterns = " *@lead.example k1\n*@(a|b).reg.example k2\n*@q?x.example k2\n*@plus+.example k2\njo*@star.example k2\n*star2.example k2\n*@*.Upper.example k2\nbare.example k1\n*@*.Upper.example k1\n"
	multiple := "MultipleSignatures yes\n"
	for _, c := range []struct {
		name string
		files
		want map[string]string
	}{
		{"a plain table", tables("file", keys, plain, ""), map[string]string{
			"joe@never.example": "unsigned", "boss@example.com": "example.com/s1//a", "BOSS@EXAMPLE.COM": "example.com/s1//a", "joe@EXAMPLE.com": "example.com/s2//b",
			"joe@a.example.com": "example.com/s1//a", "jim@a.example.com": "example.com/s2//b", "jim@a.news.example.com": "a.news.example.com/s3//c",
			"sales@who.example": "who.example/s3//c", "joe@x.example": "a%.example/s4//d", "joe@cut.example": "refused", "j@lonely.example": "refused",
			"j@a.example": "a.example/own//a", "j@z.example": "refused", "j@miss.example": "refused", "j@each.example": "each.example/s5//k/each.example.pem",
			"j@four.example": "example.com/s1//a", "j@elsewhere.example": "unsigned",
		}},
		{"a list in the configuration", files{"opendkim.conf": "KeyTable csl:k1=example.com:s1:/a,k2=example.net:s2:/b\nSigningTable example.com=k1, .example.net = k2\n"},
			map[string]string{"j@example.com": "example.com/s1//a", "j@a.example.net": "example.net/s2//b", "j@example.net": "unsigned"}},
		{"patterns", tables("refile", keys, patterns, ""), map[string]string{
			"j@lead.example": "unsigned", "j@a.reg.example": "example.com/s2//b", "j@c.reg.example": "unsigned", "j@x.example": "example.com/s2//b",
			"j@qx.example": "example.com/s2//b", "j@plus+.example": "example.com/s2//b", "john@star.example": "example.com/s2//b", "jim@star.example": "unsigned",
			"any@xstar2.example": "example.com/s2//b", "a@x.upper.example": "example.com/s2//b", "a@bare.example": "unsigned",
		}},
		{"of several lines that match, the first and the last sign", tables("refile", "a a.example:1:/1\nb b.example:2:/2\nc c.example:3:/3\n", "*@x.example a\n*@*.example b\n* c\n", multiple),
			map[string]string{"j@x.example": "a.example/1//1 c.example/3//3", "j@y.z.example": "b.example/2//2 c.example/3//3", "j@else.test": "c.example/3//3"}},
		{"one key without tables", files{"opendkim.conf": "Domain example.com,.example.org,sub.example.net\nSelector s\nKeyFile /k\nSubDomains yes\nExemptDomains a.example.com\n"},
			map[string]string{"j@example.com": "example.com/s//k", "j@b.c.example.com": "example.com/s//k", "j@a.example.com": "unsigned", "j@example.org": "unsigned", "j@x.sub.example.net": "sub.example.net/s//k"}},
		{"every domain, before its parents", files{"opendkim.conf": "Domain example.com,*\nSelector s\nKeyFile /k\nSubDomains yes\n"},
			map[string]string{"j@a.example.com": "a.example.com/s//k", "j@example.com": "example.com/s//k"}},
		{"mode v", files{"opendkim.conf": "Domain example.com\nSelector s\nKeyFile /k\nMode v\n"}, map[string]string{"j@example.com": "unsigned"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := c.config(t)
			for author, want := range c.want {
				user, domain, _ := strings.Cut(author, "@")
				if got := conf.Sign(user, domain).shown(); got != want {
					t.Errorf("%s: %s, want %s", author, got, want)
				}
			}
		})
	}
}

func TestReadHoldsTheFileToWhatOpenDKIMAccepts(t *testing.T) {
	const signs = "Domain example.com\nSelector s\nKeyFile /k\n"
	for _, c := range []struct{ name, conf, problem string }{
		{"an unknown name", "Syslog yes\nSigningTabel x\n", `line 2: "SigningTabel" is not a parameter`},
		{"no value", "Mode\n", "line 1: Mode has no value"},
		{"neither yes nor no", "Syslog perhaps\n", "write yes or no"},
		{"no number", "UMask seven\n", "write a number"},
		{"a byte order mark", "\xef\xbb\xbf" + signs, "byte order mark"},
		{"a mode that is none", signs + "Mode sx\n", "the letters are s and v"},
		{"no Selector", "Domain example.com\nKeyFile /k\n", "KeyFile and Selector must both be set"},
		{"no key", "Domain example.com\n", "Domain needs KeyFile and Selector"},
		{"a SigningTable alone", "SigningTable csl:example.com=k\n", "SigningTable needs a KeyTable"},
		{"a KeyTable alone", "KeyTable csl:k=example.com:s:/k\n", "KeyTable needs a SigningTable"},
		{"a table that is not there", "KeyTable refile:/no\nSigningTable refile:/no\n", "/no"},
		{"a list that begins with a colon", "Domain ::1,example.com\nSelector s\nKeyFile /k\n", "csl: in front"},
		{"a database", "KeyTable dsn:mysql://u:secret@h/d\nSigningTable csl:a=b\n", "kind dsn:"},
		{"a database by its name", "KeyTable /etc/keys.db\nSigningTable csl:a=b\n", "kind db:"},
		{"a pattern that is none", "KeyTable csl:k=example.com:s:/k\nSigningTable refile:bad\n", "not a regular expression"},
		{"a first row with i= and without a key", "KeyTable csl:k=example.com:s:/k\nSigningTable csl:example.com=other:@example.com\n", "could not find valid key record"},
		{"a file that includes itself", "Include opendkim.conf\n", "nested more than 5 levels"},
		{"a file to include that is not there", "Include gone.conf\n", "line 1: Include: gone.conf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read("opendkim.conf", files{"opendkim.conf": c.conf, "bad": "*@(example.com k\n"}.read)
			if err == nil || !strings.Contains(err.Error(), c.problem) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %q", err, c.problem)
			}
		})
	}
}

func TestTheLastOfEqualSettingsCounts(t *testing.T) {
	f := files{
		"opendkim.conf": "domain first.example\n  SELECTOR\ts \t# comment\r\nKeyFile /k\nInclude more.conf\nSyslog yes\n",
		"more.conf":     "DOMAIN example.com\r\n",
	}
	c := f.config(t)
	if got := c.Sign("j", "example.com").shown() + " " + c.Sign("j", "first.example").shown(); got != "example.com/s//k unsigned" {
		t.Error(got)
	}
	m, err := c.Migrate()
	if err != nil || !strings.Contains(strings.Join(m.Notes, "\n"), "opendkim.conf, line 1: Domain first.example: more.conf, line 1: Domain counts") {
		t.Errorf("%v %q", err, m.Notes)
	}
}

// A password is in no note, not even where a later line takes its place.
func TestNotesHaveNoPassword(t *testing.T) {
	c := files{"opendkim.conf": "LDAPBindPassword first-secret\nLDAPBindPassword second-secret\n" +
		"BodyLengthDB dsn:mysql://opendkim:db-secret@3306+host/db\nDontSignMailTo dsn:mysql://opendkim:db-secret@3306+host/db\n"}.config(t)
	m, err := c.Migrate()
	if err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(m.Notes, "\n")
	if strings.Contains(notes, "-secret") || strings.Count(notes, "LDAPBindPassword …") != 2 || strings.Count(notes, "mysql://…@3306+host/db") != 2 {
		t.Errorf("%s", notes)
	}
}

// A note names the setting here that does what the line did.
func TestNotesNameTheCounterpart(t *testing.T) {
	for line, counterpart := range map[string]string{
		"MinimumKeyBits 2048":         "verifier.dkim.min_rsa_bits",
		"MaximumSignaturesToVerify 3": "verifier.dkim.max_signatures",
		"DNSTimeout 5":                "dns.timeout",
		"AuthservID mx.example.com":   "verifier.authserv_id",
	} {
		c := files{"opendkim.conf": line + "\n"}.config(t)
		m, err := c.Migrate()
		if err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(m.Notes, "\n"); !strings.Contains(notes, line+": "+counterpart) {
			t.Errorf("%s:\n%s", line, notes)
		}
	}
}

// Every name that opendkim(8) can be given has a fate.
func TestEveryOptionIsCarriedOverOrNamed(t *testing.T) {
	for name, o := range options {
		value := map[valueKind]string{text: "x.example", boolean: "yes", integer: "7"}[o.kind]
		switch o.name {
		case "Include":
			continue
		case "Mode":
			value = "v"
		case "Canonicalization":
			value = "simple/relaxed"
		}
		conf := "KeyTable csl:k=example.com:s:/k\nSigningTable csl:example.com=k\n"
		if name != "keytable" && name != "signingtable" {
			conf += o.name + " " + value + "\n"
		}
		c := files{"opendkim.conf": conf}.config(t)
		m, err := c.Migrate()
		if err != nil {
			t.Errorf("%s: %v", o.name, err)
			continue
		}
		said := strings.Join(m.Notes, "\n") + m.Canonicalization
		switch o.name {
		case "KeyTable", "SigningTable", "MultipleSignatures":
			continue // what they mean is the entries
		case "BaseDirectory":
			continue // paths are read below it
		case "Canonicalization":
			if m.Canonicalization != value {
				t.Errorf("%s: %q", o.name, m.Canonicalization)
			}
			continue
		}
		if !strings.Contains(said, o.name) {
			t.Errorf("%s is dropped in silence", o.name)
		}
	}
}

func TestTablesAlone(t *testing.T) {
	f := files{"kt": "k example.com:s1:/k\nn example.com:s2:/n\n", "plain": "# all\nexample.com\tk\n* n\n", "patterns": "*@example.com\tk\n*@example.com n\n"}
	for _, c := range []struct {
		table    string
		multiple bool
		want     string
	}{
		{"plain", false, "example.com/s1//k"}, {"patterns", false, "example.com/s1//k"}, {"file:patterns", false, "unsigned"},
		{"patterns", true, "example.com/s1//k example.com/s2//n"},
	} {
		conf, err := Tables("kt", c.table, c.multiple, f.read)
		if err != nil {
			t.Fatal(err)
		}
		if got := conf.Sign("joe", "example.com").shown(); got != c.want {
			t.Errorf("%s: %s", c.table, got)
		}
		m, err := conf.Migrate()
		if said := strings.Contains(strings.Join(m.Notes, "\n"), "is read as"); err != nil || said == strings.Contains(c.table, ":") {
			t.Errorf("%s: %v %q", c.table, err, m.Notes)
		}
	}
	if _, err := Tables("kt", "gone", false, f.read); err == nil {
		t.Error("a table that is not there was read")
	}
}

// Who leaves opendkim often leaves its companions too, and gives their files.
func TestTheFileOfAnotherProgramIsRecognized(t *testing.T) {
	for text, want := range map[string]string{
		"PidFile /run/x.pid\nPublicSuffixList /usr/share/publicsuffix\n": "x.conf, line 2: PublicSuffixList is a parameter of opendmarc: give opendkim.conf here; docs/migration.md says what takes the place of each setting of opendmarc",
		"Mode sv\nSealHeaderChecks /x\n":                                 "x.conf, line 2: SealHeaderChecks is a parameter of openarc: give",
		"debugLevel = 1\nHELO_reject = Fail\n":                           "x.conf, line 1: debugLevel is a parameter of policyd-spf: give",
	} {
		_, err := Read("/etc/x.conf", func(string) (string, error) { return text, nil })
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for name, program := range ofOthers {
		if o, both := options[name]; both {
			t.Errorf("%s is a parameter of opendkim, and not only of %s", o.name, program)
		}
	}
}
