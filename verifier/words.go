package verifier

import (
	"fmt"
	"strings"

	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/spf"
)

// maxShown is the number of signatures that a line of text lists.
const maxShown = 3

func anyResult(outcomes []dkim.Outcome, r dkim.Result) bool {
	for _, o := range outcomes {
		if o.Result == r {
			return true
		}
	}
	return false
}

func inWords(result, domain string) string {
	if domain == "" {
		return result
	}
	return result + " (" + domain + ")"
}

// dkimInWords lists the first few signatures for a line of text.
func dkimInWords(outcomes []dkim.Outcome) string {
	if len(outcomes) == 0 {
		return string(dkim.None)
	}
	return firstFew(len(outcomes), func(i int) string { return inWords(string(outcomes[i].Result), outcomes[i].Domain) })
}

// firstFew joins the first few of n words, and says how many more there are.
func firstFew(n int, word func(int) string) string {
	parts := make([]string, 0, maxShown+1)
	for i := range min(n, maxShown) {
		parts = append(parts, word(i))
	}
	if n > maxShown {
		parts = append(parts, fmt.Sprintf("and %d more", n-maxShown))
	}
	return strings.Join(parts, " ")
}

// because gives the sender the reason why a message failed: the fault of a signature of
// the author domain's organization, or of its SPF record, or that the passing domains are
// not aligned. It is "" if the results need no explanation, and printable ASCII.
func because(v *Verdict, e dmarc.Evaluation) string {
	for _, o := range v.DKIM {
		if o.Result != dkim.Pass && o.Reason != "" && related(o.Domain, e) {
			return "; DKIM " + strings.TrimSpace("selector "+o.Selector) + ": " + o.Reason
		}
	}
	if (v.SPF.Result == spf.PermError || v.SPF.Result == spf.None) && v.SPF.Reason != "" && related(v.SPF.Domain, e) {
		return "; SPF: " + v.SPF.Reason
	}
	if v.SPF.Result == spf.Pass || anyResult(v.DKIM, dkim.Pass) {
		return "; " + e.Reason
	}
	return ""
}

// related says that a domain is the author domain, the domain of the record, or below it.
func related(domain string, e dmarc.Evaluation) bool {
	return domain != "" && (domain == e.AuthorDomain || domain == e.RecordDomain || strings.HasSuffix(domain, "."+e.RecordDomain))
}
