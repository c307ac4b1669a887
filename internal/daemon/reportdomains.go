package daemon

import (
	"net"
	"net/netip"
	"strings"
	"sync"

	"signpost/internal/reports/incoming"
	"signpost/signer"
)

// OurDomains are those whose reports are taken: what signs, and reports.in.domains.
func (c Config) OurDomains() incoming.Domains {
	names := append([]string(nil), c.Reports.In.Domains...)
	for _, d := range c.Signer.Domains {
		names = append(names, d.Domain)
		if d.SDID != "" {
			names = append(names, d.SDID)
		}
	}
	return incoming.NewDomains(names)
}

// KnownOfReports is what tells our own hosts apart in reports: their networks, with the addresses of
// this host, and the selectors that sign.
func (c Config) KnownOfReports() incoming.Known {
	networks := append([]netip.Prefix(nil), c.Verifier.Trusted.Networks...)
	networks = append(networks, c.Signer.Outbound.Networks...)
	interfaces, _ := net.InterfaceAddrs() // without them, our keys tell us apart
	for _, a := range interfaces {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			networks = append(networks, netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
		}
	}
	return incoming.Known{Networks: networks, Signs: signsWith(c.Signer.Domains)}
}

// signsWith tells whether an entry signs with a selector for a domain; nil without entries.
func signsWith(entries []signer.Domain) func(domain, selector string) bool {
	if len(entries) == 0 {
		return nil
	}
	signs := sync.OnceValue(func() signsFor { return newSignsFor(entries) }) // mostly there is nothing to ask
	return func(domain, selector string) bool {
		s := signs()
		return s.exact[[2]string{domain, selector}] || s.patterns[selector]
	}
}

// signsFor has the domains that entries sign for with their selectors, and the selectors of patterns.
type signsFor struct {
	exact    map[[2]string]bool
	patterns map[string]bool
}

func newSignsFor(entries []signer.Domain) signsFor {
	f := signsFor{map[[2]string]bool{}, map[string]bool{}}
	for _, d := range entries {
		name := strings.ToLower(d.Domain[strings.LastIndexByte(d.Domain, '@')+1:])
		if d.SDID != "" {
			name = strings.ToLower(d.SDID)
		}
		for _, s := range d.Selectors {
			if strings.Contains(name, "*") {
				f.patterns[strings.ToLower(s.Selector)] = true
			} else {
				f.exact[[2]string{name, strings.ToLower(s.Selector)}] = true
			}
		}
	}
	return f
}
