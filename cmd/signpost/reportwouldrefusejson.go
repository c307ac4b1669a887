package main

import (
	"signpost/internal/reports/traffic"
	"signpost/verifier"
)

// refusalsReport is the output of --json. docs/reports.md describes it.
type refusalsReport struct {
	Since    string           `json:"since"`
	Until    string           `json:"until"`
	Recorded string           `json:"recorded_since,omitempty"`
	Mode     string           `json:"mode"`
	Judged   int64            `json:"judged"`
	Refused  int64            `json:"refused"`
	Taken    int64            `json:"taken"`
	Actions  map[string]int64 `json:"actions"`
	Domains  []refusedDomain  `json:"domains"`
	Hosts    []refusedHost    `json:"hosts"`
	Excuses  []refusedExcuse  `json:"excuses"`
}

// refusedWays are affected messages by the way that they came.
type refusedWays struct {
	Refused   int64 `json:"refused"`
	List      int64 `json:"list"`
	Forwarded int64 `json:"forwarded"`
	Service   int64 `json:"service"`
	Unknown   int64 `json:"unknown"`
}

type refusedDomain struct {
	Domain   string `json:"domain"`
	Policy   string `json:"policy"`
	Messages int64  `json:"messages"`
	Aligned  int64  `json:"aligned"`
	refusedWays
	Excused int64 `json:"excused"`
}

type refusedHost struct {
	Address string `json:"address"`
	Name    string `json:"name,omitempty"`
	refusedWays
	Domains int    `json:"author_domains"`
	Largest string `json:"largest_author_domain"`
}

type refusedExcuse struct {
	Kind     string   `json:"kind"`
	Key      string   `json:"key"`
	Entries  []string `json:"entries"`
	Messages int64    `json:"messages"`
	Domains  int      `json:"author_domains"`
}

// excuseKeys are the lists of the configuration that an excuse is an entry of.
var excuseKeys = map[string]string{"sealer": "verifier.arc.trusted_sealers", "forwarder": "verifier.forwarders", "override": "verifier.overrides"}

func refusalsJSON(r traffic.Refusals, mode verifier.Mode) refusalsReport {
	j := refusalsReport{
		Since: r.From.String(), Until: r.To.String(), Mode: string(mode), Judged: r.Judged, Refused: r.Affected, Taken: r.Taken, Actions: r.Actions,
		Domains: []refusedDomain{}, Hosts: []refusedHost{}, Excuses: []refusedExcuse{},
	}
	if r.Recorded != 0 {
		j.Recorded = r.Recorded.String()
	}
	ways := func(w traffic.Ways) refusedWays {
		return refusedWays{w.Total(), w.List, w.Forwarded, w.Service, w.Unknown}
	}
	for _, d := range r.Domains {
		j.Domains = append(j.Domains, refusedDomain{d.Domain, d.Policy, d.Messages, d.Aligned, ways(d.Ways), d.Excused})
	}
	for _, h := range r.Hosts {
		j.Hosts = append(j.Hosts, refusedHost{h.Address, h.Name, ways(h.Ways), h.Domains, h.Largest})
	}
	for _, e := range r.Excuses {
		j.Excuses = append(j.Excuses, refusedExcuse{e.Kind, excuseKeys[e.Kind], e.Entries, e.Messages, e.Domains})
	}
	return j
}
