package doctor

import (
	"context"
	"fmt"
	"net/netip"

	"signpost/verifier"
)

// lookAtTrusted checks the networks whose mail is not judged, and those whose mail is signed.
func lookAtTrusted(_ context.Context, h *Host) {
	for _, n := range h.Config.Signer.Outbound.Networks {
		if tooWide(n) {
			h.add(Finding{ID: "trusted.too-wide", Subject: n.String(), Finding: fmt.Sprintf("signer.ours.networks has %s, which contains hosts of the Internet that are not yours", n),
				Consequence: "mail of strangers from these addresses is signed as yours, and not judged",
				Remedy:      Remedy{Text: "In " + h.configName() + ", list the networks of your own hosts alone, such as:", Lines: []string{`signer: {ours: {networks: [127.0.0.0/8, "::1/128"]}}`}}})
		}
	}
	for _, n := range h.Config.Verifier.Trusted.Networks {
		if tooWide(n) {
			h.find("trusted.too-wide", n.String(), fmt.Sprintf("verifier.trusted.networks has %s, which contains hosts of the Internet that are not yours", n),
				Remedy{Text: "In " + h.configName() + ", list the addresses of your own relays alone, such as:", Lines: []string{"verifier: {trusted: {networks: [192.0.2.25/32]}}"}})
		}
	}
}

// tooWide reports whether a network is more than one organization has. Networks of private
// addresses are never too wide.
func tooWide(n netip.Prefix) bool {
	if private(n) {
		return false
	}
	if n.Addr().Is4() {
		return n.Bits() < 16
	}
	return n.Bits() < 32
}

// privateNetworks are those that cannot be reached from the Internet (RFC 1918, 6598, 4193, 3927,
// 4291, 1122).
var privateNetworks = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("::1/128"),
}

// private reports whether all addresses of a network are private.
func private(n netip.Prefix) bool {
	for _, p := range privateNetworks {
		if p.Bits() <= n.Bits() && p.Contains(n.Addr()) {
			return true
		}
	}
	return false
}

// lookAtEnforce checks that refusals leave a trace that somebody can count.
func lookAtEnforce(_ context.Context, h *Host) {
	c := h.Config
	if c.Verifier.Mode != verifier.Enforce || c.Metrics.Listen != "" || c.Reports.Database != "" {
		return
	}
	h.find("enforce.unwatched", h.configName(), "verifier.mode is enforce, and metrics.listen and reports.database are empty: nothing counts what is refused",
		Remedy{Text: "In " + h.configName() + ", write:", Lines: []string{"metrics: {listen: 127.0.0.1:9891}"}})
}

// configName is the configuration file in sentences.
func (h *Host) configName() string {
	if h.ConfigPath == "" {
		return "the configuration"
	}
	return h.ConfigPath
}
