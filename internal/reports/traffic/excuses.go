package traffic

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	"signpost/internal/dmarc"
	"signpost/verifier"
)

// Excuse is an entry of the configuration that would let affected mail pass.
type Excuse struct {
	// Kind is "sealer" (verifier.arc.trusted_sealers), "forwarder" (verifier.forwarders) or
	// "override" (verifier.overrides).
	Kind string
	// Entries are the entries to add to the list, each as it stands in YAML.
	Entries []string
	// Messages is how many affected messages it fits, Domains of how many author domains.
	Messages int64
	Domains  int

	domains map[string]int64
}

const kindSealer, kindForwarder, kindOverride = "sealer", "forwarder", "override"

// candidate is what an excuse is made of.
type candidate struct {
	kind   string
	what   string // the sealers; the host, or the address; the author domain
	accept bool
}

type candidateSum struct {
	messages int64
	domains  map[string]int64
	hosts    map[string]bool
}

// The least for a suggestion: anybody can seal mail and set up a list, so that one that changes
// mail of a single author domain is probably no list.
const (
	leastDomains  = 2
	leastMessages = 3
	maxCandidates = 10_000
)

// suggest notes which excuse fits a row: the most certain one.
func (c *collection) suggest(r *Row, way, domain string) {
	var k candidate
	switch {
	case r.Folded || domain == "":
		return
	case r.Sealers != "":
		k = candidate{kindSealer, r.Sealers, r.AcceptDMARC}
	case (way == wayList || way == wayForwarded) && r.Forwarder == "":
		k = candidate{kindForwarder, cmp.Or(organizational(r.Host), address(r.Source)), false}
	case way == wayService:
		k = candidate{kindOverride, domain, false}
	default:
		return
	}
	sum := c.candidates[k]
	if sum == nil {
		if k.what == "" || len(c.candidates) >= maxCandidates {
			return
		}
		sum = &candidateSum{domains: map[string]int64{}, hosts: map[string]bool{}}
		c.candidates[k] = sum
	}
	sum.messages += r.Count
	sum.domains[known(sum.domains, domain)] += r.Count
	sum.hosts[known(sum.hosts, cmp.Or(r.Host, address(r.Source)))] = true
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// organizational is the organizational domain of a host by the built-in list of public suffixes,
// "" if the host has no name. The list asks no DNS.
func organizational(host string) string {
	if !strings.Contains(host, ".") {
		return ""
	}
	org, err := dmarc.OrganizationalDomain(context.Background(), nil, host, dmarc.PSL)
	if err != nil || !strings.Contains(org, ".") {
		return ""
	}
	return org
}

// excuses are the suggestions that are worth a look, the largest first.
func excuses(all map[candidate]*candidateSum, now verifier.Config) []Excuse {
	var list []Excuse
	for k, sum := range all {
		least := leastDomains
		if k.kind == kindOverride {
			least = 1
		}
		if sum.messages < leastMessages || len(sum.domains) < least {
			continue
		}
		e := Excuse{Kind: k.kind, Messages: sum.messages, Domains: len(sum.domains), domains: sum.domains}
		switch k.kind {
		case kindSealer:
			e.Entries = sealerEntries(k, now.ARC.TrustedSealers)
		case kindForwarder:
			e.Entries = forwarderEntries(k.what, sum.hosts)
		case kindOverride:
			if !hasOverride(k.what, now.Overrides) {
				e.Entries = []string{"{domain: " + k.what + ", on_fail: none}"}
			}
		}
		if len(e.Entries) > 0 {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b Excuse) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), strings.Compare(a.Kind, b.Kind), slices.Compare(a.Entries, b.Entries))
	})
	return list
}

// sealerEntries are those of a chain's sealers that are not trusted yet. The last one is the
// sealer whose results count.
func sealerEntries(k candidate, trusted []verifier.Sealer) []string {
	var entries []string
	domains := strings.Fields(k.what)
	for i, d := range domains {
		accept := k.accept && i == len(domains)-1
		if slices.ContainsFunc(trusted, func(s verifier.Sealer) bool { return strings.EqualFold(s.Domain, d) && (s.AcceptDMARC || !accept) }) {
			continue
		}
		if accept {
			d = "{domain: " + d + ", accept_dmarc: true}"
		}
		entries = append(entries, d)
	}
	return entries
}

// forwarderEntries names the one host, or the domain of several.
func forwarderEntries(what string, hosts map[string]bool) []string {
	if a, err := netip.ParseAddr(what); err == nil {
		return []string{"{network: \"" + netip.PrefixFrom(a, a.BitLen()).String() + "\"}"}
	}
	if len(hosts) == 1 {
		for host := range hosts {
			return []string{"{host: " + host + "}"}
		}
	}
	entries := []string{`{host: "*.` + what + `"}`}
	if hosts[what] { // the pattern does not fit the domain itself
		entries = append(entries, "{host: "+what+"}")
	}
	return entries
}

func hasOverride(domain string, list []verifier.Override) bool {
	return slices.ContainsFunc(list, func(o verifier.Override) bool { return strings.EqualFold(o.Domain, domain) })
}
