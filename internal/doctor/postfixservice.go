package doctor

import (
	"net/netip"
	"slices"
	"strings"

	"signpost/internal/message"
	"signpost/internal/mta"
)

// submission reports whether a service is for users who log in: by its port, because it alone has logins, or
// because nobody else may send there.
func (p *postfix) submission(s mta.Service) bool {
	switch s.Port() {
	case "submission", "587", "smtps", "submissions", "465":
		return true
	}
	if logins, own := s.Overridden("smtpd_sasl_auth_enable"); own && logins == "yes" && p.closedToWorld(s) {
		return true
	}
	return p.For(s, "smtpd_sasl_auth_enable") == "yes" && p.closed(s, "permit_mynetworks")
}

// restrictions are the lists that each can refuse a client.
var restrictions = []string{
	"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions", "smtpd_recipient_restrictions",
}

// closed reports whether some list of restrictions of the service ends in a plain reject, so that only those
// may send whom it permits by name. without names what it must not permit before that.
func (p *postfix) closed(s mta.Service, without ...string) bool {
	return slices.ContainsFunc(restrictions, func(name string) bool {
		for _, item := range mta.List(p.For(s, name)) {
			switch {
			case item == "reject":
				return true
			case item == "permit" || slices.Contains(without, item):
				return false
			}
		}
		return false
	})
}

// loopbackOnly reports whether only this host can connect to the service.
func (p *postfix) loopbackOnly(s mta.Service) bool {
	if s.Type != "inet" {
		return s.Type != "pass" // postscreen(8) hands over the connections of others
	}
	host := s.Host()
	if host != "" {
		return isLoopback(host)
	}
	interfaces := mta.List(p.For(s, "inet_interfaces"))
	return len(interfaces) > 0 && !slices.ContainsFunc(interfaces, func(i string) bool { return i != "loopback-only" && !isLoopback(i) })
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && a.Unmap().IsLoopback()
}

// destinations are the parameters that name the domains for which Postfix accepts mail of everybody.
var destinations = []string{"mydestination", "relay_domains", "virtual_mailbox_domains", "virtual_alias_domains"}

// strangers reports whether unknown clients can send mail to this service.
func (p *postfix) strangers(s mta.Service) bool {
	if p.loopbackOnly(s) || p.submission(s) || p.closed(s) {
		return false
	}
	return slices.ContainsFunc(destinations, func(name string) bool { return p.For(s, name) != "" })
}

// strangersForThisHostOnly reports whether all that strangers may send is mail to the host's own names, as
// with the default of mydestination on a host that receives no mail for others.
func (p *postfix) strangersForThisHostOnly(s mta.Service) bool {
	own := []string{p.For(s, "myhostname"), "localhost", "localhost." + p.For(s, "mydomain"), "localhost.localdomain"}
	return !slices.ContainsFunc(destinations, func(name string) bool {
		return slices.ContainsFunc(mta.List(p.For(s, name)), func(d string) bool { return !slices.Contains(own, d) })
	})
}

// filter is the content filter of a service, behind or before the queue.
func (p *postfix) filter(s mta.Service) string {
	for _, name := range []string{"content_filter", "smtpd_proxy_filter"} {
		if v := p.For(s, name); v != "" {
			return v
		}
	}
	return ""
}

// takesBack reports whether a content filter hands mail back at this service: it has no filter of its own
// although others have one, and is not for the world.
func (p *postfix) takesBack(s mta.Service) bool {
	if p.filter(s) != "" || p.submission(s) || !p.hasFilter() {
		return false
	}
	for _, name := range []string{"content_filter", "smtpd_proxy_filter"} {
		if v, own := s.Overridden(name); own && strings.TrimSpace(v) == "" && p.closedToWorld(s) {
			return true
		}
	}
	return p.loopbackOnly(s)
}

// closedToWorld reports whether a service is another than the one for the mail of the world.
func (p *postfix) closedToWorld(s mta.Service) bool {
	return s.Port() != "smtp" && s.Port() != "25" && s.Type != "pass"
}

// hasFilter reports whether any way into this instance has a content filter.
func (p *postfix) hasFilter() bool {
	return p.Value("content_filter") != "" || slices.ContainsFunc(p.smtpd, func(c *chain) bool { return p.filter(c.service) != "" })
}

// takenBack are the services at which content filters hand mail back. One that asks a listener for list software
// is for that.
func (p *postfix) takenBack() []*chain {
	return slices.DeleteFunc(slices.Clone(p.smtpd), func(c *chain) bool { return !p.takesBack(c.service) || c.hasOnly(message.RoleSeal) })
}

// seenBehindFilter reports whether mail that a content filter hands back meets a listener of the role.
func (p *postfix) seenBehindFilter(role message.Role) bool {
	return slices.ContainsFunc(p.takenBack(), func(c *chain) bool { return c.has(role) })
}

// role is what the chain's mail needs: to be signed, or to be judged.
func (c *chain) role() message.Role {
	if c == c.p.local || !c.p.strangers(c.service) {
		return message.RoleSign
	}
	return message.RoleVerify
}
