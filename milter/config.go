package milter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"signpost/internal/config"
	"signpost/internal/message"
)

// Config is the section "milter" of the configuration. The zero value is invalid: start from
// Defaults.
type Config struct {
	// Listen may be empty only if systemd passes the sockets.
	Listen []Listen `yaml:"listen"`
	// SocketMode and SocketGroup apply to every unix socket that we make. Without a group, the socket
	// has the group of the daemon.
	SocketMode  config.FileMode `yaml:"socket_mode"`
	SocketGroup string          `yaml:"socket_group"`
	// Peers lists the networks that may connect over TCP. Other connections are closed. It does not
	// apply to unix sockets.
	Peers []netip.Prefix `yaml:"peers"`
	// MaxConnections limits the connections of all listeners together. Further ones wait in the
	// kernel's queue until the MTA gives up.
	MaxConnections int `yaml:"max_connections"`
	// MaxConnectionsPerPeer limits the connections from one address over TCP, so that one host cannot
	// take all slots. 0 is half of MaxConnections for each remote address and no limit for loopback,
	// the MTA of this host. Further connections are closed.
	MaxConnectionsPerPeer int `yaml:"max_connections_per_peer"`
	// MaxPacketBytes limits one packet of the protocol. Postfix cuts a field at 100 KiB, and both MTAs
	// cut the body at 64 KiB.
	MaxPacketBytes config.Size `yaml:"max_packet_bytes"`
	// MaxMessageBytes limits header and body together, as the MTA sends them. It applies only to mail
	// that is not ours. Mail of ours is signed at any size.
	MaxMessageBytes config.Size `yaml:"max_message_bytes"`
	OnTooBig        TooBig      `yaml:"on_too_big"`
	// A header beyond MaxHeaderBytes or MaxHeaderFields is refused: passing it on without a check would
	// let any sender avoid the check.
	MaxHeaderBytes  config.Size `yaml:"max_header_bytes"`
	MaxHeaderFields int         `yaml:"max_header_fields"`
	// MaxHeaderMemory limits the memory of the headers of all current messages. A message that needs
	// more gets 451.
	MaxHeaderMemory config.Size `yaml:"max_header_memory"`
	// MaxRecipients limits how many recipients are stored, not how many are accepted.
	MaxRecipients int `yaml:"max_recipients"`
	// IdleTimeout ends an idle connection. It must be longer than the pauses of SMTP clients, since the
	// MTA is silent meanwhile.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// MessageTimeout is the time for a decision after the end of the message. A DNS answer that is
	// missing by then is a temporary error.
	MessageTimeout time.Duration `yaml:"message_timeout"`
}

// Listen is one address to listen at. In a file it is a string or a mapping.
type Listen struct {
	Address Address `yaml:"address"`
	// Role is RoleAuto when empty.
	Role message.Role `yaml:"role"`
}

func (l Listen) isTCP() bool { return l.Address.Network != "" && l.Address.Network != "unix" }

// TCP returns the first listener over TCP, if there is one.
func (c Config) TCP() (Address, bool) {
	i := slices.IndexFunc(c.Listen, Listen.isTCP)
	if i < 0 {
		return Address{}, false
	}
	return c.Listen[i].Address, true
}

// UnmarshalText reads the string form: an address with the role auto.
func (l *Listen) UnmarshalText(text []byte) error {
	l.Role = message.RoleAuto
	return l.Address.UnmarshalText(text)
}

// TooBig says what happens to a message beyond MaxMessageBytes.
type TooBig string

const (
	TooBigPass   TooBig = "pass"   // judged without its signatures, which are then temperror
	TooBigReject TooBig = "reject" // refused with 552 5.3.4
)

// Defaults returns the section for an empty file.
func Defaults() Config {
	return Config{
		Listen:         []Listen{{Address: Address{"tcp", "127.0.0.1:8891"}, Role: message.RoleAuto}},
		SocketMode:     0o660,
		Peers:          []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		MaxConnections: 4096,

		MaxPacketBytes:  defaultPacketBytes,
		MaxMessageBytes: 150e6,
		OnTooBig:        TooBigPass,
		MaxHeaderBytes:  1 << 20,
		MaxHeaderFields: 2000,
		MaxHeaderMemory: 256 << 20,
		MaxRecipients:   10000,
		IdleTimeout:     2 * time.Hour,
		MessageTimeout:  30 * time.Second,
	}
}

// Validate reports every mistake by its path within the section, with the remedy.
func (c Config) Validate(bad func(path, problem string)) {
	seen := map[Address]int{}
	for i, l := range c.Listen {
		path := fmt.Sprintf("listen[%d]", i)
		if l.Address == (Address{}) {
			bad(path+".address", "is missing: write inet:127.0.0.1:8891 or unix:/run/signpost/milter.sock")
		} else if first, twice := seen[l.Address]; twice {
			bad(path, fmt.Sprintf("%s is listen[%d] already: write each address once", l.Address, first))
		}
		seen[l.Address] = i
		if l.Role != "" {
			config.OneOf(bad, path+".role", l.Role, message.RoleAuto, message.RoleSign, message.RoleVerify, message.RoleSeal)
		}
	}
	if i := slices.IndexFunc(c.Listen, Listen.isTCP); i >= 0 && len(c.Peers) == 0 {
		bad("peers", fmt.Sprintf(`is empty, so nothing could connect to listen[%d]: write [127.0.0.0/8, "::1/128"]`, i))
	}
	if c.SocketMode.Perm()&0o200 == 0 {
		bad("socket_mode", c.SocketMode.String()+` lets no MTA connect: write "0660"`)
	}
	if strings.ContainsAny(c.SocketGroup, " :/") {
		bad("socket_group", fmt.Sprintf("%q is not a group's name or number", c.SocketGroup))
	}
	config.OneOf(bad, "on_too_big", c.OnTooBig, TooBigPass, TooBigReject)
	c.validateLimits(bad)
}

func (c Config) validateLimits(bad func(path, problem string)) {
	for _, l := range []struct {
		path      string
		value     int64
		low, high int64
	}{
		{"max_connections", int64(c.MaxConnections), 1, 1 << 20},
		{"max_connections_per_peer", int64(c.MaxConnectionsPerPeer), 0, 1 << 20},
		{"max_header_fields", int64(c.MaxHeaderFields), 50, 100_000},
		{"max_recipients", int64(c.MaxRecipients), 1, 1 << 20},
	} {
		if l.value < l.low || l.value > l.high {
			bad(l.path, fmt.Sprintf("%d: write a number from %d to %d", l.value, l.low, l.high))
		}
	}
	for _, l := range []struct {
		path      string
		value     config.Size
		low, high config.Size
	}{
		{"max_packet_bytes", c.MaxPacketBytes, 128 << 10, 64 << 20},
		{"max_message_bytes", c.MaxMessageBytes, 64 << 10, 1 << 40},
		{"max_header_bytes", c.MaxHeaderBytes, 16 << 10, 64 << 20},
		// At least a few of the largest headers must fit.
		{"max_header_memory", c.MaxHeaderMemory, max(1<<20, 4*min(c.MaxHeaderBytes, 64<<20)), 1 << 40},
	} {
		if l.value < l.low || l.value > l.high {
			bad(l.path, fmt.Sprintf("%s: write a size from %s to %s", l.value, l.low, l.high))
		}
	}
	for _, l := range []struct {
		path      string
		value     time.Duration
		low, high time.Duration
	}{
		// Postfix's SMTP client may be silent for smtpd_timeout, 300 s.
		{"idle_timeout", c.IdleTimeout, 5 * time.Minute, 24 * time.Hour},
		// Postfix gives up after milter_content_timeout, 300 s.
		{"message_timeout", c.MessageTimeout, time.Second, 4 * time.Minute},
	} {
		if l.value < l.low || l.value > l.high {
			bad(l.path, fmt.Sprintf("%s: write a time from %s to %s", l.value, l.low, l.high))
		}
	}
}
