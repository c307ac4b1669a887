package verifier

import "signpost/internal/message"

// appendResults appends the results of all checks: SPF, each signature in the order of
// the message ("none" where there is none), DMARC.
func (v Verdict) appendResults(to []message.Result) []message.Result {
	to = append(to, message.Result{Method: "spf", Value: string(v.SPF.Result), Domain: v.SPF.Domain})
	for _, o := range v.DKIM {
		to = append(to, message.Result{Method: "dkim", Value: string(o.Result), Domain: o.Domain, Selector: o.Selector})
	}
	if len(v.DKIM) == 0 {
		to = append(to, message.Result{Method: "dkim", Value: "none"})
	}
	return append(to, message.Result{Method: "dmarc", Value: string(v.DMARC.Result), Domain: v.DMARC.AuthorDomain})
}

// would is what enforce mode would have done where monitor mode does nothing.
func (d Decision) would() string {
	if d.Enforced || d.Action == ActAccept {
		return ""
	}
	return string(d.Action)
}
