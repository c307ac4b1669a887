package main

import (
	"fmt"
	"strings"
)

// verifyReport is the output of verify --json. Results are the words of RFC 8601
// §2.7; names are lower-case A-labels; absent values are left out.
type verifyReport struct {
	AuthservID string       `json:"authserv_id"`
	SPF        spfReport    `json:"spf"`
	DKIM       []dkimReport `json:"dkim"`
	Author     authorReport `json:"author"`
	DMARC      dmarcReport  `json:"dmarc"`
	Decision   decision     `json:"decision"`
	// Field is the whole Authentication-Results field with its folds (LF).
	Field string `json:"authentication_results"`
	// SecondOpinion is go-msgauth's, where it was asked.
	SecondOpinion []opinion `json:"second_opinion,omitempty"`
	// Unjudged says why the message is passed without being judged; nothing else
	// is set then.
	Unjudged string `json:"unjudged,omitempty"`
}

type spfReport struct {
	Result    string `json:"result"`
	Identity  string `json:"identity"`
	Domain    string `json:"domain,omitempty"`
	Mechanism string `json:"mechanism,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

type dkimReport struct {
	Result    string `json:"result"`
	Domain    string `json:"domain,omitempty"`
	Selector  string `json:"selector,omitempty"`
	AUID      string `json:"auid,omitempty"`
	Algorithm string `json:"algorithm,omitempty"`
	KeyBits   int    `json:"key_bits,omitempty"`
	Testing   bool   `json:"testing,omitempty"`
	B         string `json:"b,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

type authorReport struct {
	Addresses []string `json:"addresses"`
	Domains   []string `json:"domains"`
	Problem   string   `json:"problem,omitempty"`
	// Certain says that every reader is shown the one domain, or none. A problem is of
	// spelling alone then.
	Certain bool `json:"certain"`
}

type dmarcReport struct {
	Result          string `json:"result"`
	AuthorDomain    string `json:"author_domain,omitempty"`
	RecordDomain    string `json:"record_domain,omitempty"`
	OrgDomain       string `json:"organizational_domain,omitempty"`
	PublishedPolicy string `json:"published_policy,omitempty"`
	Policy          string `json:"policy,omitempty"`
	SPFAligned      string `json:"spf_aligned,omitempty"`
	DKIMAligned     string `json:"dkim_aligned,omitempty"`
	Reason          string `json:"reason,omitempty"`
}

type decision struct {
	Disposition string `json:"disposition"`
	// Action is what enforce mode does or would do.
	Action   string `json:"action"`
	Enforced bool   `json:"enforced"`
	Rule     string `json:"rule"`
	Reply    string `json:"reply,omitempty"`
}

func reportJSON(j judged) verifyReport {
	if j.Unjudged != "" {
		return verifyReport{DKIM: []dkimReport{}, Unjudged: j.Unjudged}
	}
	v, d := j.Verdict, j.Decision
	f := j.Field()
	r := verifyReport{
		AuthservID: v.AuthservID,
		SPF: spfReport{
			Result: string(v.SPF.Result), Identity: string(v.SPF.Identity), Domain: v.SPF.Domain,
			Mechanism: v.SPF.Mechanism, Reason: v.SPF.Reason,
		},
		DKIM:   []dkimReport{},
		Author: authorReport{Addresses: []string{}, Domains: append([]string{}, v.Author.Domains...), Problem: v.Author.Problem, Certain: v.Author.Certain()},
		DMARC: dmarcReport{
			Result: string(v.DMARC.Result), AuthorDomain: v.DMARC.AuthorDomain, RecordDomain: v.DMARC.RecordDomain,
			OrgDomain: v.DMARC.OrgDomain, PublishedPolicy: string(v.DMARC.Published), Policy: string(v.DMARC.Policy),
			SPFAligned: v.DMARC.SPFAligned, DKIMAligned: v.DMARC.DKIMAligned, Reason: v.DMARC.Reason,
		},
		Decision:      decision{Disposition: string(d.Disposition()), Action: string(d.Action), Enforced: d.Enforced, Rule: d.Rule},
		SecondOpinion: j.opinions,
		Field:         f.Name + ": " + strings.ReplaceAll(f.Value, "\r\n", "\n"),
	}
	for _, o := range v.DKIM {
		r.DKIM = append(r.DKIM, dkimReport{
			Result: string(o.Result), Domain: o.Domain, Selector: o.Selector, AUID: o.AUID, Algorithm: o.Algorithm,
			KeyBits: o.KeyBits, Testing: o.Testing, B: o.B, Reason: o.Reason,
		})
	}
	for _, a := range v.Author.Addresses {
		r.Author.Addresses = append(r.Author.Addresses, a.Local+"@"+a.Domain)
	}
	if d.Reply.Code != 0 {
		r.Decision.Reply = fmt.Sprintf("%d %s %s", d.Reply.Code, d.Reply.Enhanced, d.Reply.Text)
	}
	return r
}
