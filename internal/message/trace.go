package message

// A Trace is how one decision came about, rule by rule in the order in which they
// were asked. It is recorded only for somebody who wants to read it: everybody
// else passes nil, which records nothing and costs nothing. What is expensive to
// put into words stands behind a comparison with nil.
type Trace struct{ Steps []Step }

// Step is one rule of a decision. Compared and Result may quote strangers' text;
// whoever shows them escapes it.
type Step struct {
	// Rule is what was asked, by its name in the configuration where it has one.
	Rule string `json:"rule"`
	// Compared is the values it was asked of.
	Compared string `json:"compared"`
	// Result is what came out, and what follows.
	Result string `json:"result"`
}

// Add records a step. A nil Trace takes it and forgets it.
func (t *Trace) Add(rule, compared, result string) {
	if t != nil {
		t.Steps = append(t.Steps, Step{rule, compared, result})
	}
}
