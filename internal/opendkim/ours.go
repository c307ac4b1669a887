package opendkim

import (
	"net/netip"
	"strings"
)

// Client is who sends a message, as far as opendkim looks at it.
type Client struct {
	Addr   netip.Addr
	Login  string // by SMTP AUTH
	Daemon string // macro {daemon_name}
}

// Clients answers whether mail of a client is signed.
type Clients struct {
	peers, internal []netip.Prefix
	daemons         []string
	allDaemons      bool
}

// Clients reads InternalHosts, PeerList, MTA and MacroList. Names of hosts are not
// known, but for localhost.
func (c *Config) Clients() (Clients, error) {
	s := Clients{internal: defaultInternal()}
	if _, set := c.value("InternalHosts"); set {
		h, err := c.clients("InternalHosts")
		if err != nil {
			return s, err
		}
		s.internal = append(h.networks, h.everybody...)
	}
	if _, set := c.value("PeerList"); set {
		h, err := c.clients("PeerList")
		if err != nil {
			return s, err
		}
		s.peers = append(h.networks, h.everybody...)
	}
	overruled := false
	if _, set := c.value("MacroList"); set {
		d, err := c.dataSet("MacroList")
		if err != nil {
			return s, err
		}
		for _, r := range d.rows {
			if r.key == "daemon_name" {
				overruled = true
				s.allDaemons = s.allDaemons || r.value == ""
				s.daemons = append(s.daemons, strings.Split(r.value, "|")...)
			}
		}
	}
	if _, set := c.value("MTA"); set && !overruled {
		d, err := c.dataSet("MTA")
		if err != nil {
			return s, err
		}
		for _, r := range d.rows {
			s.daemons = append(s.daemons, r.key)
		}
	}
	return s, nil
}

// Sign reports whether opendkim signs mail of a client.
func (s Clients) Sign(c Client) bool {
	if contains(s.peers, c.Addr) {
		return false
	}
	if c.Daemon != "" {
		for _, name := range s.daemons {
			if strings.TrimSpace(name) == c.Daemon {
				return true
			}
		}
		if s.allDaemons {
			return true
		}
	}
	return c.Login != "" || contains(s.internal, c.Addr)
}

func contains(networks []netip.Prefix, addr netip.Addr) bool {
	for _, p := range networks {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Examples are clients of each kind that the settings name, and some that they do not.
func (s Clients) Examples() []Client {
	all := []Client{
		{Addr: netip.MustParseAddr("127.0.0.1")}, {Addr: netip.MustParseAddr("::1")},
		{Addr: netip.MustParseAddr("198.51.100.200")}, {Addr: netip.MustParseAddr("198.51.100.200"), Login: "alice"},
	}
	for _, networks := range [][]netip.Prefix{s.internal, s.peers} {
		for _, p := range networks {
			all = append(all, Client{Addr: p.Addr()})
			if next := p.Addr().Next(); p.Contains(next) {
				all = append(all, Client{Addr: next})
			}
		}
	}
	for _, name := range s.daemons {
		if name = strings.TrimSpace(name); name != "" {
			all = append(all, Client{Addr: netip.MustParseAddr("198.51.100.200"), Daemon: name})
		}
	}
	if s.allDaemons {
		all = append(all, Client{Addr: netip.MustParseAddr("198.51.100.200"), Daemon: "smtpd"})
	}
	var once []Client
	seen := map[Client]bool{}
	for _, c := range all {
		if !seen[c] {
			seen[c] = true
			once = append(once, c)
		}
	}
	return once
}
