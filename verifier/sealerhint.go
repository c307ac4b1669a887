package verifier

import (
	"strings"

	"signpost/internal/arc"
	"signpost/internal/dmarc"
)

// maxHinted is how many sealers of a chain are considered at most.
const maxHinted = 5

// WouldTrust returns the newest sealers of a message that fails DMARC whose results would make
// it pass if all of them were trusted, the newest first, and whether the last of them needs
// accept_dmarc for that; nil if no sealer's word would. It is a hint for people and asks
// no DNS: an organizational domain that was not needed before counts as the domain of the
// DMARC record.
func (v *Verdict) WouldTrust() (domains []string, acceptDMARC bool) {
	o, e := v.ARC, v.decisive()
	if o == nil || o.Result != arc.Pass || e.Result != dmarc.Fail || v.Cut || !v.Author.Certain() || v.Sealers.Excuse != "" {
		return nil, false
	}
	for _, accept := range []bool{false, true} {
		trusted := sealers{}
		for k := 1; k <= min(len(o.Sets), maxHinted); k++ {
			domain := o.Sets[len(o.Sets)-k].Domain
			trusted[domain] = Sealer{Domain: domain, AcceptDMARC: accept}
			domains = append(domains, domain)
			said := trusted.read(o.Sets, e.AuthorDomain)
			if said.dmarc || aligns(e, e.Record.ASPF, said.spf) || aligns(e, e.Record.ADKIM, said.dkim) {
				return domains, said.dmarc
			}
		}
		domains = nil
	}
	return nil, false
}

// aligns says whether one of the domains is aligned with the author domain, as far as that is
// known without DNS.
func aligns(e dmarc.Evaluation, mode dmarc.Mode, ids []dmarc.Identifier) bool {
	org := e.OrgDomain
	if org == "" {
		org = e.RecordDomain
	}
	for _, id := range ids {
		if id.Domain == e.AuthorDomain || mode == dmarc.Relaxed && within(id.Domain, org) && within(e.AuthorDomain, org) {
			return true
		}
	}
	return false
}

// within says that a domain is another one or below it.
func within(domain, parent string) bool {
	below, ok := strings.CutSuffix(domain, parent)
	return ok && parent != "" && (below == "" || strings.HasSuffix(below, "."))
}
