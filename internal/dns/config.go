package dns

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Config is the section "dns:".
type Config struct {
	// Servers are the resolvers to ask, in this order: "127.0.0.1", "[::1]:5353",
	// "9.9.9.9:53". They must be recursive. Empty: those of the system.
	Servers []string `yaml:"servers"`
	// Timeout is the time of one try at one server.
	Timeout time.Duration `yaml:"timeout"`
	// Tries limits the tries for one question, at all servers together.
	Tries int `yaml:"tries"`
	// ZoneFile, if set, replaces the network.
	ZoneFile string `yaml:"zone_file"`
}

// Defaults returns the section's defaults.
func Defaults() Config { return Config{Timeout: 2 * time.Second, Tries: 3} }

// The limits of the configuration. Larger values would outlast the SMTP client's
// timeout.
const (
	minTimeout, maxTimeout = 50 * time.Millisecond, 30 * time.Second
	maxTries               = 10
	maxServers             = 16
)

// Validate calls bad for each unusable value, with its path below the section and the
// correction. It reads no file.
func (c Config) Validate(bad func(path, problem string)) {
	for i, s := range c.Servers {
		if _, err := parseServer(s); err != nil {
			bad(fmt.Sprintf("servers[%d]", i), err.Error())
		}
	}
	if len(c.Servers) > maxServers {
		bad("servers", fmt.Sprintf("there are %d servers: write at most %d", len(c.Servers), maxServers))
	}
	if c.Timeout < minTimeout || c.Timeout > maxTimeout {
		bad("timeout", fmt.Sprintf("%s is out of range: write a time from %s to %s, as 2s", c.Timeout, minTimeout, maxTimeout))
	}
	if c.Tries < 1 || c.Tries > maxTries {
		bad("tries", fmt.Sprintf("%d is out of range: write a number from 1 to %d", c.Tries, maxTries))
	}
}

// parseServer reads "address", "address:port" or "[address]:port".
func parseServer(s string) (netip.AddrPort, error) {
	const port = 53
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 && !ap.Addr().IsUnspecified() {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
	}
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	if addr, err := netip.ParseAddr(bare); err == nil && !addr.IsUnspecified() {
		return netip.AddrPortFrom(addr.Unmap(), port), nil
	}
	return netip.AddrPort{}, fmt.Errorf("%s is not the address of a server: write an IP address, with a port if it is not %d, as 127.0.0.1 or [::1]:5353", strconv.Quote(s), port)
}

// Asker answers questions. Its methods may be used concurrently. An error has an *Error
// in its chain.
type Asker interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupA(ctx context.Context, name string) ([]netip.Addr, error)
	LookupAAAA(ctx context.Context, name string) ([]netip.Addr, error)
	LookupMX(ctx context.Context, name string) ([]string, error)
	LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error)
	Exists(ctx context.Context, name string) (bool, error)
}

// Source is the network (Resolver) or a zone file (Zone).
type Source interface {
	Asker
	// Close ends running look-ups; later ones fail. A zone continues to answer.
	Close() error
}

// Open returns the Source that the section configures. The error of a zone file names
// the first mistake.
func Open(c Config) (Source, error) {
	if c.ZoneFile != "" {
		z, err := LoadZone(c.ZoneFile)
		if err != nil {
			return nil, err
		}
		return z, nil
	}
	r, err := New(c)
	if err != nil {
		return nil, err
	}
	return r, nil
}
