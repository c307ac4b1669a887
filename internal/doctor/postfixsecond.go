package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"signpost/internal/message"
	"signpost/internal/mta"
	"signpost/milter"
)

// A signerProgram is another program that may sign: how it is known in Postfix' configuration, and whether its
// own configuration, on this host, has it sign.
type signerProgram struct {
	name string
	// words stand in the path of its socket or the host of its address.
	words []string
	ports []string // usual ones
	// signs reports what its configuration says. unknown: it is not on this host, or cannot be read.
	signs  func(h *Host) (signs, unknown bool)
	assume bool // what counts where that is unknown
	remedy string
}

var signerPrograms = []signerProgram{
	{"opendkim", []string{"opendkim"}, []string{"8891", "12301"}, (*Host).opendkimSigns, true,
		"Take it out of Postfix; signpost keys import takes over its keys and tables:"},
	{"dkimpy-milter", []string{"dkimpy"}, []string{"8892"}, func(*Host) (bool, bool) { return false, true }, true,
		"Take it out of Postfix:"},
	{"rspamd", []string{"rspamd"}, []string{"11332"}, (*Host).rspamdSigns, false,
		"Switch its signing off, in /etc/rspamd/local.d/dkim_signing.conf, and run systemctl reload rspamd:"},
}

// secondSigner looks for another program that signs the mail that we sign.
func (p *postfix) secondSigner() {
	if !p.h.signs() || !p.connected() {
		return
	}
	for _, c := range p.chains() {
		p.ourselvesTwice(c)
		for _, l := range c.links {
			if program, ok := p.h.program(l); ok && c.connected() {
				p.second(c, l, program)
			}
		}
	}
	p.amavis()
}

// ourselvesTwice is about a list that leads to listeners of ours twice, both of which sign.
func (p *postfix) ourselvesTwice(c *chain) {
	signing := slices.DeleteFunc(c.ours(), func(l link) bool { return !does(*l.listener, message.RoleSign) })
	if len(signing) < 2 {
		return
	}
	items := mta.List(c.raw())
	last := len(items) - 1
	for last >= 0 && !slices.ContainsFunc(signing, func(l link) bool { return l.Text == items[last] }) {
		last--
	}
	f := Finding{ID: "postfix.second-signer", Subject: c.listSubject(),
		Finding:     fmt.Sprintf("mail passes through Signpost %d times (%s in %s)", len(signing), c.raw(), c.listSubject()),
		Consequence: "each message is signed more than once", Remedy: Remedy{Text: "Leave one address of Signpost in the list."}}
	if last >= 0 {
		f.Remedy = c.setList("Take one of them out:", strings.Join(slices.Delete(items, last, last+1), ", "))
	}
	p.find(f)
}

// program tells which other signer a milter is.
func (h *Host) program(l link) (signerProgram, bool) {
	if l.listener != nil {
		return signerProgram{}, false
	}
	where := strings.ToLower(l.Address)
	_, port, _ := net.SplitHostPort(l.Address)
	for _, s := range signerPrograms {
		if slices.ContainsFunc(s.words, func(w string) bool { return strings.Contains(where, w) }) {
			return s, true
		}
		if l.Network == "tcp" && slices.Contains(s.ports, port) {
			return s, true
		}
	}
	if a, ok := h.opendkimSocket(); ok && l.Network != "" && (a.Network == "unix") == (l.Network == "unix") && a.Addr == l.Address {
		return signerPrograms[0], true
	}
	return signerProgram{}, false
}

func (p *postfix) second(c *chain, l link, s signerProgram) {
	signs, unknown := s.signs(p.h)
	if unknown {
		signs = s.assume
	}
	items := slices.DeleteFunc(mta.List(c.raw()), func(item string) bool { return item == l.Text })
	without := c.setList(s.remedy, strings.Join(items, ", "))
	if s.name == "opendkim" {
		p.stillThere(c, l, signs, without)
	}
	if !signs {
		return
	}
	f := Finding{ID: "postfix.second-signer", Subject: s.name, Finding: "mail passes through " + s.name + " too (" + l.Text + " in " + c.listSubject() + "), which signs as well", Remedy: without}
	if s.name == "rspamd" {
		f.Remedy = Remedy{Text: s.remedy, Lines: []string{"enabled = false;"}}
	}
	p.find(f)
}

// amavis signs as a content filter.
func (p *postfix) amavis() {
	uses := slices.ContainsFunc(p.Services, func(s mta.Service) bool {
		f := p.filter(s)
		return strings.Contains(f, "amavis") || strings.HasSuffix(f, ":10024") || strings.HasSuffix(f, ":10026")
	})
	if !uses || !p.h.amavisSigns() {
		return
	}
	p.find(Finding{ID: "postfix.second-signer", Subject: "amavis", Finding: "mail passes through amavis too (content_filter), which signs as well ($enable_dkim_signing)",
		Remedy: Remedy{Text: "Switch its signing off, in a file of its own such as /etc/amavis/conf.d/60-signpost, and restart amavis:", Lines: []string{"$enable_dkim_signing = 0;"}}})
}

// on is a path of this host; tests have a root of their own.
func (h *Host) on(path string) string { return filepath.Join("/", h.root, path) }

// exists reports whether there is something at a path; a link need not lead anywhere.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// glob returns the texts of the files that match.
func (h *Host) glob(pattern string) []string {
	files, _ := filepath.Glob(h.on(pattern))
	var texts []string
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil {
			texts = append(texts, string(text))
		}
	}
	return texts
}

// configLines are the lines of a file without comments and blanks around.
func (h *Host) configLines(path string) ([]string, error) {
	text, err := os.ReadFile(h.on(path))
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// opendkimSetting is the last line of a name in opendkim.conf.
func (h *Host) opendkimSetting(name string) (string, error) {
	lines, err := h.configLines("/etc/opendkim.conf")
	value := ""
	for _, line := range lines {
		if words := strings.Fields(line); len(words) > 1 && strings.EqualFold(words[0], name) {
			value = words[1]
		}
	}
	return value, err
}

func (h *Host) opendkimSigns() (signs, unknown bool) {
	mode, err := h.opendkimSetting("Mode")
	return mode == "" || strings.Contains(mode, "s"), err != nil
}

func (h *Host) opendkimSocket() (milter.Address, bool) {
	text, err := h.opendkimSetting("Socket")
	if err != nil || text == "" {
		return milter.Address{}, false
	}
	a, err := milter.ParseAddress(text)
	return a, err == nil
}

// stillThere is about opendkim beside us in Postfix' configuration.
func (p *postfix) stillThere(c *chain, l link, signs bool, without Remedy) {
	f := Finding{ID: "opendkim.still-there", Subject: "opendkim", Finding: "Postfix still asks opendkim (" + l.Text + " in " + c.listSubject() + ")", Remedy: without}
	f.Remedy.Commands = append(f.Remedy.Commands, []string{"systemctl", "disable", "--now", "opendkim"})
	if signs {
		f.Severity = Low // second-signer has the harm
	}
	p.find(f)
}

// rspamdSigns reports whether rspamd's module dkim_signing has anything to sign with. It is on by default, but
// signs only with keys that it is given, or that lie in its folder.
func (h *Host) rspamdSigns() (signs, unknown bool) {
	if _, err := os.Stat(h.on("/etc/rspamd")); err != nil {
		return false, true
	}
	for _, dir := range []string{"local.d", "override.d"} {
		lines, err := h.configLines("/etc/rspamd/" + dir + "/dkim_signing.conf")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, true
		}
		for _, line := range lines {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, ";"), "=")
			name, value = strings.TrimSpace(name), strings.Trim(strings.TrimSpace(value), `"`)
			switch {
			case name == "enabled":
				if value == "false" || value == "no" || value == "off" {
					return false, false
				}
			case slices.Contains([]string{"selector", "path", "selector_map", "path_map", "use_redis"}, name), strings.HasPrefix(name, "domain"), strings.HasPrefix(name, "signing_table"):
				signs = true
			}
		}
	}
	keys, _ := filepath.Glob(h.on("/var/lib/rspamd/dkim/*.key"))
	return signs || len(keys) > 0, false
}

var (
	amavisOn  = regexp.MustCompile(`^\$enable_dkim_signing\s*=\s*1\s*;`)
	amavisOff = regexp.MustCompile(`^\$enable_dkim_signing\s*=\s*0\s*;`)
	amavisKey = regexp.MustCompile(`^dkim_key\s*\(`)
)

// amavisSigns reports whether amavis signs and has a key. Its files are read in the order of their names.
func (h *Host) amavisSigns() bool {
	files, _ := filepath.Glob(h.on("/etc/amavis/conf.d/*"))
	files = append(files, h.on("/etc/amavisd.conf"), h.on("/etc/amavisd/amavisd.conf"))
	on, key := false, false
	for _, file := range files {
		rel, err := filepath.Rel(h.on("/"), file)
		if err != nil {
			continue
		}
		lines, _ := h.configLines("/" + rel)
		for _, line := range lines {
			on = (on || amavisOn.MatchString(line)) && !amavisOff.MatchString(line)
			key = key || amavisKey.MatchString(line)
		}
	}
	return on && key
}
