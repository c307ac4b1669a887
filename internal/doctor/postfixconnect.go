package doctor

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"signpost/internal/message"
	"signpost/internal/mta"
	"signpost/milter"
	"signpost/verifier"
)

// notConnected is about an MTA that does not ask us at all.
func (p *postfix) notConnected() {
	if len(p.h.Config.Milter.Listen) == 0 {
		p.h.absent("Postfix' way to Signpost", "milter.listen is empty: the sockets are systemd's, and Postfix' addresses are not compared with them")
		return
	}
	wrong := false
	for _, c := range p.chains() {
		wrong = p.wrongAddress(c) || wrong
	}
	if wrong || p.switchedOff() {
		return
	}
	var commands [][]string
	what := "no smtpd_milters and no non_smtpd_milters"
	if len(p.smtpd) > 0 {
		commands = append(commands, p.withOursInMain(p.smtpd[0], "smtpd_milters", p.smtpd[0].role()))
	}
	if p.local != nil && p.h.signs() {
		commands = append(commands, p.withOursInMain(p.local, "non_smtpd_milters", message.RoleSign))
		if !p.filtersBounces() {
			commands = append(commands, p.filterBounces())
		}
	}
	commands = slices.DeleteFunc(append(commands, p.withOursInOwnLists()...), func(words []string) bool { return words == nil })
	if len(commands) == 0 {
		return
	}
	for _, c := range p.chains() {
		if l, ok := c.listenerFor(c.role()); ok && (c != p.local || p.h.signs()) {
			if words := c.leaveChroot(l); words != nil {
				commands = append(commands, words)
			}
		}
	}
	commands = append(commands, p.reload())
	p.find(Finding{ID: "postfix.not-connected", Subject: p.Dir,
		Finding: fmt.Sprintf("%s of this Postfix has an address of Signpost (%s)", what, p.h.listenersText()),
		Remedy:  do("Give Postfix the address of Signpost:", commands...)})
}

// switchedOff is about an address of ours that stands in Postfix' lists, where another parameter switches all
// milters off.
func (p *postfix) switchedOff() bool {
	for _, c := range p.smtpd {
		switch {
		case c.mapped:
			p.find(Finding{ID: "postfix.not-connected", Subject: "smtpd_milter_maps",
				Finding: "smtpd_milter_maps switches milters off for all clients: " + p.For(c.service, "smtpd_milter_maps"),
				Remedy:  p.set(c, "Take it out:", "smtpd_milter_maps", "")})
			return true
		case slices.ContainsFunc(c.offLinks, func(l link) bool { return l.listener != nil }):
			p.find(Finding{ID: "postfix.not-connected", Subject: c.subject("receive_override_options"),
				Finding: "receive_override_options has no_milters, so that no milter is asked",
				Remedy:  c.withMilters()})
			return true
		}
	}
	return false
}

// withMilters is the remedy that takes no_milters out.
func (c *chain) withMilters() Remedy {
	rest := slices.DeleteFunc(mta.List(c.p.For(c.service, "receive_override_options")), func(o string) bool { return o == "no_milters" })
	return c.p.set(c, "Take no_milters out:", "receive_override_options", strings.Join(rest, ","))
}

// withOursInMain is the command that puts our listener in front of a list of main.cf.
func (p *postfix) withOursInMain(c *chain, parameter string, role message.Role) []string {
	l, ok := c.listenerFor(role)
	if !ok {
		return nil
	}
	before := strings.Join(strings.Fields(p.Raw(parameter)), " ")
	if refersTo(before, "smtpd_milters") && len(p.smtpd) > 0 {
		if first, ok := p.smtpd[0].listenerFor(p.smtpd[0].role()); ok && first == l {
			return nil // the list that it refers to gets the address
		}
		before = p.Value(parameter)
	}
	value := c.postfixForm(l)
	if before != "" {
		value += ", " + before
	}
	return p.postconf("-e", parameter+" = "+value)
}

// withOursInOwnLists are the commands that put our listeners in front of the lists that services have beside
// the one of main.cf.
func (p *postfix) withOursInOwnLists() (commands [][]string) {
	for _, c := range p.smtpd {
		parameter, own := c.source()
		l, ok := c.listenerFor(c.role())
		deliberate := p.takesBack(c.service) || p.loopbackOnly(c.service) && !p.submission(c.service)
		if !ok || deliberate || !own && parameter == "smtpd_milters" || c.role() == message.RoleSign && !p.h.signs() {
			continue
		}
		value := strings.TrimSuffix(c.postfixForm(l)+", "+c.raw(), ", ")
		words := c.setList("", value).Commands[0]
		if !slices.ContainsFunc(commands, func(o []string) bool { return slices.Equal(o, words) }) {
			commands = append(commands, words)
		}
	}
	return commands
}

// refersTo reports whether a list contains the value of another parameter.
func refersTo(list, parameter string) bool {
	return slices.ContainsFunc(mta.List(list), func(item string) bool {
		name, ok := alias(item)
		return ok && name == parameter
	})
}

// listenersText names our listeners.
func (h *Host) listenersText() string {
	var all []string
	for _, l := range h.Config.Milter.Listen {
		all = append(all, l.Address.String())
	}
	return strings.Join(all, ", ")
}

// wrongAddress looks for an address in the chain that is meant to be ours but is not. It reports whether
// there is one.
func (p *postfix) wrongAddress(c *chain) bool {
	l, why := c.misaddressed()
	if why == "" {
		return false
	}
	ours, ok := c.listenerFor(c.role())
	if !ok {
		return false
	}
	form := c.postfixForm(ours)
	p.find(Finding{ID: "postfix.wrong-address", Subject: c.listSubject(),
		Finding: fmt.Sprintf("%s has %s, %s; Signpost listens at %s", c.listSubject(), l.Text, why, p.h.listenersText()),
		Remedy:  c.visible(ours, c.setList("Put the address of Signpost in its place:", c.replaced(l.Text, l.with(form))))})
	return true
}

// misaddressed returns the milter of the chain that is most likely meant to be ours, but at whose address there
// is nothing, and why.
func (c *chain) misaddressed() (best link, why string) {
	most := 0
	for _, l := range c.links {
		reason := "where nothing listens"
		switch {
		case l.listener != nil:
			continue
		case l.Network == "":
			reason = "which Postfix does not understand: it takes inet:HOST:PORT and unix:PATH"
		case !c.silent(l.Milter):
			continue
		}
		if points := c.resemblance(l); points > most {
			best, why, most = l, reason, points
		}
	}
	return best, why
}

// others are words in the addresses of programs that are none of ours, and ports that they have.
var others = struct{ words, ports []string }{
	[]string{"rspamd", "opendkim", "opendmarc", "openarc", "dkimpy", "spamass", "spamd", "clamav", "clamd", "amavis", "milter-greylist", "postsrs", "authentication_milter"},
	[]string{"11332", "7357", "783", "12345"},
}

// resemblance says how much an address looks like one of ours; 0 is that of another program.
func (c *chain) resemblance(l link) int {
	text := strings.ToLower(l.Text)
	_, port, _ := net.SplitHostPort(l.Address)
	if containsAny(text, others.words...) || slices.Contains(others.ports, port) {
		return 0
	}
	points := 1
	if strings.Contains(text, "signpost") {
		points += 4
	}
	parsed, err := milter.ParseAddress(strings.Trim(l.Text, "{ }"))
	for _, ours := range c.p.h.Config.Milter.Listen {
		if err == nil && parsed == ours.Address {
			points += 8
		}
		_, ourPort, _ := net.SplitHostPort(ours.Address.Addr)
		if port != "" && port == ourPort || filepath.Base(l.Address) == filepath.Base(ours.Address.Addr) {
			points += 2
		}
	}
	return points
}

// services looks for ways by SMTP that miss us while others do not.
func (p *postfix) services() {
	for _, c := range p.smtpd {
		if !c.connected() && p.needsUs(c) && !p.wrongAddress(c) {
			p.withoutMilter(c)
		}
	}
}

// needsUs reports whether the mail of a service is meant to pass through us.
func (p *postfix) needsUs(c *chain) bool {
	s := c.service
	_, set := s.Overridden("smtpd_milters")
	deliberate := p.loopbackOnly(s) && (c.off || set) && !p.submission(s)
	if deliberate || p.takesBack(s) || p.seenBehindFilter(c.role()) && p.filter(s) != "" || p.For(s, "smtpd_proxy_filter") != "" {
		return false
	}
	if c.role() == message.RoleVerify {
		return p.h.judges() && p.judgesElsewhere(c)
	}
	return p.h.signs()
}

// judgesElsewhere reports whether mail of strangers is meant to be judged: the list for all services has us, or
// another service for strangers does, or refusals are switched on. Else Signpost is there for
// the services of users alone, and another program may judge.
func (p *postfix) judgesElsewhere(c *chain) bool {
	plain := p.chain(mta.Service{Name: c.service.Name, Type: c.service.Type, Chroot: c.service.Chroot}, "smtpd_milters", "")
	return plain.connected() || p.h.Config.Verifier.Mode == verifier.Enforce ||
		slices.ContainsFunc(p.smtpd, func(o *chain) bool { return p.strangers(o.service) && o.connected() })
}

func (p *postfix) withoutMilter(c *chain) {
	f := Finding{ID: "postfix.service-without-milter", Subject: c.service.Key(),
		Finding:     fmt.Sprintf("the service %s asks no milter of Signpost (smtpd_milters: %s)", c.service.Key(), orNone(p.For(c.service, "smtpd_milters"))),
		Consequence: "mail that comes in there is not judged, and forged results stay in it"}
	if c.role() == message.RoleSign {
		f.Consequence = "mail of the clients of this service leaves unsigned"
	}
	if c.mapped {
		f.Finding = "smtpd_milter_maps switches milters off for all clients: " + p.For(c.service, "smtpd_milter_maps")
		f.Remedy = p.set(c, "Take it out:", "smtpd_milter_maps", "")
		p.find(f)
		return
	}
	if !c.off {
		f.Remedy = c.withOurs("Give the service the address of Signpost:", c.role())
		p.find(f)
		return
	}
	f.Finding = fmt.Sprintf("the service %s asks no milter: its receive_override_options have no_milters", c.service.Key())
	f.Remedy = c.withMilters()
	p.find(f)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// localMail looks at mail that does not come by SMTP. Of several instances, only the one that sendmail(1)
// uses has any.
func (p *postfix) localMail(connected bool) {
	if p.local == nil || !p.hasPickup || !p.submits || !connected || !p.h.signs() {
		return
	}
	if p.local.has(message.RoleSign) {
		p.localNetwork()
		return
	}
	if p.local.connected() || p.relaysToUs() || p.Value("content_filter") != "" && p.seenBehindFilter(message.RoleSign) || p.wrongAddress(p.local) {
		return // the role is another check's
	}
	if slices.ContainsFunc(p.local.offLinks, func(l link) bool { return l.listener != nil }) {
		pickup := &chain{p: p, service: p.pickup}
		p.find(Finding{ID: "postfix.local-mail-unsigned", Subject: pickup.subject("receive_override_options"),
			Finding: "receive_override_options of pickup have no_milters, so that no milter sees local mail", Remedy: pickup.withMilters()})
		return
	}
	p.find(Finding{ID: "postfix.local-mail-unsigned", Subject: "non_smtpd_milters",
		Finding: fmt.Sprintf("non_smtpd_milters has no address of Signpost (it is: %s)", orNone(p.For(p.local.service, "non_smtpd_milters"))),
		Remedy:  p.local.withOurs("Sign mail of programs on this host too:", message.RoleSign)})
}

// localNetwork: Postfix plays a client 127.0.0.1 for such mail, so that address has to be ours.
func (p *postfix) localNetwork() {
	ours := slices.ContainsFunc(p.h.Config.Signer.Outbound.Networks, func(n netip.Prefix) bool { return n.Contains(loopback) })
	if ours || p.local.hasOnly(message.RoleSign) {
		return
	}
	var networks []string
	for _, n := range p.h.Config.Signer.Outbound.Networks {
		networks = append(networks, n.String())
	}
	networks = append(networks, "127.0.0.0/8", `"::1/128"`)
	p.find(Finding{ID: "postfix.local-mail-unsigned", Subject: "signer.ours.networks", Severity: Medium,
		Finding: "signer.ours.networks has no 127.0.0.1, the client that Postfix states for mail of programs on this host",
		Remedy:  Remedy{Text: "Add it in signpost.yaml, and reload:", Lines: []string{"signer: {ours: {networks: [" + strings.Join(networks, ", ") + "]}}"}}})
}

// relaysToUs reports whether the instance hands all of its mail by SMTP to another instance, at a service that
// asks us.
func (p *postfix) relaysToUs() bool {
	relay := p.Value("relayhost")
	at := strings.LastIndexByte(relay, ':')
	if at < 0 || !isLoopback(relay[:at]) {
		return false
	}
	port := portNumber(relay[at+1:])
	for _, o := range p.others {
		if o != p && slices.ContainsFunc(o.smtpd, func(c *chain) bool { return portNumber(c.service.Port()) == port && c.has(message.RoleSign) }) {
			return true
		}
	}
	return false
}

func (p *postfix) filtersBounces() bool {
	return slices.Contains(mta.List(p.Value("internal_mail_filter_classes")), "bounce")
}

func (p *postfix) filterBounces() []string {
	classes := append(mta.List(p.Value("internal_mail_filter_classes")), "bounce")
	return p.postconf("-e", "internal_mail_filter_classes = "+strings.Join(classes, ", "))
}

// bounces looks at the mail that Postfix writes itself. It takes the way of non_smtpd_milters.
func (p *postfix) bounces() {
	signed := p.local != nil && p.local.has(message.RoleSign) || p.has("postfix.local-mail-unsigned")
	if !signed || !p.h.signs() || p.filtersBounces() || p.relaysToUs() {
		return
	}
	p.find(Finding{ID: "postfix.bounces-unsigned", Subject: "internal_mail_filter_classes",
		Finding: "internal_mail_filter_classes has no bounce, so that milters do not see the bounces that Postfix writes",
		Remedy:  do("Let milters see them:", p.filterBounces(), p.reload())})
}

// has reports whether there is a finding of an id.
func (p *postfix) has(id string) bool {
	return slices.ContainsFunc(p.found, func(f Finding) bool { return f.ID == id })
}

// roles looks for a listener of the wrong role.
func (p *postfix) roles(c *chain) {
	if !c.connected() || p.takesBack(c.service) && c != p.local {
		return // filters looks at these
	}
	switch {
	case c != p.local && p.strangers(c.service):
		if c.hasOnly(message.RoleSign) && (p.h.judges() || !p.strangersForThisHostOnly(c.service)) {
			p.wrongRole(c, message.RoleVerify, "strangers can send to %s, whose milter %s has the role sign", "mail of strangers is signed as yours")
		}
	case p.h.signs() && !c.has(message.RoleSign) && (c == p.local || p.submission(c.service)):
		p.wrongRole(c, message.RoleSign, "your own mail goes through %s, whose milter %s has the role verify", "your own mail leaves unsigned, and is judged as a stranger's")
	}
}

func (p *postfix) wrongRole(c *chain, role message.Role, finding, consequence string) {
	wrong := message.RoleSign
	if role == message.RoleSign {
		wrong = message.RoleVerify
	}
	at := slices.IndexFunc(c.links, func(l link) bool { return l.listener != nil && l.listener.Role == wrong })
	if at < 0 {
		return
	}
	l := c.links[at]
	f := Finding{ID: "postfix.wrong-role", Subject: c.service.Key() + "/" + c.parameter, Finding: fmt.Sprintf(finding, c.service.Key(), l.Text), Consequence: consequence}
	if right, ok := c.listenerFor(role); ok {
		f.Remedy = c.visible(right, p.setHere(c, fmt.Sprintf("Take the listener of role %s there:", orAuto(right)), c.replaced(l.Text, l.with(c.postfixForm(right)))))
	} else {
		f.Remedy = Remedy{Text: "Give the listener the role auto in signpost.yaml, and restart Signpost:", Lines: []string{
			fmt.Sprintf(`milter: {listen: [{address: "%s", role: auto}]}`, l.listener.Address)}}
	}
	p.find(f)
}

// setHere changes the list of one way only: where it comes from main.cf and others use it too, by -o.
func (p *postfix) setHere(c *chain, text, value string) Remedy {
	shared := 0
	for _, o := range p.smtpd {
		if _, own := o.service.Overridden(c.parameter); !own && o.connected() {
			shared++
		}
	}
	if c != p.local && shared > 1 {
		return p.setService(c.service, text, c.parameter, value)
	}
	return p.set(c, text, c.parameter, value)
}

func orAuto(l milter.Listen) message.Role {
	if l.Role == "" {
		return message.RoleAuto
	}
	return l.Role
}
