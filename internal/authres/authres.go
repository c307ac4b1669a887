// Package authres writes and reads the Authentication-Results field, and decides
// which incoming fields claim to be ours (RFC 8601; RFC 6008 for header.b, RFC 8616
// for internationalized mail).
//
// Deviations: the reader accepts three forms that occur in real mail: a property
// without its type ("action=none"), unquoted property values with characters that
// RFC 2045 requires to be quoted, and a final semicolon. The writer replaces special
// characters and does not escape them, since some readers know no escapes; see
// [Field.Value].
package authres

import "strings"

// Name is the field's name.
const Name = "Authentication-Results"

// Methods that we write, by their IANA names (RFC 8601 §2.7).
const (
	MethodARC   = "arc"   // RFC 8617
	MethodAuth  = "auth"  // SMTP AUTH
	MethodDKIM  = "dkim"  // RFC 6376
	MethodDMARC = "dmarc" // RFC 9989
	MethodIPRev = "iprev" // RFC 8601 §3
	MethodSPF   = "spf"   // RFC 7208
)

// Property types (RFC 8601 §2.3, RFC 7410).
const (
	TypeBody   = "body"
	TypeHeader = "header"
	TypePolicy = "policy"
	TypeSMTP   = "smtp"
)

// None is the result of a method that found nothing to evaluate, and the word in a
// field without results.
const None = "none"

// Property is the evaluated value: "header.from=example.org".
type Property struct {
	Type string // "header"; "" if a foreign field has none
	Name string // "from"
	// Value without quotes, except those around the local part of an address.
	Value string
}

// Result is the result of one method (a resinfo of RFC 8601 §2.2).
type Result struct {
	Method string
	// Version of the method; 0 if not written, which means 1.
	Version int
	Value   string // "pass"
	Reason  string // the reason= clause, "" for none
	// Comment is written in parentheses after the result and has no meaning for
	// programs; "" for none. Parse drops comments.
	Comment    string
	Properties []Property
}

// Field is one Authentication-Results field.
type Field struct {
	// AuthservID names the host that did the authentication (§2.5). Parse never
	// returns an empty one, and Value must not be called with one.
	AuthservID string
	// Version of the field; 0 if not written, which means 1.
	Version int
	// Results; an empty list is written as "none".
	Results []Result
	// UTF8 lets Value write UTF-8, for a message with SMTPUTF8. Without it domains are
	// written as A-labels.
	UTF8 bool
}

// IsFieldName reports whether a header field's name is ours, or a lenient reader could
// take it for ours.
func IsFieldName(name string) bool { return LooksLike(name, Name) }

// LooksLike reports whether a header field's name is the wanted one, or a lenient
// reader could take it for that: it has white space or unusual octets before, in or
// after it.
func LooksLike(name, wanted string) bool {
	const odd = 16
	if len(name) < len(wanted) { // nearly all names
		return false
	}
	// Of what a reader leaves out, nothing is a letter.
	if c := name[0] | 0x20; 'a' <= c && c <= 'z' && c != wanted[0]|0x20 {
		return false
	}
	// MTAs drop any amount of white space before the colon.
	for name != "" && strings.IndexByte(" \t\r\n", name[len(name)-1]) >= 0 {
		name = name[:len(name)-1]
	}
	if len(name) < len(wanted) || len(name) > len(wanted)+odd {
		return false
	}
	if len(name) == len(wanted) {
		return strings.EqualFold(name, wanted)
	}
	kept := make([]byte, 0, len(name))
	for i := range len(name) {
		if name[i] > ' ' && name[i] < 0x7f {
			kept = append(kept, name[i])
		}
	}
	return strings.EqualFold(strings.Trim(string(kept), "-_.\"'>"), wanted)
}
