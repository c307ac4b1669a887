package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"signpost/internal/mta"
)

// address is one that mail leaves from, and how we know.
type address struct {
	addr   netip.Addr
	origin string
}

// theMTA is what the checks of names and addresses need of Postfix' configuration.
type theMTA struct {
	*mta.Postfix
}

// readMTA reads Postfix' configuration; nil if there is none.
func (h *Host) readMTA(ctx context.Context) *theMTA {
	h.mtaOnce.Do(func() {
		dir := h.Postfix
		if dir == "" && h.Sendmail == "" {
			dir = "/etc/postfix"
		}
		if _, err := os.Stat(dir + "/main.cf"); dir == "" || err != nil {
			return
		}
		if p, err := mta.ReadPostfix(ctx, dir); err == nil {
			h.mta = &theMTA{p}
		}
	})
	return h.mta
}

// heloName is the name that the MTA says in HELO; "" if it is not known.
func (h *Host) heloName(ctx context.Context) string {
	m := h.readMTA(ctx)
	if m == nil {
		return ""
	}
	if !m.InMain("myhostname") && !m.InMain("mydomain") && !m.InMain("smtp_helo_name") && h.Postfix != "" {
		return "" // of a folder that may belong to another host, the default says nothing
	}
	name := m.Value("smtp_helo_name")
	if name == "" {
		name = m.Value("myhostname")
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// relay is the host through which all mail leaves; "" if the MTA delivers itself.
func (m *theMTA) relay() string {
	if m == nil {
		return ""
	}
	return m.Value("relayhost")
}

// sendingAddresses are the addresses that mail leaves from as other hosts see them.
func (h *Host) sendingAddresses(ctx context.Context) []address {
	h.addressOnce.Do(func() { h.from = h.findAddresses(ctx) })
	return h.from
}

func (h *Host) findAddresses(ctx context.Context) []address {
	var all []address
	for _, a := range h.Addresses {
		all = append(all, address{a, "--address"})
	}
	if len(all) > 0 || len(h.Domains) == 0 {
		return all
	}
	const what = "the addresses that mail leaves from"
	m := h.readMTA(ctx)
	if relay := m.relay(); relay != "" {
		h.absent(what, fmt.Sprintf("mail leaves through relayhost %s; --address checks its addresses", relay))
		return nil
	}
	for _, find := range []func(context.Context, *theMTA) []address{configured, h.interfaces, h.named} {
		if all = slices.DeleteFunc(find(ctx, m), func(a address) bool { return !publicAddress(a.addr) }); len(all) > 0 {
			return all
		}
	}
	h.absent(what, "this host has private addresses only, as behind NAT or in a container; --address checks the outer ones")
	return nil
}

// configured are the addresses that Postfix binds to.
func configured(_ context.Context, m *theMTA) []address {
	if m == nil {
		return nil
	}
	var all []address
	for _, name := range []string{"smtp_bind_address", "smtp_bind_address6", "inet_interfaces"} {
		for _, word := range strings.FieldsFunc(m.Value(name), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
			if a, err := netip.ParseAddr(strings.Trim(word, "[]")); err == nil && !a.IsUnspecified() && !slices.ContainsFunc(all, func(o address) bool { return o.addr == a.Unmap() }) {
				all = append(all, address{a.Unmap(), name})
			}
		}
	}
	return bound(all)
}

// bound leaves out the addresses of inet_interfaces in a family that has an address to bind to.
func bound(all []address) []address {
	explicit := map[bool]bool{}
	for _, a := range all {
		if a.origin != "inet_interfaces" {
			explicit[a.addr.Is4()] = true
		}
	}
	return slices.DeleteFunc(all, func(a address) bool { return a.origin == "inet_interfaces" && explicit[a.addr.Is4()] })
}

// documentation are the networks of examples (RFC 5737, 3849, 9637) and of benchmarks (RFC 2544).
// No host of the Internet has such an address; an interface may, in a test.
var documentation = []netip.Prefix{
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("3fff::/20"),
}

// interfaces are the public addresses of this host. With DNS from a file, the configuration may
// belong to another host.
func (h *Host) interfaces(_ context.Context, m *theMTA) []address {
	if h.isOffline() {
		return nil
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		h.unseen("the addresses of this host", err.Error())
		return nil
	}
	protocols := "all"
	if m != nil {
		protocols = m.Value("inet_protocols")
	}
	var all []address
	for _, a := range list {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || slices.ContainsFunc(documentation, func(n netip.Prefix) bool { return n.Contains(p.Addr()) }) {
			continue
		}
		if family := map[bool]string{true: "ipv4", false: "ipv6"}[p.Addr().Is4()]; strings.Contains(protocols, "all") || strings.Contains(protocols, family) {
			all = append(all, address{p.Addr().Unmap(), "of this host"})
		}
	}
	return all
}

// named are the addresses of the HELO name in DNS: those of a host behind NAT.
func (h *Host) named(ctx context.Context, m *theMTA) []address {
	name := h.heloName(ctx)
	if name == "" {
		return nil
	}
	v4, _ := h.DNS.LookupA(ctx, name)
	v6, _ := h.DNS.LookupAAAA(ctx, name)
	if !strings.Contains(m.Value("inet_protocols"), "all") && !strings.Contains(m.Value("inet_protocols"), "ipv6") {
		v6 = nil
	}
	var all []address
	for _, a := range slices.Concat(v4, v6) {
		all = append(all, address{a.Unmap(), "the address of " + name})
	}
	return all
}

// lookAtNames checks the names of our addresses and the HELO name.
func lookAtNames(ctx context.Context, h *Host) {
	from := h.sendingAddresses(ctx)
	each(ctx, h, "names of addresses", from, func(ctx context.Context, a address) { h.lookAtPTR(ctx, a) })
	if h.readMTA(ctx).relay() == "" {
		h.lookAtHostName(ctx)
	}
}

// lookAtPTR checks that the name of an address leads back to it.
func (h *Host) lookAtPTR(ctx context.Context, a address) {
	subject := a.addr.String()
	names, err := h.DNS.LookupPTR(ctx, a.addr)
	if err != nil {
		h.undecided("the name of "+subject, err.Error())
		return
	}
	helo := h.heloName(ctx)
	wanted := helo
	if wanted == "" {
		wanted = "mail.example.com"
	}
	ask := fmt.Sprintf("Ask the provider of the address to set its name to %s; in the reverse zone:", wanted)
	record := fmt.Sprintf("%s 3600 IN PTR %s.", reverseName(a.addr), wanted)
	if len(names) == 0 {
		h.find("ptr.missing", subject, fmt.Sprintf("%s (%s) has no name in DNS (no PTR record)", a.addr, a.origin), publish(ask, record))
		return
	}
	for _, name := range names {
		addrs, err := h.forward(ctx, name, a.addr)
		if err != nil {
			h.undecided("the address of "+name, err.Error())
			return
		}
		if slices.Contains(addrs, a.addr) {
			return
		}
	}
	remedy := publish(ask, record)
	if slices.Contains(names, helo) {
		if h.addressless(ctx, helo) {
			return // host.name says it
		}
		remedy = publish("Publish this address of the name:", addressRecord(helo, a.addr))
	}
	h.find("ptr.mismatch", subject, fmt.Sprintf("the name of %s (%s) is %s, which does not have this address", a.addr, a.origin, strings.Join(names, ", ")), remedy)
}

// addressless reports whether DNS says that a name has no address.
func (h *Host) addressless(ctx context.Context, name string) bool {
	v4, err4 := h.DNS.LookupA(ctx, name)
	v6, err6 := h.DNS.LookupAAAA(ctx, name)
	return err4 == nil && err6 == nil && len(v4)+len(v6) == 0
}

// addressRecord is an address of a name as a line of a zone file.
func addressRecord(name string, addr netip.Addr) string {
	kind := "A"
	if addr.Is6() {
		kind = "AAAA"
	}
	return fmt.Sprintf("%s. 3600 IN %s %s", name, kind, addr)
}

// forward returns the addresses of a name, of the family of addr.
func (h *Host) forward(ctx context.Context, name string, addr netip.Addr) ([]netip.Addr, error) {
	if addr.Is4() {
		return h.DNS.LookupA(ctx, name)
	}
	return h.DNS.LookupAAAA(ctx, name)
}

// reverseName is the name of an address below in-addr.arpa or ip6.arpa (RFC 1035 §3.5, RFC 3596
// §2.5).
func reverseName(a netip.Addr) string {
	var b strings.Builder
	if a.Is4() {
		octets := a.As4()
		for i := 3; i >= 0; i-- {
			fmt.Fprintf(&b, "%d.", octets[i])
		}
		return b.String() + "in-addr.arpa."
	}
	octets := a.As16()
	for i := 15; i >= 0; i-- {
		fmt.Fprintf(&b, "%x.%x.", octets[i]&15, octets[i]>>4)
	}
	return b.String() + "ip6.arpa."
}

// lookAtHostName checks the name that this host gives itself in HELO.
func (h *Host) lookAtHostName(ctx context.Context) {
	name := h.heloName(ctx)
	if name == "" {
		return
	}
	remedy := Remedy{Text: "Set a name that DNS leads to this host's address, such as:", Lines: []string{command([]string{"postconf", "-c", h.readMTA(ctx).Dir, "-e", "myhostname=mail." + exampleDomain(h)})}}
	if nameless(name) {
		h.find("host.name", name, fmt.Sprintf("the MTA calls itself %s, which is no name in DNS", name), remedy)
		return
	}
	v4, err4 := h.DNS.LookupA(ctx, name)
	v6, err6 := h.DNS.LookupAAAA(ctx, name)
	switch {
	case err4 != nil || err6 != nil:
		h.undecided("the address of "+name, cmp.Or(err4, err6).Error())
	case len(v4)+len(v6) == 0:
		h.find("host.name", name, fmt.Sprintf("the MTA calls itself %s, which has no address in DNS", name),
			Remedy{Text: "Publish this host's address for it, or set myhostname to a name that has it. In the zone:", Lines: h.ownAddressRecords(ctx, name)})
	}
}

// ownAddressRecords are the records of a name with the addresses that mail leaves from.
func (h *Host) ownAddressRecords(ctx context.Context, name string) []string {
	var lines []string
	for _, a := range h.sendingAddresses(ctx) {
		lines = append(lines, addressRecord(name, a.addr))
	}
	if len(lines) == 0 {
		lines = []string{name + ". 3600 IN A ADDRESS"}
	}
	return lines
}

// exampleDomain is a domain for examples in remedies.
func exampleDomain(h *Host) string {
	if len(h.Domains) > 0 {
		return h.Domains[0]
	}
	return "example.com"
}
