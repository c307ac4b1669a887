package opendkim

import (
	"cmp"
	"slices"
	"strings"

	"signpost/internal/message"
)

// regionKind is what an entry of signer.domains can be found by.
type regionKind int

const (
	exact   regionKind = iota // one domain
	address                   // one address
	pattern                   // the domains that fit a pattern
	all                       // every domain
)

// region is a set of authors for which opendkim has a line, and which an entry of
// ours can stand for.
type region struct {
	kind   regionKind
	local  string // of an address
	domain string // in A-labels, or the pattern
	row    int    // of the SigningTable, or of Domain
}

// sample is what stands for "*" in the author by which a pattern is tried.
const sample = "any"

// author is one author of the region.
func (r region) author() (user, domain string) {
	user = sample
	if r.kind == address {
		user = r.local
	}
	if r.kind == all {
		return user, sample + ".example"
	}
	domain = strings.ReplaceAll(r.domain, "*", sample)
	return user, domain
}

// reading is what a row of the SigningTable or of Domain was read as. A problem says
// why there is no region.
type reading struct {
	region
	problem string
	lost    bool // mail that opendkim signed is concerned
}

// readKey reads a key of the SigningTable.
func readKey(d *dataSet, i int) reading {
	r := d.rows[i]
	never := func(why string) reading { return reading{problem: "opendkim never matches it: " + why} }
	lost := func(why string) reading { return reading{problem: why, lost: true} }
	const byHand = "it is not taken over, and this mail is signed by what else is for its domain, or not at all; write entries for the addresses meant, such as domain: alice@example.com"
	local, domain, at := strings.Cut(r.key, "@")
	switch {
	case r.re != nil:
		return lost("this is a regular expression: " + byHand)
	case strings.Count(r.key, "@") > 1:
		return never("no address has two @")
	case !at && d.kind == "refile":
		switch {
		case !strings.Contains(r.key, "*"):
			return never("a pattern of a refile is compared with the whole address; write *@" + r.key + " if it is to count")
		case !strings.HasPrefix(r.key, "*"):
			return lost("this is a pattern for local parts: " + byHand)
		}
		local, domain = "*", r.key
	case !at:
		local, domain = "*", r.key
		switch {
		case domain == "*" || domain == "":
		case strings.HasPrefix(domain, "."):
			domain = "*" + domain
		case strings.Contains(domain, "*"):
			return never("in a plain file or list a star is no pattern; with refile: it would be one")
		}
	case local == "":
		return never("an address has something in front of @")
	case d.kind != "refile" && strings.HasPrefix(domain, ".") && local != "*":
		return lost("this is a local part at all names below a domain: " + byHand)
	case d.kind != "refile" && domain == "*":
		return lost("this is a local part at every domain: " + byHand)
	case d.kind != "refile" && strings.Contains(r.key, "*"):
		return never("in a plain file or list a star is no pattern; write the domain alone, or refile: in front of the file's name")
	case strings.Trim(local, "*") == "":
		local = "*"
	case strings.Contains(r.key, "*"):
		return lost("this is a pattern for local parts: " + byHand)
	}
	found := readDomain(domain, i)
	if local != "*" && found.problem == "" {
		found.kind, found.local = address, lower(local)
		if strings.ContainsAny(local, " \t\"") {
			return lost("the local part cannot be written in an entry: " + byHand)
		}
	}
	return found
}

// readDomain reads a domain, or a pattern of them.
func readDomain(domain string, i int) reading {
	switch {
	case strings.Trim(domain, "*") == "" && domain != "":
		return reading{region: region{kind: all, domain: "*", row: i}}
	case strings.Contains(domain, "*"):
		domain = lower(domain)
		if !isPattern(domain) {
			return reading{problem: "this is no pattern of domain names; write an entry by hand", lost: true}
		}
		return reading{region: region{kind: pattern, domain: domain, row: i}}
	}
	name, ok := domainName(domain)
	if !ok {
		return reading{problem: quoted(domain) + " is not a domain name of at least two labels, and mail of such a domain is not signed here", lost: true}
	}
	return reading{region: region{kind: exact, domain: name, row: i}}
}

// isPattern reports whether an entry of ours can have a pattern.
func isPattern(p string) bool {
	if !strings.Contains(p, ".") || len(p) > 253 {
		return false
	}
	for label := range strings.SplitSeq(p, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_*") != "" {
			return false
		}
	}
	return true
}

// domainName returns a name in A-labels. It is ok with two labels at least.
func domainName(name string) (ascii string, ok bool) {
	ascii, ok = message.DomainToASCII(name)
	return ascii, ok && strings.Contains(ascii, ".")
}

// ordered puts regions in the order in which entries are made: regions found by their
// name first, then patterns in the order in which opendkim tries them.
func ordered(regions []region, byLength bool) {
	rank := func(r region) int { return [...]int{exact: 0, address: 1, pattern: 2, all: 3}[r.kind] }
	slices.SortStableFunc(regions, func(a, b region) int {
		if a.kind == pattern && b.kind == pattern && byLength {
			return strings.Count(b.domain, ".") - strings.Count(a.domain, ".")
		}
		return cmp.Compare(rank(a), rank(b))
	})
}
