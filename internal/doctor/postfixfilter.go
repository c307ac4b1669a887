package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"signpost/internal/message"
	"signpost/milter"
)

// loopback is the client that content filters on this host are, and that Postfix states for local mail.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// filters looks at content filters: before the queue they hide the content, behind it they hand mail back.
func (p *postfix) filters() {
	for _, c := range p.smtpd {
		if filter := p.For(c.service, "smtpd_proxy_filter"); filter != "" && !p.seenBehindFilter(c.role()) {
			p.proxyFilter(c, filter)
		}
	}
	for _, c := range p.waysBackToJudge() {
		if c.connected() && !p.MilterMaps(c.service).Disabled(loopback) {
			p.reinjection(c)
		}
	}
}

// waysBackToJudge are the services at which filters hand mail back, without the one that is for users' mail: where
// users' mail has a filter of its own, the last one counts as that.
func (p *postfix) waysBackToJudge() []*chain {
	back := p.takenBack()
	foreign, own := map[string]bool{}, map[string]bool{}
	for _, o := range p.smtpd {
		if f := p.filter(o.service); f != "" && p.strangers(o.service) {
			foreign[f] = true
		} else if f != "" {
			own[f] = true
		}
	}
	for f := range own {
		if !foreign[f] && len(foreign) > 0 && len(back) > 1 {
			return back[:len(back)-1]
		}
	}
	return back
}

// proxyFilter is about a service whose milters see no content, and behind whose filter none of ours is.
func (p *postfix) proxyFilter(c *chain, filter string) {
	if !p.h.signs() && !p.h.judges() || !p.anyConnected() {
		return
	}
	p.find(Finding{ID: "postfix.proxy-filter", Subject: c.subject("smtpd_proxy_filter"),
		Finding: fmt.Sprintf("smtpd_proxy_filter of %s is %s: its milters get commands, but no header and no body", c.service.Key(), filter),
		Remedy:  judgeBehindFilter(c.role())})
}

func (p *postfix) anyConnected() bool {
	return slices.ContainsFunc(p.others, (*postfix).connected)
}

// reinjection is about a service where a filter hands mail back, whose milters have one of ours.
func (p *postfix) reinjection(c *chain) {
	at := slices.IndexFunc(p.smtpd, func(o *chain) bool { return p.filter(o.service) != "" && p.strangers(o.service) })
	foreign := at >= 0
	switch {
	case c.signsLoopback() && !p.separated(c):
		switch {
		case foreign && p.For(p.smtpd[at].service, "smtpd_proxy_filter") != "":
			p.signedBehindProxy(c, p.smtpd[at])
		case foreign:
			p.twice(c, Critical, "mail of strangers comes back from 127.0.0.1 as well, is taken for yours, and signed")
		case p.signedBeforeFilter():
			p.twice(c, Medium, "your mail is signed twice")
		}
	case c.signsLoopback() && foreign && c.asksAuto() && p.takenBack()[0] == c:
		p.twice(c, Critical, "where mail of strangers comes back here, it comes from 127.0.0.1, is taken for yours, and signed")
	case c.signsLoopback() && p.usersSignedBeforeFilter():
		p.twice(c, Medium, "your users' mail is signed twice")
	case !c.signsLoopback() && foreign && p.judgedBeforeFilter():
		p.twice(c, Medium, "mail is judged twice, the second time by the address of the filter: SPF fails, and the first results are removed")
	}
}

// signedBehindProxy is about a filter before the queue, behind which a listener signs all mail.
func (p *postfix) signedBehindProxy(c, from *chain) {
	f := Finding{ID: "postfix.proxy-filter", Subject: c.service.Key(), Severity: Critical,
		Consequence: "milters before the filter see no content; behind it, mail of strangers comes from 127.0.0.1, is taken for yours, and signed",
		Finding: fmt.Sprintf("smtpd_proxy_filter of %s hands mail back at %s, which asks Signpost (%s) by a listener that signs",
			from.service.Key(), c.service.Key(), c.ours()[0].Text),
		Remedy: judgeBehindFilter(message.RoleVerify)}
	if i := slices.IndexFunc(p.h.Config.Milter.Listen, func(l milter.Listen) bool { return l.Role == message.RoleVerify }); i >= 0 {
		l := c.ours()[0]
		f.Remedy = p.setService(c.service, "Ask the listener of role verify there:", "smtpd_milters", c.replaced(l.Text, l.with(c.postfixForm(p.h.Config.Milter.Listen[i]))))
	}
	p.find(f)
}

// judgeBehindFilter is the remedy for a filter before the queue.
func judgeBehindFilter(role message.Role) Remedy {
	return Remedy{Text: "Either let the filter work behind the queue (content_filter), or ask Signpost where the filter hands mail back, by a listener with a role of its own. " +
		"docs/postfix.md shows both. In master.cf, at the service where mail comes back, and in signpost.yaml:",
		Lines: []string{
			"  -o smtpd_proxy_filter= -o smtpd_milters=inet:127.0.0.1:8892",
			fmt.Sprintf(`milter: {listen: [{address: "inet:127.0.0.1:8892", role: %s}]}`, role)}}
}

// signsLoopback reports whether the chain would have mail of a client 127.0.0.1 signed.
func (c *chain) signsLoopback() bool {
	ours := c.p.h.Config.Signer.Outbound
	return c.p.h.signs() && (c.hasOnly(message.RoleSign) || c.asksAuto() &&
		(slices.ContainsFunc(ours.Networks, func(n netip.Prefix) bool { return n.Contains(loopback) }) ||
			slices.Contains(ours.DaemonNames, c.p.For(c.service, "milter_macro_daemon_name"))))
}

// separated reports whether there is another way back, for the mail of strangers: one that does not sign.
func (p *postfix) separated(c *chain) bool {
	return slices.ContainsFunc(p.takenBack(), func(o *chain) bool { return o != c && !o.signsLoopback() })
}

func (p *postfix) signedBeforeFilter() bool {
	return slices.ContainsFunc(p.chains(), func(o *chain) bool { return p.filter(o.service) != "" && o.has(message.RoleSign) })
}

// usersSignedBeforeFilter reports whether mail of users who log in is signed before it comes to a filter.
func (p *postfix) usersSignedBeforeFilter() bool {
	return slices.ContainsFunc(p.smtpd, func(o *chain) bool {
		return p.filter(o.service) != "" && p.submission(o.service) && o.has(message.RoleSign)
	})
}

func (p *postfix) judgedBeforeFilter() bool {
	return slices.ContainsFunc(p.smtpd, func(o *chain) bool {
		return p.For(o.service, "content_filter") != "" && p.strangers(o.service) && o.has(message.RoleVerify)
	})
}

func (p *postfix) twice(c *chain, severity Severity, consequence string) {
	var rest []string
	for _, l := range c.links {
		if l.listener == nil {
			rest = append(rest, l.Text)
		}
	}
	value := ""
	for i, text := range rest {
		if i > 0 {
			value += ","
		}
		value += text
	}
	p.find(Finding{ID: "postfix.reinjection", Subject: c.service.Key(), Severity: severity, Consequence: consequence,
		Finding: fmt.Sprintf("the service %s, where the content filter hands mail back, asks Signpost (%s)", c.service.Key(), c.ours()[0].Text),
		Remedy:  p.setService(c.service, "Ask no Signpost there:", "smtpd_milters", value)})
}
