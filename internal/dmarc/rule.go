package dmarc

// UnderRule returns the discovery for a rule of the evaluating host about the author
// domain, which does not depend on the published policy. domain is the author domain or a
// parent of it, as A-labels. A published record still says how strict the alignment is.
// Where no record applies or it could not be looked up, the result is as if one with
// relaxed alignment stood at domain: domain and its subdomains are aligned with each
// other. The policy of an evaluation under it has no meaning.
func (d Discovery) UnderRule(domain string) Discovery {
	d.existence = nil // only the policy depends on it
	if d.Record != nil && d.Err == nil {
		return d
	}
	d.Record = &Record{P: Reject, SP: Reject, NP: Reject, ADKIM: Relaxed, ASPF: Relaxed}
	d.RecordDomain, d.Published, d.ruledAt = domain, Reject, domain
	d.Err, d.invalid, d.presumed = nil, false, nil
	return d
}
