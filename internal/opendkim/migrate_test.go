package opendkim

import (
	"fmt"
	"strings"
	"testing"

	"signpost/internal/message"
)

// shown writes a migration in few words.
func (m Migration) shown() string {
	var b strings.Builder
	for _, e := range m.Entries {
		b.WriteString(e.Domain)
		if len(e.Selectors) > 0 {
			fmt.Fprintf(&b, " %v", e.Selectors)
		}
		if e.Subdomains {
			b.WriteString(" and below")
		}
		if e.KeysOf != "" {
			b.WriteString(" keys of " + e.KeysOf)
		}
		if e.SDID != "" {
			b.WriteString(" as " + e.SDID)
		}
		b.WriteString("\n")
	}
	for _, k := range m.Keys {
		fmt.Fprintf(&b, "%s of %s: %s%s", k.Selector, k.Domain, k.File, k.Inline)
		if k.EachDomain {
			b.WriteString(" for each of " + k.Pattern)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestSigningTablesBecomeEntries(t *testing.T) {
	const k, n = "k example.com:s1:/k\n", "n example.com:s2:/n\n"
	for _, c := range []struct {
		name          string
		kind          string // refile where it is empty
		keys, signing string
		more          string
		want          string
		note          string // must be among the notes; "": there is none
	}{
		{name: "the usual pair of lines", keys: "mail._domainkey.example.com example.com:mail:/etc/dkimkeys/mail.private\n", signing: "*@example.com mail._domainkey.example.com\n",
			want: "example.com [mail]\nmail of example.com: /etc/dkimkeys/mail.private\n"},
		{name: "comments, blanks and tabs", keys: "# keys\n\n  k\texample.com:s1:/k.pem # old\n", signing: "#\n*@example.com\t  k\n", want: "example.com [s1]\ns1 of example.com: /k.pem\n"},
		{name: "a plain table", kind: "file", keys: "k Example.COM:S1:/k", signing: "EXAMPLE.com k", want: "example.com [s1]\ns1 of example.com: /k\n"},
		{name: "i= behind the key name", keys: k, signing: "*@example.com k:@example.com", want: "example.com [s1]\ns1 of example.com: /k\n", note: "SigningTable, line 1: *@example.com: i=@example.com is not taken over"},
		{name: "an algorithm behind the key", keys: "k example.com:s1:/k:ed25519-sha256", signing: "*@example.com k", want: "example.com [s1]\ns1 of example.com: /k\n"},
		{name: "the key within the table", keys: "k example.com:s1:MIIEow", signing: "*@example.com k", want: "example.com [s1]\ns1 of example.com: MIIEow\n"},
		{name: "names below", keys: k, signing: "*@example.com k\n*@*.example.com k", want: "example.com [s1] and below\ns1 of example.com: /k\n"},
		{name: "names below alone, as a plain file writes them", kind: "file", keys: k, signing: ".example.com k", want: "example.com [s1] and below\ns1 of example.com: /k\n",
			note: "mail of example.com itself is signed too"},
		{name: "a star without a dot fits other domains, too", keys: k, signing: "*@*example.com k", want: "example.com [s1]\n*example.com as example.com\ns1 of example.com: /k\n", note: "*example.com is signed as example.com"},
		{name: "a pattern for the whole address", keys: k, signing: "*.example.com k\n*@example.com k", want: "example.com [s1] and below\ns1 of example.com: /k\n"},
		{name: "a name below with a key of the parent's", keys: k + n, signing: "*@news.example.com n\n*@example.com k",
			want: "example.com [s1]\nnews.example.com as example.com\ns1 of example.com: /k\n", note: "line 1: *@news.example.com: opendkim signs news.example.com with d=example.com s=s2; here"},
		{name: "names below with another selector", keys: k + n, signing: "*@example.com k\n*@*.example.com n",
			want: "example.com [s1] and below\ns1 of example.com: /k\n", note: "line 2: *@*.example.com: opendkim signs mail of *.example.com with d=example.com s=s2"},
		{name: "everybody, each with a key of their own", keys: "k %:s1:/keys/%/s1.pem", signing: "* k", want: "* [s1]\ns1 of *: /keys/%/s1.pem for each of *\n", note: "the files that exist now"},
		{name: "everybody with one key", keys: "k %:s1:/k", signing: "*@* k", want: "* [s1]\ns1 of *: /k\n"},
		{name: "names below, each as itself", keys: "k %:s1:/k", signing: "*@*.example.com k", want: "*.example.com [s1] keys of *\ns1 of *: /k\n"},
		{name: "the author's domain in d= and in the path", keys: "k %:s1:/keys/%/s1.pem", signing: "*@example.com k\n*@example.org k",
			want: "example.com [s1]\nexample.org [s1]\ns1 of example.com: /keys/example.com/s1.pem\ns1 of example.org: /keys/example.org/s1.pem\n"},
		{name: "keys named by the domain", keys: "a.example a.example:s:/a\nb.example b.example:s:/b", signing: "* %",
			want: "a.example [s]\nb.example [s]\ns of a.example: /a\ns of b.example: /b\n", note: "was refused by opendkim (451"},
		{name: "everybody as one domain", keys: k, signing: "* k", want: "example.com [s1]\n* as example.com\ns1 of example.com: /k\n", note: "every domain is signed as example.com"},
		{name: "one domain as another", keys: k, signing: "*@example.org k\n*@example.com k", want: "example.com [s1]\nexample.org as example.com\ns1 of example.com: /k\n", note: "line 1: *@example.org: example.org is signed as example.com"},
		{name: "two keys, and the first signs", keys: "a example.com:s1:/a\nb example.com:s2:/b", signing: "*@example.com a\n*@example.com b",
			want: "example.com [s1]\ns1 of example.com: /a\n", note: "line 2: *@example.com: opendkim never comes to it, since SigningTable, line 1"},
		{name: "two keys that both sign", more: "MultipleSignatures yes\n", keys: "a example.com:s1:/a\nb example.com:s2:/b", signing: "*@example.com a\n*@example.com b",
			want: "example.com [s1 s2]\ns1 of example.com: /a\ns2 of example.com: /b\n"},
		{name: "three keys", more: "MultipleSignatures yes\n", keys: "a example.com:s1:/a\nb example.com:s2:/b\nc example.com:s3:/c", signing: "*@example.com a\n*@example.com b\n*@example.com c",
			want: "example.com [s1 s3]\ns1 of example.com: /a\ns3 of example.com: /c\n", note: "line 2: *@example.com: with MultipleSignatures, opendkim signs with the first and the last"},
		{name: "signatures of two domains", more: "MultipleSignatures yes\n", keys: k + "p provider.example:p:/p", signing: "* p\n*@example.com k",
			want: "example.com [s1]\nprovider.example [p]\n* as provider.example\ns1 of example.com: /k\np of provider.example: /p\n", note: "MultipleSignatures: example.com is signed as example.com and as provider.example too"},
		{name: "a line behind one for everybody", keys: "a %:s1:/a\nb example.com:s2:/b", signing: "* a\n*@example.com b", want: "* [s1]\ns1 of *: /a\n", note: "line 2: *@example.com: opendkim never comes to it"},
		{name: "a more specific line behind", keys: k + "n news.example.com:s2:/n", signing: "*@*.example.com k\n*@news.example.com n\n*@example.com k",
			want: "example.com [s1] and below\ns1 of example.com: /k\n", note: "line 2: *@news.example.com: opendkim never comes to it"},
		{name: "a pattern before that of a parent", keys: k + "n %:s2:/n", signing: "*@*.news.example.com n\n*@*.example.com k\n*@example.com k",
			want: "example.com [s1]\n*.news.example.com [s2] keys of *\n*.example.com as example.com\ns1 of example.com: /k\ns2 of *: /n\n"},
		{name: "one address", keys: k + n, signing: "Boss@example.com n\n*@example.com k", want: "example.com [s1]\nboss@example.com [s2]\ns1 of example.com: /k\ns2 of example.com: /n\n"},
		{name: "one address as another domain", keys: "n news.example.org:s2:/n", signing: "boss@example.org n", want: "news.example.org [s2]\nboss@example.org as news.example.org\ns2 of news.example.org: /n\n",
			note: "mail of news.example.org itself is signed too"},
		{name: "patterns for local parts", keys: k, signing: "news-*@example.com k", want: "", note: "line 1: news-*@example.com: this is a pattern for local parts"},
		{name: "a local part everywhere", kind: "file", keys: k, signing: "info@* k", want: "", note: "line 1: info@*: this is a local part at every domain"},
		{name: "a star in a plain file", kind: "file", keys: k, signing: "*@example.com k", want: "", note: "line 1: *@example.com: opendkim never matches it"},
		{name: "a domain in a refile", keys: k, signing: "example.com k", want: "", note: "line 1: example.com: opendkim never matches it"},
		{name: "a regular expression", keys: k, signing: "*@(mail|news).example.com k", want: "", note: "line 1: *@(mail|news).example.com: this is a regular expression"},
		{name: "a line that begins with a blank", keys: k, signing: " *@example.com k", want: "", note: "line 1: it begins with a blank"},
		{name: "a key that is not there", keys: k, signing: "*@example.com other", want: "", note: `the key "other" is not in the KeyTable`},
		{name: "a key of another case", keys: k, signing: "*@example.com K", want: "", note: `the key "K" is not in the KeyTable`},
		{name: "a line that is cut off", keys: "k example.com:s1\n", signing: "*@example.com k\n", want: "", note: "is not domain:selector:key"},
		{name: "a selector that is none", keys: "k example.com:a/b:/k", signing: "*@example.com k", want: "", note: "is not a selector"},
		{name: "a star within a domain", keys: k, signing: "*@ex*le.com k", want: "example.com [s1]\nex*le.com as example.com\ns1 of example.com: /k\n", note: "ex*le.com is signed as example.com"},
		{name: "two keys of one selector", keys: k + "o example.com:s1:/other", signing: "boss@example.com o\n*@example.com k", want: "example.com [s1]\nboss@example.com [s1]\ns1 of example.com: /k\n",
			note: "s1 of example.com is another key already"},
		{name: "a domain that is exempt", more: "ExemptDomains example.com\n", keys: k, signing: "*@example.com k\n", want: "", note: "ExemptDomains"},
		{name: "a domain that is exempt below everybody", more: "ExemptDomains a.example\n", keys: "k %:s1:/k", signing: "* k", want: "* [s1]\ns1 of *: /k\n", note: "ExemptDomains (csl), a.example: it is signed here, by the entry *"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.kind == "" {
				c.kind = "refile"
			}
			m, err := tables(c.kind, c.keys, c.signing, c.more).config(t).Migrate()
			if err != nil {
				t.Fatal(err)
			}
			notes := strings.Join(m.Notes, "\n")
			if got := m.shown(); got != c.want || !strings.Contains(notes, c.note) || (c.note == "" && notes != "") {
				t.Errorf("got\n%snotes:\n%s\nwant\n%snote %q", got, notes, c.want, c.note)
			}
		})
	}
}

func TestOneKeyWithoutTablesBecomesEntries(t *testing.T) {
	for _, c := range []struct{ conf, want, note string }{
		{"Domain example.com, example.org\nSubDomains yes", "example.com [mail] and below\nexample.org [mail] and below\nmail of example.com: /k\nmail of example.org: /k\n", ""},
		{"Domain *", "* [mail]\nmail of *: /k\n", ""},
		{"Domain refile:d", "example.com [mail]\n*.example.net [mail] keys of *\nmail of example.com: /k\nmail of *: /k\n", ""},
		{"Domain example.com,.example.org", "example.com [mail]\nmail of example.com: /k\n", "a domain has no dot in front"},
		{"Domain example.com\nMode v", "", "Mode v: opendkim signs nothing"},
	} {
		m, err := files{"opendkim.conf": c.conf + "\nSelector mail\nKeyFile /k\n", "d": "example.com\n*.example.net\n"}.config(t).Migrate()
		if notes := strings.Join(m.Notes, "\n"); err != nil || m.shown() != c.want || !strings.Contains(notes, c.note) {
			t.Errorf("%s: got\n%s%s %v", c.conf, m.shown(), notes, err)
		}
	}
}

func TestWhoseMailIsSigned(t *testing.T) {
	for _, c := range []struct{ conf, networks, daemons, note string }{
		{"", "127.0.0.1/32 ::1/128", "", ""},
		{"InternalHosts 127.0.0.1", "127.0.0.1/32", "", "InternalHosts: as in opendkim, mail from this host over IPv6 is not signed"},
		{"InternalHosts refile:b", "192.0.2.1/32", "", "brackets make it a pattern"},
		{"InternalHosts 127.0.0.1, 10.0.0.0/8,::1", "127.0.0.1/32 10.0.0.0/8 ::1/128", "", ""},
		{"InternalHosts csl:2001:db8::/32,[192.0.2.7]", "2001:db8::/32 192.0.2.7/32", "", ""},
		{"InternalHosts refile:h", "192.0.2.0/24 127.0.0.1/32 ::1/128 192.168.0.0/16", "", "InternalHosts, line 4: *.example.com: a client is not known by its name"},
		{"InternalHosts 192.0.2.1/24", "", "", "never finds this one"},
		{"InternalHosts 0.0.0.0/0, ::/0, 192.0.2.1", "192.0.2.1/32 127.0.0.0/8 ::1/128", "", "everybody"},
		{"InternalHosts 192.0.2.0/30,!192.0.2.1", "192.0.2.0/32 192.0.2.2/31", "", ""},
		{"InternalHosts !192.0.2.0/30,192.0.2.1", "192.0.2.1/32", "", ""},
		{"InternalHosts 192.0.2.0/30\nPeerList 192.0.2.2", "192.0.2.0/31 192.0.2.3/32", "", "verifier.trusted.networks"},
		{"MTA ORIGINATING,submission", "127.0.0.1/32 ::1/128", "ORIGINATING submission", "MTA"},
		{"MacroList daemon_name=ORIGINATING|submission", "127.0.0.1/32 ::1/128", "ORIGINATING submission", "MacroList"},
		{"MacroList {daemon_name}=ORIGINATING", "127.0.0.1/32 ::1/128", "", "never finds this macro"},
		{"MacroList daemon_name", "127.0.0.1/32 ::1/128", "", "everybody's mail was signed"},
		{"MacroList client_ptr=x", "127.0.0.1/32 ::1/128", "", "not made yours by this macro"},
		{"MTA a\nMacroList daemon_name=b", "127.0.0.1/32 ::1/128", "b", "opendkim overrules it"},
	} {
		f := tables("refile", "k example.com:s1:/k", "*@example.com k", "")
		f["opendkim.conf"] = "KeyTable file:kt\nSigningTable refile:st\n" + c.conf + "\n"
		f["b"] = "[::1]\n192.0.2.1\n"
		f["h"] = "# ours\n192.0.2.0/24\nlocalhost\n*.example.com\n192.168.*\n"
		m, err := f.config(t).Migrate()
		var networks []string
		for _, p := range m.Networks {
			networks = append(networks, p.String())
		}
		got, daemons := map[string]bool{}, strings.Join(m.DaemonNames, " ")
		for _, p := range networks {
			got[p] = true
		}
		for _, p := range strings.Fields(c.networks) {
			if !got[p] {
				t.Errorf("%s: %v lacks %s", c.conf, networks, p)
			}
		}
		if err != nil || len(got) != len(strings.Fields(c.networks)) || daemons != c.daemons || !strings.Contains(strings.Join(m.Notes, "\n"), c.note) {
			t.Errorf("%s: %v %s %v %q", c.conf, networks, daemons, err, m.Notes)
		}
	}
}

func TestWhichFieldsAreSigned(t *testing.T) {
	for _, c := range []struct{ conf, sign, omit, oversign, note string }{
		{"OversignHeaders From", "", "", "From", "line 5: OversignHeaders From: these are oversigned here too"},
		{"OversignHeaders From,X-Ticket\nOmitHeaders x-ticket,Message-ID", "", "x-ticket Message-ID", "From", "both have X-Ticket"},
		{"SignHeaders From,Subject,X-Ticket", "From Subject X-Ticket", "", "", "opendkim signs no others"},
		{"SignHeaders *,+X-Ticket,-List-Id", "X-Ticket", "List-Id", "", ""},
		{"OmitHeaders *,-Bcc,+Sender", "", "Sender", "", ""},
		{"OmitHeaders .", "", "", "", ""},
		{"SignHeaders refile:h", "Subject", "", "", "SignHeaders, line 2: X-*: a pattern of fields"},
	} {
		f := tables("refile", "k example.com:s1:/k", "*@example.com k", c.conf+"\n")
		f["b"] = "[::1]\n192.0.2.1\n"
		f["h"] = "Subject\nX-*\n"
		m, err := f.config(t).Migrate()
		notes := strings.Join(m.Notes, "\n")
		got := [3]string{strings.Join(m.Sign, " "), strings.Join(m.Omit, " "), strings.Join(m.Oversign, " ")}
		if err != nil || got != [3]string{c.sign, c.omit, c.oversign} || !strings.Contains(notes, c.note) {
			t.Errorf("%s: %q, %v\n%s", c.conf, got, err, notes)
		}
	}
}

func FuzzMigrate(f *testing.F) {
	f.Add("k example.com:s1:/k\n", "*@example.com k\n", "MultipleSignatures yes\n")
	f.Add("k %:a.:.", "* k\n.0.0 k", "MultipleSignatures yes") // a selector with a final dot
	f.Add("k %:s1:/%/k\n", "* k\n.example.com k:i@x", "InternalHosts !192.0.2.1,192.0.2.0/24\nPeerList ::1")
	f.Add("a.example a.example:s:/k\n", "*@(a|b).example %\n", "ExemptDomains refile:st\nMacroList file:kt\n")
	f.Fuzz(func(t *testing.T, keyTable, signingTable, more string) {
		for _, kind := range []string{"file", "refile"} {
			c, err := Read("opendkim.conf", tables(kind, keyTable, signingTable, more).read)
			if err != nil {
				continue
			}
			m, err := c.Migrate()
			if err != nil {
				continue
			}
			for _, k := range m.Keys {
				domain, ok := domainName(k.Domain)
				selector, okToo := message.DomainToASCII(k.Selector)
				if k.Domain == AnyDomain {
					domain, ok = AnyDomain, true
				}
				if !ok || !okToo || domain != k.Domain || selector != k.Selector {
					t.Errorf("the key %+v has no name", k)
				}
			}
			for _, e := range m.Entries {
				if len(e.Selectors) == 0 && e.SDID == "" {
					t.Errorf("the entry %+v has no key", e)
				}
			}
		}
	})
}
