package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"signpost/keys/lifecycle"
)

// signingNow has the keys that sign for one domain, in the output of --json.
type signingNow struct {
	Domain    string   `json:"domain"`
	SDID      string   `json:"sdid,omitempty"` // the domain with its d= and keys, if that is another one
	Selectors []string `json:"selectors"`      // that sign now
	// State is signed, stand_in (a key that is not listed signs), unsigned, failing (a key
	// file is missing: signer.on_error decides) or unknown (the daemon has written
	// nothing of the keys yet).
	State string `json:"state"`
	Why   string `json:"why,omitempty"`
}

// signingNow has the domains of the keys, and behind them those with sdid; names, where
// there is one, chooses a domain.
func (c Config) signingNow(names []string, all []lifecycle.DomainStatus) []signingNow {
	list := []signingNow{}
	byDomain := map[string]signingNow{}
	for _, s := range all {
		now := signingNow{Domain: s.Domain, Selectors: append([]string{}, s.Selectors...), State: signingState(s), Why: s.Why}
		byDomain[s.Domain] = now
		list = append(list, now)
	}
	for _, d := range c.Signer.Domains {
		if now, ok := byDomain[asciiDomain(d.SDID)]; ok && d.SDID != "" {
			now.Domain, now.SDID = asciiDomain(d.Domain), now.Domain
			list = append(list, now)
		}
	}
	if len(names) == 0 {
		return list
	}
	chosen := []signingNow{}
	for _, s := range list {
		if sameDomain(names[0], s.Domain) || sameDomain(names[0], s.SDID) || strings.HasSuffix(s.Domain, "@"+asciiDomain(names[0])) {
			chosen = append(chosen, s)
		}
	}
	return chosen
}

func signingState(s lifecycle.DomainStatus) string {
	switch {
	case s.Unknown:
		return "unknown"
	case s.Lost:
		return "failing"
	case len(s.Selectors) == 0:
		return "unsigned"
	case s.StandIn:
		return "stand_in"
	}
	return "signed"
}

func printSigning(w io.Writer, list []signingNow) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w, "\nWho signs now, as far as is known:")
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "DOMAIN\tSIGNED WITH")
	var reasons []string
	for _, s := range list {
		with := strings.Join(s.Selectors, " ")
		if s.SDID != "" {
			with += " of " + s.SDID
		}
		why := s.Why
		switch s.State {
		case "unknown":
			with, why = "not known yet", "the daemon has written nothing of its keys: start it, or reload"
		case "unsigned":
			with = "nothing"
		case "failing":
			with = "nothing: signer.on_error decides"
		}
		fmt.Fprintf(tw, "%s\t%s\n", s.Domain, with)
		if why != "" {
			reasons = append(reasons, s.Domain+": "+why)
		}
	}
	_ = tw.Flush()
	if len(reasons) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.Join(reasons, "\n"))
	}
}
