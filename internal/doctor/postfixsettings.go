package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"signpost/internal/dkim"
	"signpost/internal/message"
	"signpost/internal/mta"
	"signpost/milter"
	"signpost/verifier"
)

// settings looks at what Postfix is told about us on one way.
func (p *postfix) settings(c *chain) {
	for _, l := range c.ours() {
		p.defaultAction(c, l)
		p.protocol(c, l)
		p.timeouts(c, l)
	}
	if c.connected() {
		p.macros(c)
		p.messageSize(c)
		p.headerSize(c)
	}
}

// setMilter is the remedy that changes a setting of one milter: its own attribute, or the parameter for all.
func (p *postfix) setMilter(c *chain, l link, text, attribute, parameter, value string) Remedy {
	before, own := l.Attributes[attribute]
	if !own {
		return p.set(c, text, parameter, value)
	}
	for _, form := range []string{attribute + "=" + before, attribute + " = " + before, attribute + " =" + before, attribute + "= " + before} {
		if strings.Contains(l.Text, form) {
			return c.setList(text, c.replaced(l.Text, strings.Replace(l.Text, form, attribute+"="+value, 1)))
		}
	}
	return Remedy{Text: fmt.Sprintf("Write %s=%s in %s.", attribute, value, c.listSubject())}
}

// setting names an attribute of a milter and where it is set: in the list, for this milter alone, or by the
// parameter milter_… for all.
func (c *chain) setting(l link, attribute string) (subject, name string) {
	if _, own := l.Attributes[attribute]; own {
		return c.listSubject(), attribute + " of " + l.Text
	}
	return c.subject("milter_" + attribute), "milter_" + attribute
}

// actions says what each milter_default_action but tempfail costs, and how bad it is.
var actions = map[string]struct {
	severity    Severity
	consequence string
}{
	"accept":     {High, "while Signpost does not answer, mail leaves unsigned, forgeries come in, and forged results stay in them"},
	"reject":     {High, "while Signpost does not answer, every message is refused for good, and bounces"},
	"quarantine": {Medium, "while Signpost does not answer, all mail is frozen in the hold queue, until somebody releases it by hand"},
}

func (p *postfix) defaultAction(c *chain, l link) {
	action := strings.ToLower(l.Attribute("default_action", p.For(c.service, "milter_default_action")))
	a, ok := actions[action]
	if action == "shutdown" && !knowsShutdown(p.Value("mail_version")) {
		a.severity, a.consequence, ok = High, "this release does not know it: while Signpost does not answer, clients get 451 Server configuration problem", true
	}
	if !ok {
		return
	}
	subject, name := c.setting(l, "default_action")
	p.find(Finding{ID: "postfix.default-action", Subject: subject, Severity: a.severity, Consequence: a.consequence,
		Finding: name + " is " + action,
		Remedy:  p.setMilter(c, l, "Have clients try again later:", "default_action", "milter_default_action", "tempfail")})
}

// shutdownSince are the first patch levels of Postfix 3.7 to 3.10 that know milter_default_action
// = shutdown. Their default became that, too; later releases have it all.
var shutdownSince = map[string]string{"3.7": "3.7.20", "3.8": "3.8.15", "3.9": "3.9.9", "3.10": "3.10.8"}

func knowsShutdown(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	since := "3.11"
	if len(parts) > 1 && shutdownSince[parts[0]+"."+parts[1]] != "" {
		since = shutdownSince[parts[0]+"."+parts[1]]
	}
	return mta.CompareVersions(version, since) >= 0
}

// newestProtocol is the version of the milter protocol that Postfix has since 2.6.
const newestProtocol = 6

func (p *postfix) protocol(c *chain, l link) {
	version := l.Attribute("protocol", p.For(c.service, "milter_protocol"))
	n, err := strconv.Atoi(version)
	if err != nil || n >= newestProtocol {
		return
	}
	subject, name := c.setting(l, "protocol")
	f := Finding{ID: "postfix.old-protocol", Subject: subject, Finding: name + " is " + version + ", an old version",
		Remedy: p.setMilter(c, l, "Take the version that is the default:", "protocol", "milter_protocol", strconv.Itoa(newestProtocol))}
	if p.h.signs() && p.h.Config.Signer.Canonicalization.Header == dkim.Simple {
		f.Severity, f.Consequence = High, "Postfix hides the blanks in header fields, so that signatures with signer.canonicalization: simple/… fail"
	}
	p.find(f)
}

// neededMacros are the macros that signing needs of each list of main.cf.
var neededMacros = []struct {
	parameter string
	macros    []string
}{
	{"milter_connect_macros", []string{"j", "{daemon_name}"}},
	{"milter_mail_macros", []string{"i", "{auth_type}", "{auth_authen}"}},
	{"milter_data_macros", []string{"i"}},
	{"milter_end_of_data_macros", []string{"i"}},
}

// macros looks for lists from old tutorials. Signpost's own request takes precedence over them.
func (p *postfix) macros(c *chain) {
	for _, n := range neededMacros {
		_, own := c.service.Overridden(n.parameter)
		if !own && !p.InMain(n.parameter) {
			continue
		}
		has := mta.List(p.For(c.service, n.parameter))
		lacking := slices.DeleteFunc(slices.Clone(n.macros), func(m string) bool {
			return slices.Contains(has, m) || slices.Contains(has, strings.Trim(m, "{}")) || slices.Contains(has, "{"+m+"}")
		})
		if len(lacking) == 0 {
			continue
		}
		f := Finding{ID: "postfix.macros-overridden", Subject: c.subject(n.parameter),
			Finding: fmt.Sprintf("%s is set, without %s", n.parameter, strings.Join(lacking, " ")),
			Remedy:  do("Go back to the default:", p.postconf("-X", n.parameter), p.reload())}
		if own {
			f.Remedy = do("Go back to the default:", p.postconf("-PX", c.service.Key()+"/"+n.parameter), p.reload())
		}
		p.find(f)
	}
}

// Signpost tells Postfix every 4 seconds that it is still at work, so that only a shorter time ends in
// the middle. Commands are answered at once.
const (
	shortestContent = 8 * time.Second
	shortestCommand = 10 * time.Second
)

func (p *postfix) timeouts(c *chain, l link) {
	p.timeout(c, l, "command_timeout", "30s", func(t time.Duration) Severity {
		if t < shortestCommand {
			return Medium
		}
		return ""
	})
	p.timeout(c, l, "content_timeout", "300s", func(t time.Duration) Severity {
		switch {
		case t < shortestContent:
			return Medium
		case t < p.h.Config.Milter.MessageTimeout:
			return Low
		}
		return ""
	})
}

func (p *postfix) timeout(c *chain, l link, attribute, byDefault string, judge func(time.Duration) Severity) {
	parameter := "milter_" + attribute
	text := l.Attribute(attribute, p.For(c.service, parameter))
	t, ok := mta.Duration(text)
	if !ok {
		return
	}
	severity := judge(t)
	if severity == "" {
		return
	}
	subject, name := c.setting(l, attribute)
	f := Finding{ID: "postfix.timeouts", Subject: subject, Severity: severity,
		Finding: fmt.Sprintf("%s is %s; Signpost itself decides within %s (milter.message_timeout)", name, text, p.h.Config.Milter.MessageTimeout),
		Remedy:  p.setMilter(c, l, "Take the default:", attribute, parameter, byDefault)}
	if severity == Low {
		f.Consequence = "Postfix waits long enough as long as Signpost can tell it that it is at work; on a busy host it may give up"
	}
	p.find(f)
}

// messageSize compares the largest message that Postfix takes with the largest whose signatures we verify.
func (p *postfix) messageSize(c *chain) {
	if c == p.local || !c.has(message.RoleVerify) {
		return
	}
	ours := p.h.Config.Milter.MaxMessageBytes
	limit, err := strconv.ParseInt(p.For(c.service, "message_size_limit"), 10, 64)
	if err != nil || limit > 0 && limit <= int64(ours) {
		return
	}
	f := Finding{ID: "postfix.message-size", Subject: c.subject("message_size_limit"),
		Finding: fmt.Sprintf("Postfix takes messages of %d octets, Signpost verifies the signatures of %d at most (milter.max_message_bytes)", limit, ours),
		Remedy:  Remedy{Text: "Raise the limit in signpost.yaml, and restart Signpost:", Lines: []string{fmt.Sprintf("milter: {max_message_bytes: %d}", limit)}}}
	if limit == 0 {
		f.Finding = fmt.Sprintf("Postfix takes messages of any size (message_size_limit = 0), Signpost verifies the signatures of %d octets at most", ours)
		f.Remedy = p.set(c, "Give Postfix a limit too:", "message_size_limit", strconv.FormatInt(int64(ours), 10))
	}
	switch {
	case p.h.Config.Milter.OnTooBig == milter.TooBigReject:
		f.Severity, f.Consequence = Medium, "larger messages are refused with 552 (milter.on_too_big)"
	case p.h.Config.Verifier.Mode == verifier.Enforce:
		f.Severity, f.Consequence = Medium, "larger genuine messages are refused, where their domain's policy asks for it and SPF does not pass"
	}
	p.find(f)
}

// headerSize compares the largest header.
func (p *postfix) headerSize(c *chain) {
	limit, err := strconv.ParseInt(p.For(c.service, "header_size_limit"), 10, 64)
	ours := p.h.Config.Milter.MaxHeaderBytes
	// header_size_limit is of one field; a header has several, and Postfix' default is far below ours.
	if err != nil || limit <= int64(ours) {
		return
	}
	p.find(Finding{ID: "postfix.message-size", Subject: c.subject("header_size_limit"), Severity: Medium, Consequence: "messages with such headers are refused",
		Finding: fmt.Sprintf("Postfix takes header fields of %d octets, Signpost headers of %d (milter.max_header_bytes)", limit, ours),
		Remedy:  p.set(c, "Take the default:", "header_size_limit", "102400")})
}

// daemonNames compares the names that services state with the ones that we sign for.
func (p *postfix) daemonNames() {
	names := p.h.Config.Signer.Outbound.DaemonNames
	if !p.h.signs() || !p.connected() {
		return
	}
	for _, name := range names {
		p.daemonName(name)
	}
	for _, c := range p.smtpd {
		name, own := c.service.Overridden("milter_macro_daemon_name")
		loginsSigned := p.For(c.service, "smtpd_sasl_auth_enable") == "yes" && p.h.Config.Signer.Outbound.Authenticated
		if !own || slices.Contains(names, name) || loginsSigned || !c.asksAuto() || p.strangers(c.service) {
			continue
		}
		p.find(Finding{ID: "postfix.daemon-name-mismatch", Subject: c.service.Key() + "/milter_macro_daemon_name",
			Finding: fmt.Sprintf("the service %s states the name %s, which is not in signer.ours.daemon_names", c.service.Key(), name),
			Remedy:  Remedy{Text: "If all mail of this service is to be signed, list the name in signpost.yaml, and reload Signpost:", Lines: []string{daemonNamesLine(append(slices.Clone(names), name))}}})
	}
}

func daemonNamesLine(names []string) string {
	return "signer: {ours: {daemon_names: [" + strings.Join(names, ", ") + "]}}"
}

// asksAuto reports whether the chain leads to a listener that decides by the connection.
func (c *chain) asksAuto() bool {
	return slices.ContainsFunc(c.ours(), func(l link) bool { return orAuto(*l.listener) == message.RoleAuto })
}

// daemonName looks for services that state a name of ours.
func (p *postfix) daemonName(name string) {
	used, auto := false, false
	for _, o := range p.others {
		for _, c := range o.chains() {
			auto = auto || c.asksAuto()
			if o.For(c.service, "milter_macro_daemon_name") != name {
				continue
			}
			used = true
			if c != o.local && o.strangers(c.service) && c.asksAuto() {
				p.find(Finding{ID: "postfix.daemon-name-mismatch", Subject: c.service.Key() + "/milter_macro_daemon_name", Severity: Critical,
					Consequence: "mail of strangers is signed as yours",
					Finding:     fmt.Sprintf("the service %s, to which strangers can send, states the name %s, which is in signer.ours.daemon_names", c.service.Key(), name),
					Remedy:      o.setService(c.service, "Give the service another name:", "milter_macro_daemon_name", "MX")})
			}
		}
	}
	if !used && auto && p.submits {
		p.find(Finding{ID: "postfix.daemon-name-mismatch", Subject: "signer.ours.daemon_names",
			Finding: fmt.Sprintf("signer.ours.daemon_names lists %s, but no service of Postfix states that name", name),
			Remedy:  p.stateName(name)})
	}
}

// stateName is the remedy that gives the submission service the name.
func (p *postfix) stateName(name string) Remedy {
	for _, c := range p.smtpd {
		if p.submission(c.service) && c.connected() {
			return p.setService(c.service, "Give the service whose mail is to be signed this name:", "milter_macro_daemon_name", name)
		}
	}
	return Remedy{Text: "Give the service whose mail is to be signed this name in master.cf, or take it out of signpost.yaml:", Lines: []string{"  -o milter_macro_daemon_name=" + name}}
}

// processLimit compares how many connections Postfix may open with how many we take.
func processLimit(h *Host, all []*postfix) {
	most := map[bool]int{} // by TCP or not
	total := 0
	for _, p := range all {
		each, err := strconv.Atoi(p.Value("default_process_limit"))
		if err != nil {
			continue
		}
		for _, c := range p.smtpd {
			n := c.service.MaxProcesses
			if n == 0 {
				n = each
			}
			for _, l := range c.ours() {
				total += n
				most[l.Network == "tcp"] += n
			}
		}
	}
	limit, what := h.Config.Milter.MaxConnections, "milter.max_connections"
	if peer := h.Config.Milter.MaxConnectionsPerPeer; peer > 0 && most[true] > peer && peer < limit {
		total, limit, what = most[true], peer, "milter.max_connections_per_peer"
	}
	if total <= limit {
		return
	}
	h.add(Finding{ID: "postfix.process-limit", Subject: "default_process_limit",
		Finding: fmt.Sprintf("Postfix may run %d processes of smtpd that are connected to Signpost (default_process_limit, and the column maxproc of master.cf), which takes %d connections (%s)", total, limit, what),
		Remedy: Remedy{Text: "Raise the limit in signpost.yaml, and restart Signpost:", Lines: []string{
			fmt.Sprintf("milter: {%s: %d}", strings.TrimPrefix(what, "milter."), total+total/4)}}})
}

// conversion looks for what makes smtp(8) encode 8-bit mail anew, after it was signed.
func (p *postfix) conversion() {
	if !p.h.signs() || !p.connected() {
		return
	}
	p.relayConversion()
	for _, s := range p.Services {
		if s.Command != "smtp" && s.Command != "lmtp" || p.For(s, "disable_mime_output_conversion") == "yes" || p.For(s, "force_mime_input_conversion") == "yes" {
			continue
		}
		keywords := mta.List(strings.ToLower(p.For(s, "smtp_discard_ehlo_keywords")))
		if !slices.Contains(keywords, "8bitmime") {
			continue
		}
		c := &chain{p: p, service: s}
		p.find(Finding{ID: "postfix.mime-conversion", Subject: c.subject("smtp_discard_ehlo_keywords"),
			Finding: "smtp_discard_ehlo_keywords has 8bitmime, so that Postfix takes every server for one that takes no 8-bit mail",
			Remedy:  p.set(c, "Let 8-bit mail go out as it was signed:", "disable_mime_output_conversion", "yes")})
	}
}
