package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"signpost/internal/message"
)

// version begins an SPF record (§4.5).
const version = "v=spf1"

// Record is an SPF record of valid syntax. It never changes.
type Record struct {
	terms       []term // the directives, in order
	redirect    macroString
	explanation macroString
}

// Octets is about how much memory the record takes, without its text.
func (r *Record) Octets() int {
	const itself, each, macro = 128, 128, 48
	n := itself + each*cap(r.terms) + macro*(cap(r.redirect.segments)+cap(r.explanation.segments))
	for i := range r.terms {
		n += macro * cap(r.terms[i].target.segments)
	}
	return n
}

// term is one directive: a qualifier and a mechanism (§4.6.1).
type term struct {
	text      string // as written
	qualifier Result
	mechanism mechanism
	target    macroString  // empty: the current domain
	network   netip.Prefix // of ip4 and ip6
	bits      cidrLengths  // of a and mx
}

// cidrLengths are the prefix lengths for the two address families (§5.6).
type cidrLengths struct{ ip4, ip6 uint8 }

type mechanism uint8

const (
	mechanismAll mechanism = iota
	mechanismInclude
	mechanismA
	mechanismMX
	mechanismPTR
	mechanismIP4
	mechanismIP6
	mechanismExists
)

// mechanismNames are the names, indexed by mechanism. They are compared as ASCII:
// strings.ToLower would convert U+0130 to "i".
var mechanismNames = [...]string{"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"}

// isRecord reports whether a TXT record is an SPF record: the version section
// ends with a space or with the record (§4.5).
func isRecord(text string) bool {
	n := len(version)
	return len(text) >= n && message.EqualFold(text[:n], version) && (len(text) == n || text[n] == ' ')
}

// ParseRecord checks the syntax of a whole record (§4.6, §12). The error begins with the
// term at fault, in quotation marks; its length is bounded.
func ParseRecord(text string) (*Record, error) {
	if len(text) > maxRecord {
		return nil, fmt.Errorf("the record has %d octets, more than %d", len(text), maxRecord)
	}
	if !isRecord(text) {
		return nil, errors.New("it does not begin with " + version + " (RFC 7208 section 4.5)")
	}
	r := &Record{}
	rest := text[len(version):]
	const enough = 8 // for nearly all published records
	r.terms = make([]term, 0, min(strings.Count(rest, " "), enough))
	// §12: terms = *( 1*SP ( directive / modifier ) ), then *SP. No other white
	// space separates terms.
	for word := range strings.SplitSeq(rest, " ") {
		if word == "" {
			continue
		}
		if err := r.addTerm(word); err != nil {
			return nil, fmt.Errorf("%s: %w", quote(word), err)
		}
	}
	return r, nil
}

// addTerm separates modifiers from directives. §4.6.1: in a modifier "=" comes before
// any ":" or "/".
func (r *Record) addTerm(word string) error {
	if i := strings.IndexAny(word, "=:/"); i >= 0 && word[i] == '=' {
		return r.addModifier(word[:i], word[i+1:])
	}
	t, err := parseDirective(word)
	if err != nil {
		return err
	}
	r.terms = append(r.terms, t)
	return nil
}

func (r *Record) addModifier(name, value string) error {
	switch {
	case message.EqualFold(name, "redirect"):
		return parseOnce(&r.redirect, value)
	case message.EqualFold(name, "exp"):
		return parseOnce(&r.explanation, value)
	case !isModifierName(name):
		return errors.New("not the name of a modifier (RFC 7208 section 4.6.1)")
	}
	// §6: other modifiers are ignored, but §4.6 checks the syntax of all terms.
	_, err := parseMacroString(value, inUnknownModifier)
	return err
}

// parseOnce reads the value of a modifier that may occur only once (§6).
func parseOnce(m *macroString, value string) error {
	if m.text != "" {
		return errors.New("the record has this modifier twice (RFC 7208 section 6)")
	}
	var err error
	*m, err = parseDomainSpec(value)
	return err
}

// isModifierName checks for ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ), §4.6.1.
func isModifierName(s string) bool {
	if s == "" || !isAlpha(s[0]) {
		return false
	}
	for _, c := range []byte(s) {
		if !isAlpha(c) && !isDigit(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func parseDirective(word string) (term, error) {
	t := term{text: word, qualifier: Pass, bits: cidrLengths{32, 128}}
	body := word[1:]
	switch word[0] {
	case '+':
	case '-':
		t.qualifier = Fail
	case '~':
		t.qualifier = SoftFail
	case '?':
		t.qualifier = Neutral
	default:
		body = word
	}
	name, argument := body, ""
	if i := strings.IndexAny(body, ":/"); i >= 0 {
		name, argument = body[:i], body[i:]
	}
	for m, known := range mechanismNames {
		if message.EqualFold(name, known) {
			t.mechanism = mechanism(m)
			return t, t.parseArgument(argument)
		}
	}
	return t, errors.New("no such mechanism (RFC 7208 section 4.6.1)")
}

// parseArgument reads the text after the name of the mechanism, from the ":" or "/"
// (§12).
func (t *term) parseArgument(argument string) error {
	switch t.mechanism {
	case mechanismAll:
		if argument != "" {
			return errors.New("all takes no argument (RFC 7208 section 5.1)")
		}
		return nil
	case mechanismIP4, mechanismIP6:
		return t.parseNetwork(argument)
	case mechanismA, mechanismMX:
		if err := t.cutDualCIDR(&argument); err != nil {
			return err
		}
	}
	if argument == "" {
		if t.mechanism == mechanismInclude || t.mechanism == mechanismExists {
			return errors.New("a domain name is missing (RFC 7208 section 12)")
		}
		return nil
	}
	if argument[0] != ':' {
		return errors.New("a prefix length is not allowed here, or is not well-formed (RFC 7208 section 12)")
	}
	var err error
	t.target, err = parseDomainSpec(argument[1:])
	return err
}
