package opendkim

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// ours takes over whose mail is signed: InternalHosts, PeerList, MTA and MacroList. A
// login always makes mail ours, there as here.
func (m *migrator) ours() error {
	c := m.config
	internal, set := c.value("InternalHosts")
	if !set {
		m.Networks = defaultInternal()
	} else {
		h, err := c.clients("InternalHosts")
		if err != nil {
			return err
		}
		m.Notes = append(m.Notes, h.notes...)
		m.Networks = m.notEverybody(internal, h)
	}
	if err := m.peers(); err != nil {
		return err
	}
	loopback := slices.ContainsFunc(m.Networks, func(p netip.Prefix) bool { return p.Contains(netip.IPv6Loopback()) })
	if c.signs() && set && !loopback {
		m.note("%s: as in opendkim, mail from this host over IPv6 is not signed; add ::1/128 to signer.ours.networks if it should be", internal)
	}
	m.external()
	return m.macros()
}

// notEverybody leaves the whole world out, but for this host.
func (m *migrator) notEverybody(s Setting, h hosts) []netip.Prefix {
	networks := h.networks
	for _, p := range h.everybody {
		loopback := netip.MustParsePrefix("127.0.0.0/8")
		if p.Addr().Is6() {
			loopback = netip.MustParsePrefix("::1/128")
		}
		networks = with(networks, loopback)
		m.note("%s: %s is everybody, and is not taken over but for %s: with it, all mail that has your From is signed, a stranger's too, and here no mail at all would be judged; mail without a login is signed only from the networks in signer.ours.networks: add yours", s, p, loopback)
	}
	return networks
}

func (m *migrator) peers() error {
	s, set := m.config.value("PeerList")
	if !set {
		return nil
	}
	h, err := m.config.clients("PeerList")
	if err != nil {
		return err
	}
	for _, p := range h.networks {
		m.Networks = without(m.Networks, p)
	}
	m.Notes = append(m.Notes, h.notes...)
	m.note("%s %s: opendkim neither signs nor judges mail from these clients. They are left out of signer.ours.networks; but a login there is signed all the same, and mail without one is judged: name them in verifier.trusted.networks to let it pass", s, joined(h.networks))
	return nil
}

func joined(networks []netip.Prefix) string {
	var words []string
	for _, p := range networks {
		words = append(words, p.String())
	}
	return strings.Join(words, ", ")
}

// external tells of ExternalIgnoreList, which only silences a log line.
func (m *migrator) external() {
	if s, set := m.config.value("ExternalIgnoreList"); set {
		m.note("%s %s: it does not decide what is signed, it only silences a line of opendkim's log; nothing is taken over", s, s.Value)
	}
}

// macros takes over MTA and MacroList.
func (m *migrator) macros() error {
	c := m.config
	macros, set := c.value("MacroList")
	about := map[string]bool{}
	if set {
		if kind, _ := kindOf(macros.Value); kind == "refile" {
			return fmt.Errorf("opendkim does not start: %s: its data set has to be of the type file or csl", macros)
		}
		d, err := c.dataSet("MacroList")
		if err != nil {
			return err
		}
		for _, r := range d.rows {
			about[r.key] = true
			m.macro(d, r)
		}
	}
	s, set := c.value("MTA")
	if !set {
		return nil
	}
	if about["daemon_name"] {
		m.note("%s: opendkim overrules it by what MacroList says of daemon_name; it is left out", s)
		return nil
	}
	d, err := c.dataSet("MTA")
	if err != nil {
		return err
	}
	for _, r := range d.rows {
		m.daemon(r.key)
	}
	m.note("%s: taken over as signer.ours.daemon_names", s)
	return nil
}

func (m *migrator) daemon(name string) {
	if name != "" && !slices.Contains(m.DaemonNames, name) {
		m.DaemonNames = append(m.DaemonNames, name)
	}
}

func (m *migrator) macro(d *dataSet, r row) {
	where := d.where(r)
	switch {
	case strings.HasPrefix(r.key, "{"):
		m.note("%s: opendkim puts braces around the name itself and never finds this macro, so it made no mail yours; write it without braces and import again if it should", where)
	case r.key == "daemon_name" && r.value == "":
		m.note("%s: without a value, every connection has this macro and everybody's mail was signed; it is not taken over: name the daemons in signer.ours.daemon_names", where)
	case r.key == "daemon_name":
		for name := range strings.SplitSeq(r.value, "|") {
			m.daemon(strings.TrimSpace(name))
		}
		m.note("%s: taken over as signer.ours.daemon_names", where)
	case (r.key == "auth_type" || r.key == "auth_authen") && r.value == "":
		m.note("%s: this is signer.ours.authenticated, which is on", where)
	default:
		m.note("%s: a message is not made yours by this macro here, and its mail is not signed for it; use signer.ours.networks or daemon_names, or a listener with role: sign in milter.listen", where)
	}
}

// settings speaks of all other lines.
func (m *migrator) settings() error {
	c := m.config
	m.mode()
	m.canonicalization()
	if err := m.fields(); err != nil {
		return err
	}
	m.exemptions()
	if s, ok := c.value("SenderHeaders"); ok && !strings.EqualFold(s.Value, "From") {
		m.note("%s %s: opendkim finds the key by the first of these fields that is there; here it is From alone, so a message whose From is of a domain without an entry is not signed by its Sender or list; give those domains entries, or have the list write a From of its own", s, s.Value)
	}
	if s, ok := c.value("DontSignMailTo"); ok {
		m.note("%s %s: mail to these recipients is signed like all other; there is no such exception here", s, s.shown())
	}
	if s, ok := c.value("SignatureAlgorithm"); ok && !strings.HasSuffix(strings.ToLower(s.Value), "-sha256") {
		m.note("%s %s: RSA keys sign with rsa-sha256, since no verifier accepts SHA-1 (RFC 8301)", s, s.Value)
	}
	if s, ok := c.value("KeyTable"); ok {
		for _, name := range []string{"Domain", "KeyFile", "Selector"} {
			if ignored, set := c.value(name); set {
				m.note("%s %s: opendkim takes no account of it beside %s; nothing is taken over", ignored, ignored.shown(), s.Name)
			}
		}
	}
	if s, ok := c.value("SubDomains"); ok && c.signing != nil && c.yes("SubDomains") {
		m.note("%s: opendkim takes no account of it beside SigningTable; nothing is taken over", s)
	}
	m.fates()
	return nil
}

func (m *migrator) mode() {
	if s, ok := m.config.value("Mode"); ok && !strings.Contains(s.Value, "v") {
		m.note("%s %s: opendkim judges no mail; Signpost judges all that is not yours, in monitor mode, and writes Authentication-Results into it; to have it sign alone, write role: sign for the listener in milter.listen", s, s.Value)
	}
}

func (m *migrator) canonicalization() {
	s, ok := m.config.value("Canonicalization")
	if !ok {
		if m.config.signs() {
			m.note("Canonicalization is not set, which means simple/simple; here it is relaxed/relaxed, which more mail survives on its way; to keep it, write signer.canonicalization: simple/simple")
		}
		return
	}
	header, body, both := strings.Cut(strings.ToLower(s.Value), "/")
	if !both {
		body = "simple"
	}
	for _, one := range []string{header, body} {
		if one != "simple" && one != "relaxed" {
			m.note("%s %s: this is none, and opendkim does not start with it; here it is relaxed/relaxed", s, s.Value)
			return
		}
	}
	if m.Canonicalization = header + "/" + body; m.Canonicalization == "relaxed/relaxed" {
		m.Canonicalization = ""
	}
}

// exemptions tells where mail of ExemptDomains is signed by an entry for others.
func (m *migrator) exemptions() {
	s, ok := m.config.value("ExemptDomains")
	if !ok {
		return
	}
	m.note("%s %s: opendkim does nothing with mail of these domains; no entry is made for them, but an entry that they come under signs them (a parent with subdomains, a pattern, \"*\"), and mail from outside is judged", s, s.Value)
	for _, r := range m.config.exempt.rows {
		for _, e := range m.Entries {
			under := e.Domain == AnyDomain || (e.Subdomains && strings.HasSuffix(lower(r.key), "."+e.Domain)) ||
				(strings.Contains(e.Domain, "*") && glob(e.Domain, lower(r.key)))
			if under && !m.has(lower(r.key)) {
				m.note("%s: it is signed here, by the entry %s", m.config.exempt.where(r), e.Domain)
			}
		}
	}
}

func (m *migrator) has(domain string) bool {
	_, there := m.entries[domain]
	return there
}

// fates tells what becomes of the lines that are about something else.
func (m *migrator) fates() {
	var nothing []string
	for _, s := range m.config.all {
		o := options[strings.ToLower(s.Name)]
		counts, _ := m.config.value(s.Name)
		switch {
		case counts != s:
			m.note("%s %s: %s counts, which comes later", s, s.shown(), counts)
		case o.fate == "":
		case o.fate == quiet, o.kind == boolean && !m.config.yes(s.Name) && o.name != "RequireSafeKeys":
			nothing = append(nothing, fmt.Sprintf("%s (%d)", s.Name, s.Line))
		default:
			m.note("%s %s: %s", s, s.shown(), o.fate)
		}
	}
	if len(nothing) > 0 {
		m.note("nothing depends on these lines here: %s", strings.Join(nothing, ", "))
	}
}

// credentials are the user and the password in the URL of a database or a server.
var credentials = regexp.MustCompile(`://[^/@]*@`)

// shown is the value without passwords.
func (s Setting) shown() string {
	if s.Name == "LDAPBindPassword" {
		return "…"
	}
	return credentials.ReplaceAllString(s.Value, "://…@")
}
