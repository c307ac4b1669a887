package mta

import (
	"net"
	"strings"
)

// A Milter is one item of a list such as smtpd_milters.
type Milter struct {
	Text string // as it stands in the list, with its braces
	// Network is "unix" or "tcp", or empty for a text that Postfix does not understand.
	Network string
	// Address is a path, or host and port. A host's brackets are left out, the port may be a name.
	Address string
	// Attributes are those of the form { address, name = value }.
	Attributes map[string]string
}

// maxListItems limits how many items of a list count.
const maxListItems = 10_000

// List splits a value at commas and white space. Text in braces is not split, and keeps its braces.
func List(value string) []string { return split(value, ", \t\r\n") }

func split(value, separators string) []string {
	var items []string
	for len(items) < maxListItems {
		value = strings.TrimLeft(value, separators)
		if value == "" {
			break
		}
		end := itemLength(value, separators)
		items, value = append(items, value[:end]), value[end:]
	}
	return items
}

// itemLength is where the first separator outside of braces stands.
func itemLength(value, separators string) int {
	level := 0
	for i := range len(value) {
		switch c := value[i]; {
		case c == '{':
			level++
		case c == '}':
			level--
		case level <= 0 && strings.IndexByte(separators, c) >= 0:
			return i
		}
	}
	return len(value)
}

// ParseMilters reads an expanded list of milters.
func ParseMilters(value string) []Milter {
	var milters []Milter
	for _, item := range List(value) {
		milters = append(milters, parseMilter(item))
	}
	return milters
}

func parseMilter(item string) Milter {
	m := Milter{Text: item}
	address := item
	if strings.HasPrefix(item, "{") {
		words := List(strings.TrimSuffix(item[1:], "}"))
		if len(words) == 0 {
			return m
		}
		address = words[0]
		m.Attributes = attributes(strings.Join(words[1:], " "))
	}
	m.Network, m.Address = splitAddress(address)
	return m
}

// attributes reads "name=value name = value".
func attributes(text string) map[string]string {
	found := map[string]string{}
	text = strings.NewReplacer(" = ", "=", " =", "=", "= ", "=").Replace(text)
	for _, word := range strings.Fields(text) {
		if name, value, ok := nameValue(word); ok {
			found[name] = value
		}
	}
	return found
}

// splitAddress reads inet:host:port, inet:port on localhost, unix:path and local:path, as Postfix does. Other
// forms have no network.
func splitAddress(text string) (network, address string) {
	scheme, rest, _ := strings.Cut(text, ":")
	switch scheme {
	case "unix", "local":
		if rest != "" {
			return "unix", rest
		}
	case "inet":
		at := strings.LastIndexByte(rest, ':')
		host, port := strings.Trim(rest[:max(at, 0)], "[]"), rest[at+1:]
		if port == "" || strings.Contains(rest, "@") {
			return "", ""
		}
		if host == "" {
			host = "localhost"
		}
		return "tcp", net.JoinHostPort(host, port)
	}
	return "", ""
}

// Attribute is the attribute of this milter, or else the parameter for all.
func (m Milter) Attribute(name, others string) string {
	if v, ok := m.Attributes[name]; ok {
		return v
	}
	return others
}
