package page

import (
	"fmt"
	"net"
	"strings"
)

// Config is the section `reports.page`.
type Config struct {
	// Listen is where the page is served: "unix:PATH", or "inet:HOST:PORT" on loopback; "" serves none.
	Listen string `yaml:"listen"`
	// Group may connect to the unix socket: that of the web server in front of it.
	Group string `yaml:"group"`
	// Hosts are the names under which browsers ask for the page, besides localhost.
	Hosts []string `yaml:"hosts"`
}

// Defaults serves no page: a name in Listen switches it on.
func Defaults() Config { return Config{Group: "signpost-admin", Hosts: []string{}} }

// Socket returns the path of a unix socket, else "".
func (c Config) Socket() string {
	path, unix := strings.CutPrefix(c.Listen, "unix:")
	if !unix {
		return ""
	}
	return path
}

// address returns the address of a TCP listener.
func (c Config) address() string { return strings.TrimPrefix(c.Listen, "inet:") }

// Validate reports every mistake with its path within the section.
func (c Config) Validate(bad func(path, problem string)) {
	switch {
	case c.Listen == "":
	case strings.HasPrefix(c.Listen, "unix:"):
		if !strings.HasPrefix(c.Socket(), "/") {
			bad("listen", fmt.Sprintf("%q is no absolute path: write unix:/run/signpost/page.sock", c.Listen))
		}
	default:
		host, _, err := net.SplitHostPort(c.address())
		ip := net.ParseIP(host)
		if err != nil || (host != "localhost" && (ip == nil || !ip.IsLoopback())) {
			bad("listen", fmt.Sprintf("%q is neither a unix socket nor an address on loopback: write unix:/run/signpost/page.sock and put a web server with a login before it", c.Listen))
		}
	}
	for _, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/: ") {
			bad("hosts", fmt.Sprintf("%q is not a host name: write it without scheme and port", h))
		}
	}
}
