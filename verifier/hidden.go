package verifier

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"

	"signpost/internal/message"
)

// hiddenAfter is the number of clients in a row with a private address after which the
// log warns that a proxy or NAT may hide the real ones.
const hiddenAfter = 20

// hiddenClients notices that every message comes from a private address. SPF cannot work
// then, and a configuration that refuses by SPF refuses honest mail. It warns once. Any
// number of goroutines may use it.
type hiddenClients struct {
	inARow atomic.Int32
	warned atomic.Bool
	warn   func(text string, args ...any)
}

// clients is shared by all generations of the configuration, which see the same MTA.
var clients = hiddenClients{warn: slog.Warn}

// saw counts the client of a message that is judged. It ignores clients without an address
// and clients that logged in.
func (h *hiddenClients) saw(env message.Envelope) {
	if h.warned.Load() || !env.ClientAddr.IsValid() || env.LoggedIn() {
		return
	}
	if !isPrivate(env.ClientAddr) {
		if h.inARow.Load() != 0 {
			h.inARow.Store(0)
		}
		return
	}
	if h.inARow.Add(1) < hiddenAfter || !h.warned.CompareAndSwap(false, true) {
		return
	}
	h.warn(fmt.Sprintf("the last %d messages to be judged came from private addresses: SPF cannot work if a proxy or NAT hides the clients", hiddenAfter),
		"client", env.ClientAddr.String(),
		"remedy", "let the MTA see the clients' addresses (Postfix: smtpd_upstream_proxy_protocol or postscreen_upstream_proxy_protocol; "+
			"a container: its host's network); if these hosts are yours, add them to signer.ours.networks, or relays to verifier.trusted.networks")
}

// shared is the address space of carriers' NAT (RFC 6598 §7).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// isPrivate says that an address is not reachable from the Internet.
func isPrivate(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || shared.Contains(a)
}
