package doctor

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"signpost/internal/message"
	"signpost/internal/mta"
	"signpost/milter"
)

// postfix is what the checks of one instance of Postfix look at.
type postfix struct {
	h *Host
	*mta.Postfix
	// args are the options of postconf(1) and postfix(1) that name the instance.
	args []string
	// submits says that sendmail(1) of this host hands mail to this instance.
	submits bool
	// smtpd has a chain for each service that accepts SMTP.
	smtpd []*chain
	// local is the way of mail that does not come by SMTP; nil if there is none. hasPickup says that
	// sendmail(1) can use it; bounces do in any case.
	local     *chain
	pickup    mta.Service
	hasPickup bool
	// account is the user of Postfix' processes, where it exists.
	account    mta.Account
	hasAccount bool
	others     []*postfix // all instances of this host
	found      []Finding
}

// lookAtMTA looks at Postfix, at Sendmail, or at the one of both that is in use.
func lookAtMTA(ctx context.Context, h *Host) {
	all, other := readPostfixes(ctx, h), readSendmail(h)
	if len(all) == 0 && other == nil && h.Postfix == "" && h.Sendmail == "" {
		h.absent("the MTA's configuration", "neither Postfix' main.cf nor a sendmail.cf is in its usual place: give the folder with --postfix or --sendmail, if an MTA of this host uses Signpost")
	}
	connected := slices.ContainsFunc(all, (*postfix).connected)
	// Of two MTAs on a host, one is usually left over. The one that reaches us is in use. Where the options name
	// both, both count.
	named := h.Postfix != "" && h.Sendmail != ""
	if other != nil && (named || len(all) == 0 || !connected && (other.connected() || !inUse(all))) {
		other.look()
		if !named {
			all = nil
		}
		for _, f := range other.found {
			h.add(f)
		}
	}
	for _, p := range all {
		p.others = all
		p.look(connected)
	}
	processLimit(h, all)
	for _, p := range all {
		for _, f := range p.found {
			h.add(f)
		}
	}
	opendkimAtOurAddress(h)
}

// inUse reports whether one of the instances of Postfix runs.
func inUse(all []*postfix) bool {
	return slices.ContainsFunc(all, func(p *postfix) bool {
		pid, err := os.ReadFile(filepath.Join(p.Value("queue_directory"), "pid/master.pid"))
		if err != nil {
			return false
		}
		comm, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/comm")
		return err == nil && strings.TrimSpace(string(comm)) == "master"
	})
}

// readPostfixes reads the instance that the options name, or the default one, and those that it manages.
func readPostfixes(ctx context.Context, h *Host) []*postfix {
	dir := h.Postfix
	if dir == "" {
		if h.Sendmail != "" {
			return nil
		}
		dir = cmp.Or(h.usualPostfix, defaultPostfix(ctx))
	}
	first, err := readPostfix(ctx, h, dir)
	if err != nil {
		notePostfix(h, err)
		return nil
	}
	first.submits = true
	if h.Postfix == "" {
		first.args = nil
	}
	all := []*postfix{first}
	for _, dir := range first.Instances() {
		p, err := readPostfix(ctx, h, dir)
		if err != nil {
			h.unseen("Postfix' configuration", err.Error())
			continue
		}
		all = append(all, p)
	}
	return all
}

func notePostfix(h *Host, err error) {
	if !errors.Is(err, fs.ErrNotExist) || h.Postfix != "" {
		h.unseen("Postfix' configuration", err.Error())
	}
}

func defaultPostfix(ctx context.Context) string {
	if dir := mta.DefaultPostfix(ctx); dir != "" {
		return dir
	}
	return "/etc/postfix"
}

func readPostfix(ctx context.Context, h *Host, dir string) (*postfix, error) {
	read, err := mta.ReadPostfix(ctx, dir)
	if err != nil {
		return nil, err
	}
	p := &postfix{h: h, Postfix: read, args: []string{"-c", read.Dir}}
	if read.Problem != "" {
		h.unseen("Postfix' own view of its configuration", read.Problem)
	}
	if a, err := mta.LookupAccount(p.Value("mail_owner")); err == nil {
		p.account, p.hasAccount = a, true
	}
	for _, s := range p.Services {
		if s.Command == "smtpd" && !p.disabled(s) {
			p.smtpd = append(p.smtpd, p.chain(s, "smtpd_milters", p.For(s, "receive_override_options")))
		}
	}
	p.local = p.localChain()
	return p, nil
}

// disabled reports whether master(8) leaves the service out, by master_service_disable.
func (p *postfix) disabled(s mta.Service) bool {
	for _, pattern := range mta.List(p.Value("master_service_disable")) {
		if pattern == s.Type || pattern == s.Name+"."+s.Type || pattern == s.Key() {
			return true
		}
	}
	return false
}

// localChain is the way of mail from sendmail(1), pickup(8) and then cleanup(8).
func (p *postfix) localChain() *chain {
	name, options := "cleanup", ""
	for _, s := range p.Services {
		if s.Command == "pickup" && !p.disabled(s) {
			p.pickup, p.hasPickup = s, true
			name, options = p.For(s, "cleanup_service_name"), p.For(s, "receive_override_options")
		}
	}
	if cleanup, ok := p.Service(name, "unix"); ok {
		return p.chain(cleanup, "non_smtpd_milters", options)
	}
	return nil
}

// find notes a finding about this instance.
func (p *postfix) find(f Finding) { p.found = append(p.found, f) }

// look runs the checks. connected says that some instance of this host reaches us.
func (p *postfix) look(connected bool) {
	switch {
	case !connected && p.submits:
		p.notConnected()
	case !p.connected() && !p.submits:
		return // an instance of its own, which is left alone on purpose
	default:
		p.services()
	}
	p.localMail(connected)
	p.bounces()
	for _, c := range p.chains() {
		p.roles(c)
		p.settings(c)
		p.sockets(c)
	}
	p.daemonNames()
	p.filters()
	p.secondSigner()
	p.conversion()
	p.merge()
}

// chains are all ways into this instance.
func (p *postfix) chains() []*chain {
	if p.local == nil {
		return p.smtpd
	}
	return append(slices.Clone(p.smtpd), p.local)
}

// connected reports whether any way into this instance leads to us.
func (p *postfix) connected() bool { return slices.ContainsFunc(p.chains(), (*chain).connected) }

// merge makes one finding of several that a setting of main.cf causes for several services.
func (p *postfix) merge() {
	var merged []Finding
	for _, f := range p.found {
		same := func(o Finding) bool {
			return o.ID == f.ID && o.Subject == f.Subject && o.Remedy.String() == f.Remedy.String()
		}
		if !slices.ContainsFunc(merged, same) {
			merged = append(merged, f)
		}
	}
	p.found = merged
}

// signs reports whether our configuration can sign at all.
func (h *Host) signs() bool {
	return len(h.Config.Signer.Domains) > 0 && h.hasRole(message.RoleSign)
}

// judges reports whether our configuration judges mail at all.
func (h *Host) judges() bool { return h.hasRole(message.RoleVerify) }

// hasRole reports whether a listener signs, or judges.
func (h *Host) hasRole(role message.Role) bool {
	return slices.ContainsFunc(h.Config.Milter.Listen, func(l milter.Listen) bool { return does(l, role) })
}

// does reports whether a listener signs, or judges; those of role auto and seal do both.
func does(l milter.Listen, role message.Role) bool {
	return l.Role == role || l.Role == message.RoleAuto || l.Role == message.RoleSeal || l.Role == ""
}

// postconf is a command that changes this instance, and reload the one that puts it in force.
func (p *postfix) postconf(words ...string) []string {
	return slices.Concat([]string{"postconf"}, p.args, words)
}

func (p *postfix) reload() []string {
	return slices.Concat([]string{"postfix"}, p.args, []string{"reload"})
}

// set is the remedy that gives a parameter the value where the chain has it from: main.cf, or an option -o of
// its service.
func (p *postfix) set(c *chain, text, parameter, value string) Remedy {
	if _, own := c.service.Overridden(parameter); own {
		return p.setService(c.service, text, parameter, value)
	}
	return do(text, p.postconf("-e", strings.TrimSpace(parameter+" = "+value)), p.reload())
}

func (p *postfix) setService(s mta.Service, text, parameter, value string) Remedy {
	return do(text, p.postconf("-P", s.Key()+"/"+parameter+"="+oneWord(value)), p.reload())
}

// oneWord is a list without blanks, which postconf -P does not take.
func oneWord(list string) string {
	items := mta.List(list)
	for i, item := range items {
		if inner, ok := strings.CutPrefix(item, "{"); ok {
			items[i] = "{" + oneWord(strings.TrimSuffix(inner, "}")) + "}"
		}
	}
	return strings.Join(items, ",")
}

// subject is where a parameter of a chain is set.
func (c *chain) subject(parameter string) string {
	if _, own := c.service.Overridden(parameter); own {
		return c.service.Key() + "/" + parameter
	}
	return parameter
}

// within returns the path below a folder, without a slash in front.
func within(dir, path string) (string, bool) {
	rest, ok := strings.CutPrefix(filepath.Clean(path), strings.TrimSuffix(filepath.Clean(dir), "/")+"/")
	return rest, ok
}
