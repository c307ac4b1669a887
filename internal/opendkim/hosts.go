package opendkim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// hosts is a data set of clients.
type hosts struct {
	networks  []netip.Prefix
	everybody []netip.Prefix // 0.0.0.0/0 and ::/0, which are not among the networks
	notes     []string
}

// defaultInternal are the clients whose mail is signed where InternalHosts is not set. The
// program has both addresses; opendkim.conf(5) names the first alone.
func defaultInternal() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}
}

// clients reads InternalHosts or PeerList: names, addresses and networks, with "!"
// for those that are not meant. The most specific entry counts.
func (c *Config) clients(name string) (hosts, error) {
	var h hosts
	d, err := c.dataSet(name)
	if err != nil {
		return h, err
	}
	h.notes = d.notes
	type network struct {
		netip.Prefix
		not bool
	}
	var all []network
	for _, r := range d.rows {
		key, not := strings.CutPrefix(r.key, "!")
		p, problem := clientNetwork(key)
		if starred, ok := starNetwork(key); ok && d.kind == "refile" {
			p, problem = starred, ""
		} else if r.re != nil && problem == "" {
			problem = "in a refile brackets make it a pattern of single characters, which fits no address; it is left out"
		}
		switch {
		case problem == "" && p.Bits() == 0 && !not:
			h.everybody = append(h.everybody, p)
		case strings.EqualFold(key, "localhost"):
			for _, p := range []string{"127.0.0.1/32", "::1/128"} {
				all = append(all, network{netip.MustParsePrefix(p), not})
			}
		case problem != "":
			h.notes = append(h.notes, d.where(r)+": "+problem)
		default:
			all = append(all, network{p, not})
		}
	}
	slices.SortStableFunc(all, func(a, b network) int {
		if a.Bits() == b.Bits() && a.not != b.not { // at equal length "!" counts
			return map[bool]int{true: 1, false: -1}[a.not]
		}
		return a.Bits() - b.Bits()
	})
	for _, n := range all {
		if n.not {
			h.networks = without(h.networks, n.Prefix)
		} else {
			h.networks = with(h.networks, n.Prefix)
		}
	}
	return h, nil
}

// clientNetwork reads an address or a network as opendkim compares it, by its text.
func clientNetwork(key string) (p netip.Prefix, problem string) {
	const never = "opendkim compares the text of the network and never finds this one"
	address, bits, masked := strings.Cut(key, "/")
	if strings.HasPrefix(address, "[") && strings.HasSuffix(address, "]") {
		address = address[1 : len(address)-1]
	}
	addr, err := netip.ParseAddr(address)
	if err != nil {
		switch {
		case strings.Trim(key, "*@.") == "" || strings.Trim(key, "0123456789./*") == "":
			return p, "this is neither an address nor a network such as 192.0.2.0/24; it is left out"
		}
		return p, "a client is not known by its name here; add its address to signer.ours.networks, or else its mail is no longer signed"
	}
	if !masked {
		if lower(address) != addr.String() {
			return p, never + fmt.Sprintf("; %s is its usual form, and can be added to signer.ours.networks", addr)
		}
		return netip.PrefixFrom(addr, addr.BitLen()), ""
	}
	p, err = netip.ParsePrefix(addr.String() + "/" + bits)
	if err != nil {
		return p, "this is no network; it is left out"
	}
	if p != p.Masked() || lower(address) != addr.String() {
		return p, never + fmt.Sprintf(", so mail from there was not signed; if it should be, add %s to signer.ours.networks", p.Masked())
	}
	return p, ""
}

// starNetwork reads the pattern of a refile that fits all addresses of a network, such
// as 192.168.*
func starNetwork(key string) (netip.Prefix, bool) {
	if key == "*" {
		return netip.MustParsePrefix("0.0.0.0/0"), true
	}
	octets := strings.Split(key, ".")
	n := len(octets) - 1
	if n < 1 || n > 3 || octets[n] != "*" {
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(fmt.Sprintf("%s%s/%d", strings.Join(octets[:n], "."), strings.Repeat(".0", 4-n), 8*n))
	return p, err == nil
}

// with adds a network.
func with(set []netip.Prefix, p netip.Prefix) []netip.Prefix {
	for _, q := range set {
		if q.Overlaps(p) && q.Bits() <= p.Bits() {
			return set
		}
	}
	return append(set, p)
}

// without takes a network out, and leaves the rest as it is.
func without(set []netip.Prefix, p netip.Prefix) []netip.Prefix {
	var rest []netip.Prefix
	for _, q := range set {
		switch {
		case !q.Overlaps(p):
			rest = append(rest, q)
		case q.Bits() < p.Bits():
			rest = append(rest, without(halves(q), p)...)
		}
	}
	return rest
}

func halves(p netip.Prefix) []netip.Prefix {
	bits := p.Bits() + 1
	octets := p.Addr().AsSlice()
	octets[(bits-1)/8] |= 1 << (7 - (bits-1)%8)
	upper, _ := netip.AddrFromSlice(octets)
	return []netip.Prefix{netip.PrefixFrom(p.Addr(), bits), netip.PrefixFrom(upper, bits)}
}
