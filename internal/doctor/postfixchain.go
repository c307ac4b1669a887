package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"signpost/internal/message"
	"signpost/internal/mta"
	"signpost/milter"
)

// A chain is one way into Postfix: a service, and the milters that it asks in turn.
type chain struct {
	p         *postfix
	service   mta.Service
	parameter string // smtpd_milters, or non_smtpd_milters
	off       bool   // receive_override_options has no_milters
	mapped    bool   // smtpd_milter_maps switches all milters off
	offLinks  []link // the milters that are not asked for that reason
	links     []link
}

// A link is one milter of a chain.
type link struct {
	mta.Milter
	// listener is the one of ours that is meant; nil: the milter is another program's.
	listener *milter.Listen
	// hidden: the path leads to our listener, but not as the service sees it.
	hidden bool
}

func (p *postfix) chain(s mta.Service, parameter, options string) *chain {
	c := &chain{p: p, service: s, parameter: parameter}
	c.off = slices.Contains(mta.List(options), "no_milters")
	for _, m := range mta.ParseMilters(p.For(s, parameter)) {
		l := link{Milter: m}
		for i, ours := range p.h.Config.Milter.Listen {
			if at, hidden := c.meets(m, ours.Address); at {
				l.listener, l.hidden = &p.h.Config.Milter.Listen[i], hidden
				break
			}
		}
		c.links = append(c.links, l)
	}
	if c.off {
		c.links, c.offLinks = nil, c.links
	}
	if parameter == "smtpd_milters" && p.MilterMaps(s).DisabledForAll() {
		c.links, c.mapped = nil, true
	}
	return c
}

// ours are the links that lead to us.
func (c *chain) ours() []link {
	return slices.DeleteFunc(slices.Clone(c.links), func(l link) bool { return l.listener == nil })
}

func (c *chain) connected() bool { return len(c.ours()) > 0 }

// has reports whether the chain leads to a listener that signs, or judges.
func (c *chain) has(role message.Role) bool {
	return slices.ContainsFunc(c.ours(), func(l link) bool { return does(*l.listener, role) })
}

// hasOnly reports whether the chain leads to a listener of exactly this role.
func (c *chain) hasOnly(role message.Role) bool {
	return slices.ContainsFunc(c.ours(), func(l link) bool { return l.listener.Role == role })
}

// meets reports whether a milter's address is that of our listener. hidden means that it would be, if the
// service saw the file system otherwise.
func (c *chain) meets(m mta.Milter, ours milter.Address) (meets, hidden bool) {
	if m.Network == "unix" && ours.Network == "unix" {
		if leadsTo(c.p.View(c.service), m.Address, ours.Addr) {
			return true, false
		}
		other := c.service
		other.Chroot = !other.Chroot
		meets = leadsTo(c.p.View(other), m.Address, ours.Addr)
		return meets, meets
	}
	return m.Network == "tcp" && ours.Network != "unix" && c.p.h.tcpMeets(m.Address, ours), false
}

// leadsTo reports whether a path of main.cf is the path of our socket, by name or, where both exist, as
// a file.
func leadsTo(v mta.View, path, ours string) bool {
	root := v.Root
	if !filepath.IsAbs(path) {
		root = v.Dir
	}
	if filepath.Join(root, path) == filepath.Clean(ours) || sameFile(v, path, ours) {
		return true
	}
	// While the daemon is down there is no socket, but its folder.
	return filepath.Base(path) == filepath.Base(ours) && sameFile(v, filepath.Dir(path), filepath.Dir(ours))
}

// sameFile reports whether a path as a process sees it is the file at another path as we see it.
func sameFile(v mta.View, path, ours string) bool {
	steps, err := v.Resolve(path)
	if err != nil {
		return false
	}
	info, err := os.Stat(ours)
	return err == nil && os.SameFile(info, steps[len(steps)-1].Info)
}

// tcpMeets reports whether Postfix, connecting to host and port, comes to our listener.
func (h *Host) tcpMeets(address string, ours milter.Address) bool {
	host, port, err := net.SplitHostPort(address)
	ourHost, ourPort, err2 := net.SplitHostPort(ours.Addr)
	if err != nil || err2 != nil || portNumber(port) != portNumber(ourPort) {
		return false
	}
	if host == ourHost || ourHost == "" {
		return true
	}
	at, known := h.addressesOf(host)
	our, ourKnown := h.addressesOf(ourHost)
	if !known || !ourKnown {
		return true // a name that only Postfix' host knows, such as that of a container
	}
	return slices.ContainsFunc(our, func(o netip.Addr) bool {
		return slices.ContainsFunc(at, func(a netip.Addr) bool { return o == a || o.IsUnspecified() && o.Is4() == a.Is4() })
	})
}

func portNumber(port string) int {
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return -1
	}
	return n
}

// nameTime limits the look-up of a host's name in a milter's address.
const nameTime = time.Second

// addressesOf are the addresses of a host, which is known where it has any. A name is looked up once.
func (h *Host) addressesOf(host string) (found []netip.Addr, known bool) {
	if all, ok := h.names.Load(host); ok {
		found = all.([]netip.Addr)
		return found, len(found) > 0
	}
	found = lookUpHost(host)
	h.names.Store(host, found)
	return found, len(found) > 0
}

func lookUpHost(host string) []netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	if strings.EqualFold(host, "localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), nameTime)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	for i := range all {
		all[i] = all[i].Unmap()
	}
	return all
}

// postfixForm is a listener's address as Postfix has to write it for this service. A socket below
// queue_directory is named from there, which is right with a chroot and without.
func (c *chain) postfixForm(l milter.Listen) string {
	if l.Address.Network == "unix" {
		if path, ok := within(c.p.Value("queue_directory"), l.Address.Addr); ok {
			return "unix:" + path
		}
		return "unix:" + l.Address.Addr
	}
	host, port, err := net.SplitHostPort(l.Address.Addr)
	if err != nil {
		return l.Address.String()
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return "inet:" + host + ":" + port
}

// listenerFor chooses the listener that a service should ask: one of the very role first, and one that the
// service can see.
func (c *chain) listenerFor(role message.Role) (milter.Listen, bool) {
	var best milter.Listen
	found, rank := false, -1
	for _, l := range c.p.h.Config.Milter.Listen {
		if !does(l, role) {
			continue
		}
		points := 0
		switch l.Role {
		case role:
			points += 4
		case message.RoleSeal:
		default:
			points += 2
		}
		if _, inside := within(c.p.Value("queue_directory"), l.Address.Addr); l.Address.Network != "unix" || inside || !c.service.Chroot {
			points++
		}
		if points > rank {
			best, found, rank = l, true, points
		}
	}
	return best, found
}

// source is the parameter that has the chain's list: where the list is only $name, it is that one. own says
// that it is an option -o of the service.
func (c *chain) source() (parameter string, own bool) {
	parameter = c.parameter
	value, own := c.service.Overridden(parameter)
	if !own {
		value = c.p.Raw(parameter)
	}
	for range maxAliases {
		name, ok := alias(value)
		if !ok {
			break
		}
		if _, again := c.service.Overridden(name); again {
			break
		}
		parameter, own, value = name, false, c.p.Raw(name)
	}
	return parameter, own
}

// maxAliases limits how many parameters a list is followed through.
const maxAliases = 10

// alias returns the name of a value that is $name and nothing else.
func alias(value string) (string, bool) {
	name, ok := strings.CutPrefix(strings.TrimSpace(value), "$")
	name = strings.TrimSuffix(strings.TrimPrefix(name, "{"), "}")
	return name, ok && name != "" && !strings.ContainsAny(name, "$?:{} ,\t")
}

// setList is the remedy that changes the chain's list where it stands.
func (c *chain) setList(text, value string) Remedy {
	parameter, own := c.source()
	if own {
		return c.p.setService(c.service, text, parameter, value)
	}
	return do(text, c.p.postconf("-e", strings.TrimSpace(parameter+" = "+value)), c.p.reload())
}

// listSubject is where the chain's list stands.
func (c *chain) listSubject() string {
	parameter, own := c.source()
	if own {
		return c.service.Key() + "/" + parameter
	}
	return parameter
}

// withOurs is the remedy that puts our listener in front of the chain's milters.
func (c *chain) withOurs(text string, role message.Role) Remedy {
	l, ok := c.listenerFor(role)
	if !ok {
		return Remedy{Text: fmt.Sprintf("Give signpost.yaml a listener of role %s in milter.listen, and its address to %s of Postfix.", role, c.parameter)}
	}
	value := c.postfixForm(l)
	if before := c.raw(); before != "" {
		value += ", " + before
	}
	return c.visible(l, c.setList(text, value))
}

// visible adds to a remedy what the service, and each other one whose list it changes, needs to see the listener's
// socket: to run without a chroot, where the socket is outside.
func (c *chain) visible(l milter.Listen, r Remedy) Remedy {
	for _, o := range c.p.chains() {
		if words := o.leaveChroot(l); words != nil && (o.service.Key() == c.service.Key() || o.sharesList(c)) {
			r.Commands = slices.Insert(r.Commands, 0, words)
		}
	}
	return r
}

// sharesList reports whether both ways take their list from the same place of main.cf.
func (c *chain) sharesList(o *chain) bool {
	parameter, own := c.source()
	other, otherOwn := o.source()
	return parameter == other && !own && !otherOwn
}

// leaveChroot is the command that lets the service run without a chroot, if it could not see the socket in it.
func (c *chain) leaveChroot(l milter.Listen) []string {
	_, inside := within(c.p.Value("queue_directory"), l.Address.Addr)
	if l.Address.Network != "unix" || inside || !c.service.Chroot {
		return nil
	}
	return c.p.postconf("-F", c.service.Key()+"/chroot=n")
}

// raw is the chain's list as it is written.
func (c *chain) raw() string {
	parameter, own := c.source()
	if own {
		v, _ := c.service.Overridden(parameter)
		return v
	}
	return strings.Join(strings.Fields(c.p.Raw(parameter)), " ")
}

// replaced is the chain's list with one item in place of another.
func (c *chain) replaced(old, item string) string {
	items := mta.List(c.raw())
	if !slices.Contains(items, old) {
		items = mta.List(c.p.For(c.service, c.parameter))
	}
	for i := range items {
		if items[i] == old {
			items[i] = item
		}
	}
	return strings.Join(items, ", ")
}

// with is the milter's text with another address, and its attributes kept.
func (l link) with(address string) string {
	if !strings.HasPrefix(l.Text, "{") {
		return address
	}
	words := mta.List(strings.TrimSuffix(l.Text[1:], "}"))
	if len(words) == 0 {
		return address
	}
	return "{ " + address + strings.TrimPrefix(strings.TrimSpace(l.Text[1:]), words[0])
}

// silent reports whether nothing listens at a milter's address, as the service sees it.
func (c *chain) silent(m mta.Milter) bool {
	network, address := m.Network, m.Address
	switch network {
	case "":
		return true
	case "unix":
		steps, err := c.p.View(c.service).Resolve(address)
		if os.IsPermission(err) {
			return false // it cannot be seen
		}
		if err != nil {
			return true
		}
		address = steps[len(steps)-1].Path
	case "tcp":
		host, port, err := net.SplitHostPort(address)
		if _, known := c.p.h.addressesOf(host); err != nil || !known {
			return false // a name that only Postfix' host knows
		}
		address = net.JoinHostPort(host, strconv.Itoa(portNumber(port)))
	}
	conn, err := net.DialTimeout(network, address, patience.milter)
	if err != nil {
		return !os.IsPermission(err)
	}
	conn.Close()
	return false
}
