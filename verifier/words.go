package verifier

import (
	"fmt"
	"strings"

	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/spf"
)

// maxShown is how many signatures a line that a person reads lists.
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

// dkimInWords lists the first few signatures, for a line that a person reads.
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

// because says what decided that a message failed, for the one who sent it: what is wrong
// with a signature of the author domain's organization, or with its SPF record, or that
// what passed is not aligned. It is "" where the results say it all, and holds nothing
// but printable ASCII.
func because(v Verdict, e dmarc.Evaluation) string {
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

// related says that a domain is the one whose policy applies, or below it.
func related(domain string, e dmarc.Evaluation) bool {
	return domain != "" && (domain == e.AuthorDomain || domain == e.RecordDomain || strings.HasSuffix(domain, "."+e.RecordDomain))
}
