package main

import (
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"signpost/internal/opendkim"
	"signpost/keys"
	"signpost/signer"
)

// printSection writes the import of opendkim's configuration, as a fragment
// of ours.
func printSection(w io.Writer, section keys.Config, m opendkim.Migration) {
	if section.Dir != keys.Defaults().Dir {
		fmt.Fprintf(w, "keys:\n  dir: %q\n\n", section.Dir)
	}
	fmt.Fprintf(w, "signer:\n  ours:\n    networks: %s\n", yamlNetworks(m.Networks))
	if len(m.DaemonNames) > 0 {
		fmt.Fprintf(w, "    daemon_names: %s\n", yamlList(m.DaemonNames))
	}
	if m.Canonicalization != "" {
		fmt.Fprintf(w, "  canonicalization: %s\n", m.Canonicalization)
	}
	printFields(w, fieldChanges(m))
	if len(m.Entries) == 0 {
		fmt.Fprintln(w, "  domains: []")
		return
	}
	fmt.Fprintln(w, "  domains:")
	for _, e := range m.Entries {
		printEntry(w, e)
	}
}

// fieldChanges are those that signer.fields needs to have and accepts. What it does
// not accept is never signed, or is signed anyway.
func fieldChanges(m opendkim.Migration) signer.Fields {
	var f signer.Fields
	add := func(to *[]string, list string, change string) {
		valid := true
		c := signer.Defaults()
		if list == "sign" {
			c.Fields.Sign = append(slices.Clone(*to), change)
		} else {
			c.Fields = signer.Fields{Sign: f.Sign, Oversign: append(slices.Clone(*to), change)}
		}
		c.Validate(func(path, _ string) { valid = valid && !strings.HasPrefix(path, "fields.") })
		if valid {
			*to = append(*to, change)
		}
	}
	for _, name := range m.Omit {
		add(&f.Sign, "sign", "-"+name)
	}
	for _, name := range m.Sign {
		if !fieldByDefault("sign", name) {
			add(&f.Sign, "sign", "+"+name)
		}
	}
	for _, name := range m.Oversign {
		if !fieldByDefault("oversign", name) {
			add(&f.Oversign, "oversign", "+"+name)
		}
	}
	return f
}

// fieldByDefault reports whether a field is in a list without any change: only then
// may a change take it out. From always is.
func fieldByDefault(list, name string) bool {
	c, valid := signer.Defaults(), true
	if list == "sign" {
		c.Fields.Sign = []string{"-" + name}
	} else {
		c.Fields.Oversign = []string{"-" + name}
	}
	c.Validate(func(path, _ string) { valid = valid && !strings.HasPrefix(path, "fields.") })
	return valid || strings.EqualFold(name, "From")
}

func printFields(w io.Writer, f signer.Fields) {
	if len(f.Sign)+len(f.Oversign) == 0 {
		return
	}
	fmt.Fprintln(w, "  fields:")
	if len(f.Sign) > 0 {
		fmt.Fprintf(w, "    sign: %s\n", yamlList(f.Sign))
	}
	if len(f.Oversign) > 0 {
		fmt.Fprintf(w, "    oversign: %s\n", yamlList(f.Oversign))
	}
}

func printEntry(w io.Writer, e opendkim.Entry) {
	fmt.Fprintf(w, "    - domain: %s\n", yamlWord(e.Domain))
	if len(e.Selectors) > 0 {
		fmt.Fprintf(w, "      selectors: %s\n", yamlList(e.Selectors))
	}
	if e.Subdomains {
		fmt.Fprintln(w, "      subdomains: true")
	}
	if e.KeysOf != "" {
		fmt.Fprintf(w, "      keys_of: %s\n", yamlWord(e.KeysOf))
	}
	if e.SDID != "" {
		fmt.Fprintf(w, "      sdid: %s\n", yamlWord(e.SDID))
	}
}

func yamlNetworks(networks []netip.Prefix) string {
	var words []string
	for _, p := range networks {
		words = append(words, p.String())
	}
	return yamlList(words)
}

func yamlList(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = yamlWord(word)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// plainWord matches a word that YAML reads as a string without quotes.
var plainWord = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.@/-]*$`)

// yamlWord quotes a word that YAML could read as another type than a string.
func yamlWord(word string) string {
	switch strings.ToLower(word) {
	case "yes", "no", "on", "off", "true", "false", "null":
		return strconv.Quote(word)
	}
	if plainWord.MatchString(word) {
		return word
	}
	return strconv.Quote(word)
}
