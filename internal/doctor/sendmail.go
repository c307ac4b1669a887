package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"signpost/internal/message"
	"signpost/internal/mta"
	"signpost/milter"
)

// defaultSendmail is the folder of Sendmail's configuration.
const defaultSendmail = "/etc/mail"

// sendmail is what the checks of Sendmail look at.
type sendmail struct {
	h *Host
	*mta.Sendmail
	dir   string
	found []Finding
}

// readSendmail reads Sendmail's configuration, unless the options name Postfix.
func readSendmail(h *Host) *sendmail {
	dir := h.Sendmail
	if dir == "" {
		if h.Postfix != "" {
			return nil
		}
		dir = h.on(defaultSendmail)
	}
	read, err := mta.ReadSendmail(dir)
	switch {
	case err == nil:
		return &sendmail{h: h, Sendmail: read, dir: dir}
	case h.Sendmail == "" && errors.Is(err, fs.ErrNotExist):
		return nil
	}
	h.unseen("Sendmail's configuration", err.Error())
	return nil
}

// daemons are Sendmail's ports; without any line there is one.
func (s *sendmail) daemons() []mta.SendmailDaemon {
	if len(s.Daemons) == 0 {
		return []mta.SendmailDaemon{{Name: "MTA", Port: "smtp"}}
	}
	return s.Daemons
}

// listener returns our listener that a filter's address leads to.
func (s *sendmail) listener(f mta.SendmailFilter) (milter.Listen, bool) {
	at, err := milter.ParseAddress(f.Socket)
	if err != nil {
		return milter.Listen{}, false
	}
	for _, l := range s.h.Config.Milter.Listen {
		if at.Network == "unix" && l.Address.Network == "unix" {
			if leadsTo(mta.View{Root: "/", Dir: "/"}, at.Addr, l.Address.Addr) {
				return l, true
			}
		} else if at.Network != "unix" && l.Address.Network != "unix" && s.h.tcpMeets(at.Addr, l.Address) {
			return l, true
		}
	}
	return milter.Listen{}, false
}

// ours are the filters of a port that lead to us.
func (s *sendmail) ours(d mta.SendmailDaemon) []mta.SendmailFilter {
	return slices.DeleteFunc(s.Asked(d), func(f mta.SendmailFilter) bool { _, ok := s.listener(f); return !ok })
}

func (s *sendmail) connected() bool {
	return slices.ContainsFunc(s.daemons(), func(d mta.SendmailDaemon) bool { return len(s.ours(d)) > 0 })
}

// look runs the checks.
func (s *sendmail) look() {
	if !s.connected() {
		s.notConnected()
		return
	}
	for _, d := range s.daemons() {
		s.port(d)
	}
	for _, f := range s.Filters {
		if l, ok := s.listener(f); ok {
			s.filter(f)
			s.folders(l)
		}
	}
	s.opendkim()
	if s.h.signs() {
		s.macros()
		s.rewrites()
	}
}

func (s *sendmail) find(f Finding) { s.found = append(s.found, f) }

// edit is the remedy of lines in the .mc file.
func (s *sendmail) edit(text string, lines ...string) Remedy {
	return Remedy{Text: fmt.Sprintf("%s in %s, then make sendmail.cf anew (make -C %s, on Debian sendmailconfig) and restart Sendmail:", text, filepath.Join(s.dir, "sendmail.mc"), s.dir), Lines: lines}
}

// notConnected says why none of Sendmail's filters is ours.
func (s *sendmail) notConnected() {
	why := "no INPUT_MAIL_FILTER has an address of Signpost (" + s.h.listenersText() + ")"
	remedy := s.edit("Write", s.filterLine())
	for _, f := range s.Filters {
		_, ours := s.listener(f)
		at, err := milter.ParseAddress(f.Socket)
		switch {
		case ours:
			why = fmt.Sprintf("the filter %s is defined, but InputMailFilters (confINPUT_MAIL_FILTERS) does not have it, so that it is not asked", f.Name)
			remedy = s.edit("Set, behind the INPUT_MAIL_FILTER lines,", "define(`confINPUT_MAIL_FILTERS', `"+strings.Join(append([]string{f.Name}, s.Order...), ",")+"')dnl")
		case err != nil:
			why += fmt.Sprintf("; the filter %s has %s, which is no address", f.Name, f.Socket)
		case s.silentAt(at):
			why += fmt.Sprintf("; nothing listens at that of the filter %s, %s", f.Name, f.Socket)
		}
	}
	if filepath.Ext(s.Path) == ".cf" && s.inMC() {
		why = "sendmail.mc has the address of Signpost, but sendmail.cf does not: it was not made anew"
		remedy = Remedy{Text: "Make it, and restart Sendmail:", Commands: [][]string{{"make", "-C", s.dir}, {"systemctl", "restart", "sendmail"}}}
	}
	s.find(Finding{ID: "sendmail.not-connected", Subject: s.Path, Finding: why, Remedy: remedy})
}

// inMC reports whether the .mc file has a filter that leads to us.
func (s *sendmail) inMC() bool {
	mc := mta.ParseSendmailMC(s.MC)
	return slices.ContainsFunc(mc.Filters, func(f mta.SendmailFilter) bool { _, ok := s.listener(f); return ok })
}

func (s *sendmail) silentAt(a milter.Address) bool {
	c := &chain{p: &postfix{h: s.h, Postfix: &mta.Postfix{}}}
	network := "tcp"
	if a.Network == "unix" {
		network = "unix"
	}
	return c.silent(mta.Milter{Network: network, Address: a.Addr})
}

// filterLine is the line of the .mc file for our first listener, in libmilter's form.
func (s *sendmail) filterLine() string {
	socket := "inet:8891@127.0.0.1"
	for _, l := range s.h.Config.Milter.Listen {
		socket = libmilterForm(l.Address)
		break
	}
	return "INPUT_MAIL_FILTER(`signpost', `S=" + socket + ", F=T, T=C:30s;S:30s;R:60s;E:5m')dnl"
}

func libmilterForm(a milter.Address) string {
	if a.Network == "unix" {
		return "local:" + a.Addr
	}
	c := &chain{p: &postfix{Postfix: &mta.Postfix{}}}
	form := strings.TrimPrefix(c.postfixForm(milter.Listen{Address: a}), "inet:")
	at := strings.LastIndexByte(form, ':')
	host, scheme := strings.Trim(form[:at], "[]"), "inet:"
	if strings.Contains(host, ":") {
		scheme = "inet6:"
	}
	return scheme + form[at+1:] + "@" + host
}

// port looks at one port: one that is not for content filters has to ask us, with a listener of the right role.
func (s *sendmail) port(d mta.SendmailDaemon) {
	ours := s.ours(d)
	switch {
	case len(ours) == 0 && !isLoopback(d.Addr) && d.Own:
		s.find(Finding{ID: "sendmail.not-connected", Subject: d.Name, Severity: High,
			Finding: fmt.Sprintf("the port %s (%s) has InputMailFilters of its own, without Signpost", d.Name, d.Port),
			Remedy:  s.edit("Take InputMailFilters out of the DAEMON_OPTIONS of "+d.Name, "DAEMON_OPTIONS(`Name="+d.Name+", Port="+d.Port+"')dnl")})
	case d.Own && isLoopback(d.Addr) && len(ours) > 0 && s.signsAt(ours):
		s.find(Finding{ID: "sendmail.not-connected", Subject: d.Name, Severity: Medium, Consequence: "mail that a content filter hands back there comes from 127.0.0.1, and is signed, that of strangers too",
			Finding: fmt.Sprintf("the port %s (%s) on loopback asks Signpost", d.Name, d.Port),
			Remedy:  s.edit("Give the port an empty list", "DAEMON_OPTIONS(`Name="+d.Name+", Port="+d.Port+", Addr="+d.Addr+", InputMailFilters=')dnl")})
	}
}

func (s *sendmail) signsAt(filters []mta.SendmailFilter) bool {
	return s.h.signs() && slices.ContainsFunc(filters, func(f mta.SendmailFilter) bool {
		l, ok := s.listener(f)
		return ok && does(l, message.RoleSign)
	})
}

// opendkim looks for opendkim beside us.
func (s *sendmail) opendkim() {
	old, known := s.h.opendkimSocket()
	for _, f := range s.Filters {
		at, err := milter.ParseAddress(f.Socket)
		asked := slices.ContainsFunc(s.daemons(), func(d mta.SendmailDaemon) bool {
			return slices.ContainsFunc(s.Asked(d), func(o mta.SendmailFilter) bool { return o.Name == f.Name })
		})
		_, ours := s.listener(f)
		if !asked || ours || !strings.Contains(strings.ToLower(f.Name+f.Socket), "opendkim") && (!known || err != nil || at != old) {
			continue
		}
		remedy := s.edit("Take out the line", "INPUT_MAIL_FILTER(`"+f.Name+"', `S="+f.Socket+"')dnl")
		remedy.Commands = [][]string{{"systemctl", "disable", "--now", "opendkim"}}
		s.find(Finding{ID: "opendkim.still-there", Subject: "opendkim", Finding: fmt.Sprintf("Sendmail still asks opendkim (the filter %s, %s)", f.Name, f.Socket), Remedy: remedy})
	}
}

// filter looks at the flags and the timeouts of our filter.
func (s *sendmail) filter(f mta.SendmailFilter) {
	consequence := map[string]string{
		"":  "while Signpost does not answer, mail goes out unsigned and comes in unjudged",
		"R": "while Signpost does not answer, every message is refused for good",
	}[f.Flags]
	if consequence != "" {
		s.find(Finding{ID: "sendmail.default-action", Subject: f.Name, Consequence: consequence,
			Finding: fmt.Sprintf("the filter %s has F=%s", f.Name, f.Flags), Remedy: s.edit("Write F=T", s.withSocket(f, "F=T"))})
	}
	for letter, least := range map[string]struct {
		time  string
		limit int64
	}{"R": {"60s", int64(shortestContent)}, "E": {"5m", int64(s.h.Config.Milter.MessageTimeout)}} {
		text, set := f.Timeouts[letter]
		if t, ok := mta.Duration(text); set && ok && int64(t) < least.limit {
			s.find(Finding{ID: "sendmail.timeouts", Subject: f.Name,
				Finding: fmt.Sprintf("the filter %s has T=%s:%s; Signpost itself decides within %s (milter.message_timeout)", f.Name, letter, text, s.h.Config.Milter.MessageTimeout),
				Remedy:  s.edit("Write", s.withSocket(f, "F=T"))})
		}
	}
}

func (s *sendmail) withSocket(f mta.SendmailFilter, flags string) string {
	return "INPUT_MAIL_FILTER(`" + f.Name + "', `S=" + f.Socket + ", " + flags + ", T=C:30s;S:30s;R:60s;E:5m')dnl"
}

// folders: Sendmail refuses a socket below a folder that others may write to.
func (s *sendmail) folders(l milter.Listen) {
	if l.Address.Network != "unix" {
		return
	}
	steps, _ := mta.View{Root: "/", Dir: "/"}.Resolve(l.Address.Addr)
	for _, step := range steps {
		if mode := step.Info.Mode(); mode.IsDir() && mode.Perm()&0o022 != 0 && mode&fs.ModeSticky == 0 {
			s.find(Finding{ID: "sendmail.socket-permission", Subject: l.Address.Addr,
				Finding: fmt.Sprintf("Sendmail refuses a socket below %s, which a group or everybody may write to (mode %04o)", step.Path, mode.Perm()),
				Remedy:  do("Take the right away, or move the socket to /run/signpost:", []string{"chmod", "go-w", step.Path})})
			return
		}
	}
}

// macros: Signpost asks for its own, so that lists that lack some do no harm by themselves.
func (s *sendmail) macros() {
	for _, n := range []struct {
		option, mc string
		needed     []string
	}{
		{"Milter.macros.connect", "confMILTER_MACROS_CONNECT", []string{"j", "{daemon_name}"}},
		{"Milter.macros.envfrom", "confMILTER_MACROS_ENVFROM", []string{"i", "{auth_type}", "{auth_authen}"}},
	} {
		value, set := s.Option(n.option)
		has := mta.List(value)
		lacking := slices.DeleteFunc(slices.Clone(n.needed), func(m string) bool { return slices.Contains(has, m) })
		if !set || len(lacking) == 0 {
			continue
		}
		s.find(Finding{ID: "sendmail.macros", Subject: n.option,
			Finding: fmt.Sprintf("%s is set, without %s", n.option, strings.Join(lacking, " ")),
			Remedy:  s.edit("Write", "define(`"+n.mc+"', `"+strings.Join(append(has, lacking...), ", ")+"')dnl")})
	}
}

// rewrites looks for what changes signed fields on delivery, when milters are done.
func (s *sendmail) rewrites() {
	as, domains := s.Masquerade()
	if as != "" {
		for _, domain := range append(domains, s.OwnNames()...) {
			if !strings.EqualFold(domain, as) && (s.h.signsFor(strings.ToLower(domain)) || s.h.signsFor(strings.ToLower(as))) {
				s.rewritten("masquerading", fmt.Sprintf("MASQUERADE_AS(%s) writes %s in place of %s in From, after Signpost has seen the message", as, as, domain),
					s.edit("Take the masquerading out, and let programs write the right From; take out", "MASQUERADE_AS(`"+as+"')dnl"))
				break
			}
		}
	}
	if generics, on := s.Generics(); on {
		for _, domain := range append(generics, s.OwnNames()...) {
			if s.h.signsFor(strings.ToLower(domain)) {
				s.rewritten("genericstable", fmt.Sprintf("the genericstable rewrites addresses of %s in From, after Signpost has seen the message", domain),
					s.edit("Take it out, and let programs write the right From; take out", "FEATURE(`genericstable')dnl"))
				break
			}
		}
	}
	s.conversions()
}

func (s *sendmail) rewritten(subject, finding string, remedy Remedy) {
	s.find(Finding{ID: "sendmail.rewrites", Subject: subject, Finding: finding, Remedy: remedy})
}

// conversions looks at options that the file sets, and that change what was signed.
func (s *sendmail) conversions() {
	if chars, set := s.Option("MustQuoteChars"); set && chars != "" {
		s.rewritten("MustQuoteChars", fmt.Sprintf("MustQuoteChars is %q: Sendmail puts names in From and To in quotes that have such a character, after they were signed", chars),
			s.edit("Write", "define(`confMUST_QUOTE_CHARS', `')dnl"))
	}
	if v, _ := s.Option("SevenBitInput"); isTrue(v) {
		s.find(Finding{ID: "sendmail.rewrites", Subject: "SevenBitInput", Consequence: "8-bit text arrives as other letters",
			Finding: "SevenBitInput is on: Sendmail clears the eighth bit of all input", Remedy: s.edit("Write", "define(`confSEVEN_BIT_INPUT', `False')dnl")})
	}
	if v, _ := s.Option("EightBitMode"); strings.HasPrefix(strings.ToLower(v), "m") {
		s.rewritten("EightBitMode", "EightBitMode is "+v+": Sendmail encodes 8-bit mail anew for hosts without 8BITMIME, after it was signed",
			s.edit("Write", "define(`confEIGHT_BIT_HANDLING', `pass8')dnl"))
	}
}

func isTrue(v string) bool {
	return v != "" && strings.ContainsRune("tTyY1", rune(v[0]))
}
