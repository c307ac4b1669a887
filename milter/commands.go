package milter

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"

	gomilter "github.com/emersion/go-milter"
)

// client has the data of CONNECT and HELO. It outlives a message.
type client struct {
	addr netip.Addr // invalid if the MTA knows none
	text string     // addr, for the log
	name string
	helo string
	// portless says that the client has port 0; see session.origin.
	portless bool
}

var errConnectPacket = errors.New("CONNECT packet cut short: this is no milter client")

// parseConnect reads host NUL family [port address NUL].
func parseConnect(data []byte) (client, error) {
	host, rest, ok := bytes.Cut(data, nul)
	if !ok || len(rest) == 0 {
		return client{}, errConnectPacket
	}
	c := client{name: string(host)}
	switch gomilter.ProtoFamily(rest[0]) {
	case gomilter.FamilyInet, gomilter.FamilyInet6:
		if len(rest) < 3 {
			return client{}, errConnectPacket
		}
		text, _, _ := bytes.Cut(rest[3:], nul)
		c.portless = rest[1] == 0 && rest[2] == 0
		if c.addr = parseAddr(string(text)); c.addr.IsValid() {
			c.text = c.addr.String()
		}
	}
	return c, nil
}

// parseAddr reads a client's address; the result is invalid if there is none.
func parseAddr(text string) netip.Addr {
	// Sendmail writes the prefix (anynet_ntop), Postfix does not.
	const prefix = "IPv6:"
	if len(text) > len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
		text = text[len(prefix):]
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	// RFC 7208 §5: IPv4-mapped IPv6 is IPv4. A zone has no meaning on other hosts.
	return addr.WithZone("").Unmap()
}

// parsePath splits a MAIL or RCPT packet into the path without angle brackets and the ESMTP
// parameters, each with a NUL after it.
func parsePath(data []byte) (path string, parameters []byte) {
	argument, parameters, _ := bytes.Cut(data, nul)
	argument = bytes.TrimSpace(argument)
	if n := len(argument); n >= 2 && argument[0] == '<' && argument[n-1] == '>' {
		argument = argument[1 : n-1]
	}
	return string(argument), parameters
}

// hasParameter reports whether the ESMTP parameters include a keyword.
func hasParameter(parameters []byte, keyword string) bool {
	for len(parameters) > 0 {
		var p []byte
		p, parameters, _ = bytes.Cut(parameters, nul)
		if len(p) == len(keyword) && strings.EqualFold(string(p), keyword) {
			return true
		}
	}
	return false
}

// parseField reads name NUL value NUL. Without the last NUL the value extends to the end; octets
// after it are dropped.
func parseField(data []byte) (name, value []byte) {
	name, rest, _ := bytes.Cut(data, nul)
	value, _, _ = bytes.Cut(rest, nul)
	return name, value
}
