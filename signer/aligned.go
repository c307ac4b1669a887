package signer

import (
	"fmt"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Warnings names the entries whose d= is not aligned with their author domain, so that
// DMARC does not count the signature (RFC 9989 §4.4.1).
func (c Config) Warnings() []string {
	const shown = 10
	var lines []string
	for _, d := range c.Domains {
		name, k := d.name()
		if d.SDID == "" || k == noKind {
			continue
		}
		sdid, _ := entryName(d.SDID)
		author := strings.TrimPrefix(name[strings.LastIndexByte(name, '@')+1:], "*.")
		if aligned(author, sdid) {
			continue
		}
		if len(lines) >= shown {
			return append(lines, "signer.domains: and more entries whose sdid is not aligned")
		}
		lines = append(lines, fmt.Sprintf("signer.domains %s: d=%s is not aligned with %s: the signature is good, but DMARC takes no account of it; sign with a key of its own, or with keys_of",
			d.Domain, sdid, author))
	}
	return lines
}

// aligned reports relaxed alignment by the list of public suffixes, without DNS.
func aligned(author, sdid string) bool {
	if author == sdid {
		return true
	}
	a, err := publicsuffix.EffectiveTLDPlusOne(author)
	b, err2 := publicsuffix.EffectiveTLDPlusOne(sdid)
	return err == nil && err2 == nil && a == b
}
