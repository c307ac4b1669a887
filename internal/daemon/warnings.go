package daemon

import (
	"fmt"
	"net/netip"
	"slices"

	"signpost/keys"
	"signpost/signer"
)

// Warnings are facts about a valid configuration that an administrator should know.
func (g *Generation) Warnings() []string {
	var w []string
	switch {
	case g.Path == "":
		w = append(w, "no configuration file: every message is judged in monitor mode and nothing is signed; write "+DefaultPath+" or give --config FILE")
	case len(g.Config.Signer.Domains) == 0:
		w = append(w, "signer.domains is empty: no message is signed; signpost keys generate DOMAIN SELECTOR makes the first key")
	}
	if len(g.Config.Signer.Domains) > 0 && !slices.ContainsFunc(g.Config.Signer.Outbound.Networks, holdsLoopback) {
		w = append(w, "signer.ours.networks has no loopback address: mail from programs on this host and bounces is not signed; add 127.0.0.0/8 and ::1/128")
	}
	if !g.Config.Signer.RequirePublished && len(g.Config.Signer.Domains) > 0 && g.Config.DNS.ZoneFile == "" {
		w = append(w, "signer.require_published is false: every selector listed signs at once, whether DNS has its record or not")
	}
	if s := g.Config.Signer.Senders; s.Mode == signer.SendersOff && len(s.Allow) > 0 {
		w = append(w, "signer.senders.mode is off: the entries of signer.senders are not enforced; write mode: unsigned or mode: reject")
	}
	if arc := g.Config.Signer.ARC; arc.On() {
		if k, ok := g.Store.Lookup(arc.Domain, arc.Selector); ok && k.Algorithm != keys.RSA {
			w = append(w, fmt.Sprintf("signer.arc.selector %s is a key of %s: other programs verify ARC seals by RSA keys alone; make one with signpost keys generate", arc.Selector, k.Algorithm))
		}
	}
	if out := g.Config.Reports.Out; out.On() && !g.Signer.SignsFor(out.Author()) {
		w = append(w, fmt.Sprintf("reports.out.from: no entry of signer.domains signs for %s, so that reports wait: add the domain there, with a key", out.Submitter()))
	}
	w = append(w, g.Config.networkWarnings()...)
	w = append(w, g.Config.sealWarnings()...)
	w = append(w, g.listenerWarnings()...)
	w = append(w, g.Config.tables.Warnings()...)
	w = append(w, g.Config.Signer.Warnings()...)
	if trouble := g.Tracker.Trouble(); trouble != "" {
		w = append(w, trouble)
	}
	if g.Config.DNS.ZoneFile != "" {
		w = append(w, "dns.zone_file is set: the network's DNS is not used, every verdict depends on "+g.Config.DNS.ZoneFile)
		if !g.Config.Signer.RequirePublished && len(g.Config.Signer.Domains) > 0 {
			w = append(w, "with dns.zone_file, every selector listed signs; signer.require_published: true looks for the keys' records in it")
		}
	}
	return append(w, g.Store.Warnings()...)
}

// listenerWarnings say who may connect, and what that means for signer.senders.
func (g *Generation) listenerWarnings() []string {
	w := g.Config.Milter.Warnings()
	if tcp, ok := g.Config.Milter.TCP(); ok && g.Config.Signer.Senders.Mode != signer.SendersOff {
		w = append(w, fmt.Sprintf("milter.listen has %s beside signer.senders.mode: %s: every program that may connect there (milter.peers), on this host every user, "+
			"can state any login; a unix socket with milter.socket_group is the stronger boundary", tcp, g.Config.Signer.Senders.Mode))
	}
	return w
}

// networkWarnings are about networks that have a large part of the Internet in them.
func (c Config) networkWarnings() []string {
	var w []string
	if wide := widest(c.Signer.Outbound.Networks); wide.IsValid() {
		w = append(w, fmt.Sprintf("signer.ours.networks has %s, and with it strangers: their mail with a From of yours is signed, and none of it is judged; "+
			"list your own networks alone; for a service that takes only mail of yours, write a listener with role: sign", wide))
	}
	if wide := widest(c.Verifier.Trusted.Networks); wide.IsValid() {
		w = append(w, fmt.Sprintf("verifier.trusted.networks has %s, and with it strangers: their mail is not judged, and results that they forged stay in it; list your own relays alone", wide))
	}
	return w
}

// widest returns the first network that is larger than any that one organization has: beyond the
// private ranges 10.0.0.0/8 and fc00::/7.
func widest(networks []netip.Prefix) netip.Prefix {
	for _, n := range networks {
		if n.Addr().Is4() && n.Bits() < 8 || n.Addr().Is6() && n.Bits() < 7 {
			return n
		}
	}
	return netip.Prefix{}
}

func holdsLoopback(n netip.Prefix) bool { return n.Overlaps(netip.MustParsePrefix("127.0.0.0/8")) }
