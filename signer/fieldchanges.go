package signer

import (
	"fmt"
	"slices"
	"strings"

	"signpost/internal/message"
)

// Fields changes which header fields the signatures cover. Each change is a name after a
// sign: +Name adds the field to the defaults, -Name removes it.
type Fields struct {
	// Sign changes the fields that are signed if they are present. A field that is not
	// signed is not oversigned.
	Sign []string `yaml:"sign"`
	// Oversign changes the fields that cannot be added after signing. They are signed too.
	Oversign []string `yaml:"oversign"`
}

const (
	maxFieldChanges = 100 // in each of the two lists
	maxFieldName    = 76  // octets; a name is not folded in h=
)

// neverSigned are the fields that no signature may cover, with the reason.
var neverSigned = []struct{ name, why string }{
	{"Return-Path", "each delivery replaces it (RFC 6376 §5.4.1)"},
	{"Received", "each hop adds one (RFC 6376 §5.4.1)"},
	{"DKIM-Signature", "a signature is handled on its own, and later hops add theirs (RFC 6376 §3.5, §5.4.1)"},
	{"DomainKey-Signature", "hops add and remove signatures on the way"},
	{"Authentication-Results", "receivers remove and add it (RFC 8601 §5)"},
	{"Received-SPF", "receivers remove and add it (RFC 7208 §9.1)"},
	{"ARC-Seal", "each ARC hop adds one (RFC 8617 §4.1.3)"},
	{"ARC-Message-Signature", "each ARC hop adds one (RFC 8617 §4.1.2)"},
	{"ARC-Authentication-Results", "each ARC hop adds one (RFC 8617 §4.1.1)"},
	{"Bcc", "it is removed before delivery (RFC 5322 §3.6.3)"},
	{"Resent-Bcc", "it is removed before delivery (RFC 5322 §3.6.6)"},
	{"Delivered-To", "each delivery adds one"},
	{"X-Original-To", "each delivery adds one"},
	{"X-Signpost-Disposition", "receivers that run Signpost remove it"},
	// draft-brand-indicators-for-message-identification §5.6
	{"BIMI-Location", "receivers remove it"},
	{"BIMI-Indicator", "receivers remove it"},
	{"BIMI-Logo-Preference", "receivers remove it"},
}

// validate reports every mistake in the two lists.
func (f Fields) validate(bad func(path, problem string)) {
	sign := validateChanges("fields.sign", f.Sign, signedByDefault, bad)
	oversign := validateChanges("fields.oversign", f.Oversign, oversignedByDefault, bad)
	for i, change := range f.Oversign {
		name := strings.ToLower(strings.TrimPrefix(change, "+"))
		if oversign[name] && strings.HasPrefix(change, "+") && slices.ContainsFunc(f.Sign, removes(name)) && sign[name] {
			bad(fmt.Sprintf("fields.oversign[%d]", i), fmt.Sprintf("%q: fields.sign takes this field out, and what is oversigned is signed: leave one of the two out", change))
		}
	}
}

func removes(name string) func(change string) bool {
	return func(change string) bool { return message.EqualFold(change, "-"+name) }
}

// validateChanges reports the mistakes in one list. It returns the names of the correct
// changes in lower case.
func validateChanges(path string, changes []string, byDefault func(string) bool, bad func(path, problem string)) map[string]bool {
	if len(changes) > maxFieldChanges {
		bad(path, fmt.Sprintf("%d changes are more than %d: each name makes every signature longer", len(changes), maxFieldChanges))
		return nil
	}
	seen := map[string]bool{}
	for i, change := range changes {
		problem := changeProblem(change, byDefault)
		name := strings.ToLower(strings.TrimLeft(change, "+-"))
		if problem == "" && seen[name] {
			problem = "this field is named twice: leave one out"
		}
		if problem != "" {
			bad(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%q: %s", change, problem))
			continue
		}
		seen[name] = true
	}
	return seen
}

// changeProblem returns the problem with one change, or "".
func changeProblem(change string, byDefault func(string) bool) string {
	if change == "" || change[0] != '+' && change[0] != '-' {
		return "write +NAME to add a field to the defaults, or -NAME to take it out"
	}
	name := change[1:]
	switch {
	case !isFieldName(name):
		return fmt.Sprintf("%q is not the name of a header field: write printable ASCII without blanks, colons and semicolons, up to %d characters", name, maxFieldName)
	case change[0] == '-' && message.EqualFold(name, "From"):
		return "From must be signed (RFC 6376 §5.4), and without oversigning a second From could be added: leave it out of this list"
	case change[0] == '-' && !byDefault(name):
		return "this field is not among the defaults: leave it out of this list, or look at its spelling"
	case change[0] == '-':
		return ""
	}
	for _, never := range neverSigned {
		if message.EqualFold(name, never.name) {
			return "a signature over this field would break: " + never.why
		}
	}
	return ""
}

func signedByDefault(name string) bool {
	return slices.ContainsFunc(defaultFields, func(c coveredField) bool { return message.EqualFold(c.name, name) })
}

func oversignedByDefault(name string) bool {
	return slices.ContainsFunc(defaultFields, func(c coveredField) bool { return c.oversigned && message.EqualFold(c.name, name) })
}

// isFieldName reports whether name is a field-name of RFC 5322 §2.2 without a semicolon,
// which would end the tag h=.
func isFieldName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' || c == ';' {
			return false
		}
	}
	return name != "" && len(name) <= maxFieldName
}

// covered returns the defaults with the changes applied. The changes must be valid.
func (f Fields) covered() []coveredField {
	fields := slices.Clone(defaultFields)
	at := func(name string) int {
		return slices.IndexFunc(fields, func(c coveredField) bool { return message.EqualFold(c.name, name) })
	}
	add := func(name string) int {
		if i := at(name); i >= 0 {
			return i
		}
		fields = append(fields, coveredField{name: name})
		return len(fields) - 1
	}
	for _, change := range f.Sign {
		if name := change[1:]; change[0] == '+' {
			add(name)
		} else if i := at(name); i >= 0 {
			fields = slices.Delete(fields, i, i+1)
		}
	}
	for _, change := range f.Oversign {
		if name := change[1:]; change[0] == '+' {
			fields[add(name)].oversigned = true
		} else if i := at(name); i >= 0 {
			fields[i].oversigned = false
		}
	}
	return fields
}

// String lists the changes for a trace; "" for none.
func (f Fields) String() string {
	var parts []string
	if len(f.Sign) > 0 {
		parts = append(parts, "sign: "+strings.Join(f.Sign, ", "))
	}
	if len(f.Oversign) > 0 {
		parts = append(parts, "oversign: "+strings.Join(f.Oversign, ", "))
	}
	return strings.Join(parts, "; ")
}
