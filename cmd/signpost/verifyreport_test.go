package main

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
