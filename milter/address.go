package milter

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is a listening address for package net: the network "tcp", "tcp4", "tcp6" or "unix",
// and an address of that network.
type Address struct{ Network, Addr string }

const addressForms = "write inet:host:port, inet:port@host, inet6:port@host or unix:/path"

// ParseAddress reads Postfix's form (inet:host:port, unix:/path), libmilter's (inet:port@host,
// inet6:port@host, local:/path), a bare path and a bare host:port. Without a host, or with *,
// it is every IPv4 and IPv6 address of the machine. A port is a number.
func ParseAddress(text string) (Address, error) {
	if strings.HasPrefix(text, "/") {
		return unixAddress(text, text)
	}
	scheme, rest, found := strings.Cut(text, ":")
	if !found {
		return Address{}, fmt.Errorf("%q is not an address of a milter: %s", text, addressForms)
	}
	switch strings.ToLower(scheme) {
	case "unix", "local":
		return unixAddress(text, rest)
	case "inet", "tcp":
		return inetAddress("tcp", text, rest)
	case "inet4":
		return inetAddress("tcp4", text, rest)
	case "inet6", "tcp6":
		return inetAddress("tcp6", text, rest)
	}
	return inetAddress("tcp", text, text)
}

func unixAddress(text, path string) (Address, error) {
	// The system call takes no longer path.
	const longest = 107
	switch {
	case !strings.HasPrefix(path, "/"):
		return Address{}, fmt.Errorf("%q: a socket's path begins with /: write unix:/run/signpost/milter.sock", text)
	case len(path) > longest:
		return Address{}, fmt.Errorf("%q: a socket's path has at most %d characters", text, longest)
	case strings.ContainsRune(path, 0):
		return Address{}, fmt.Errorf("%q: a path has no NUL in it", text)
	}
	return Address{"unix", path}, nil
}

func inetAddress(network, text, rest string) (Address, error) {
	host, port := "", rest
	switch {
	case strings.Contains(rest, "@"):
		port, host, _ = strings.Cut(rest, "@")
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	case strings.Contains(rest, ":"):
		var err error
		if host, port, err = net.SplitHostPort(rest); err != nil {
			return Address{}, fmt.Errorf("%q is not an address of a milter: %s; an IPv6 address stands in [ ]", text, addressForms)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return Address{}, fmt.Errorf("%q: the port %q is not a number from 0 to 65535: %s", text, port, addressForms)
	}
	if host == "*" {
		host = ""
	}
	if strings.ContainsAny(host, "/@[] \t") {
		return Address{}, fmt.Errorf("%q: %q is not a host: %s", text, host, addressForms)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		switch is4 := addr.Unmap().Is4(); {
		case network == "tcp4" && !is4:
			return Address{}, fmt.Errorf("%q: %s is an IPv6 address: write inet6:[%s]:%s", text, host, host, port)
		case network == "tcp6" && is4:
			return Address{}, fmt.Errorf("%q: %s is an IPv4 address: write inet:%s:%s", text, host, addr.Unmap(), port)
		}
	}
	return Address{network, net.JoinHostPort(host, port)}, nil
}

// isLoopback reports whether only this host can reach the address. Host names other than
// localhost are not looked up and count as reachable.
func (a Address) isLoopback() bool {
	host, _, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || (err == nil && addr.Unmap().IsLoopback())
}

// UnmarshalText is ParseAddress.
func (a *Address) UnmarshalText(text []byte) error {
	parsed, err := ParseAddress(string(text))
	if err == nil {
		*a = parsed
	}
	return err
}

// String returns Postfix's form, as in main.cf.
func (a Address) String() string {
	switch a.Network {
	case "":
		return ""
	case "unix":
		return "unix:" + a.Addr
	case "tcp6":
		return "inet6:" + a.Addr
	case "tcp4":
		return "inet4:" + a.Addr
	}
	return "inet:" + a.Addr
}

// MarshalText is String.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
