package doctor

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"signpost/internal/mta"
)

const (
	// enoughClients is how many connections of the log say something about all.
	enoughClients = 20
	// maxProxies is how many addresses a proxy, or NAT, in front of this host may have.
	maxProxies = 2
)

// clients counts the connections to port 25 by the client's address, as the MTA's log has them.
type clients struct {
	private map[netip.Addr]int
	public  int
}

// line reads a line of the log.
func (c *clients) line(l mta.LogLine) {
	if l.Program != "postfix/smtpd" && l.Program != "postfix/postscreen" {
		return // submission services have names of their own where they are told apart
	}
	rest, ok := strings.CutPrefix(l.Message, "connect from ")
	if !ok {
		rest, ok = strings.CutPrefix(l.Message, "CONNECT from ")
	}
	_, rest, bracket := strings.Cut(rest, "[")
	text, _, closed := strings.Cut(rest, "]")
	addr, err := netip.ParseAddr(text)
	switch {
	case !ok || !bracket || !closed || err != nil || addr.IsLoopback():
	case publicAddress(addr):
		c.public++
	case len(c.private) <= maxProxies:
		c.private[addr.Unmap()]++
	}
}

// report finds a proxy that hides the clients: a host that is an MX of one of our domains has
// clients with public addresses.
func (c *clients) report(ctx context.Context, h *Host) {
	total := 0
	for _, n := range c.private {
		total += n
	}
	if c.public > 0 || len(c.private) > maxProxies || total < enoughClients {
		return
	}
	domain := h.receivesFor(ctx)
	if domain == "" {
		return
	}
	var names []string
	for _, addr := range slices.SortedFunc(maps.Keys(c.private), netip.Addr.Compare) {
		names = append(names, addr.String())
	}
	h.find("clients.private", strings.Join(names, ", "), fmt.Sprintf("this host is an MX of %s, and all of %d connections in the MTA's log come from %s", domain, total, strings.Join(names, " and ")),
		Remedy{Text: "Have the proxy pass the client's address on, and Postfix take it, for a proxy that speaks the protocol of HAProxy; or have it forward connections unchanged:",
			Lines: []string{"postconf -e smtpd_upstream_proxy_protocol=haproxy"}})
}

// receivesFor returns a signing domain whose MX is this host; "" if there is none.
func (h *Host) receivesFor(ctx context.Context) string {
	name := h.heloName(ctx)
	for _, domain := range h.Domains[:min(len(h.Domains), 10)] {
		hosts, err := h.DNS.LookupMX(ctx, domain)
		if err == nil && name != "" && slices.Contains(hosts, name) {
			return domain
		}
	}
	return ""
}
