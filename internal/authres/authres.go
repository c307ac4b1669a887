// Package authres writes and reads the Authentication-Results field, and says
// which incoming ones claim to be ours (RFC 8601; RFC 6008 for header.b, RFC 8616
// for internationalized mail).
//
// Deviations, all of them on the reader's side, for the sake of fields in use: a
// property without its type ("action=none"), unquoted property values with
// characters that RFC 2045 wants quoted, and one semicolon at the end are read.
// On the writer's side: characters that have no escape every reader knows are
// replaced, not escaped; see [Field.Value].
package authres

import "strings"

// Name is the field's name.
const Name = "Authentication-Results"

// Methods of the IANA registry that we write (RFC 8601 §2.7).
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

// None is the result of a method that found nothing to evaluate, and the word
// that stands in a field without any result.
const None = "none"

// Property is what was evaluated: "header.from=example.org".
type Property struct {
	Type string // "header"; "" where a foreign field had none
	Name string // "from"
	// Value without quotes, except those around the local part of an address.
	Value string
}

// Result is what one method found (a resinfo of RFC 8601 §2.2).
type Result struct {
	Method string
	// Version of the method; 0 where none is written, which means 1.
	Version int
	Value   string // "pass"
	Reason  string // the reason= clause, "" for none
	// Comment is written in parentheses behind the result, without being part of
	// it to any machine; "" for none. The reader drops comments.
	Comment    string
	Properties []Property
}

// Field is one Authentication-Results field.
type Field struct {
	// AuthservID names who did the authentication (§2.5). Never empty in a field
	// that was read, must not be in one that is written.
	AuthservID string
	// Version of the field; 0 where none is written, which means 1.
	Version int
	// Results; none at all is what "none" in the field says.
	Results []Result
	// UTF8 lets Value write UTF-8, for a message whose sender asked for SMTPUTF8.
	// Without it domains are written as A-labels.
	UTF8 bool
}

// IsFieldName reports whether a header field's name is ours or could be taken for
// it by a lax reader.
func IsFieldName(name string) bool { return LooksLike(name, Name) }

// LooksLike reports whether a header field's name is the wanted one or could be
// taken for it by a lax reader: white space or odd octets before, in or behind it.
func LooksLike(name, wanted string) bool {
	const odd = 16
	if len(name) < len(wanted) { // nearly all names
		return false
	}
	// MTAs drop white space before the colon, however much it is.
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
