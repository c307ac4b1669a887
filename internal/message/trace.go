package message

// A Trace records how a decision was made, rule by rule in order. Only commands that
// display it pass one; the daemon passes nil, which records nothing and costs nothing.
// Code whose text is expensive to build first compares the Trace with nil.
type Trace struct{ Steps []Step }

// Step is one rule of a decision. Compared and Result may quote foreign text; the
// caller must escape it for display.
type Step struct {
	// Rule is the name of the rule, in the configuration if it has one there.
	Rule string `json:"rule"`
	// Compared are the values that were compared.
	Compared string `json:"compared"`
	// Result is the result and its consequence.
	Result string `json:"result"`
}

// Add records a step. On a nil Trace it does nothing.
func (t *Trace) Add(rule, compared, result string) {
	if t != nil {
		t.Steps = append(t.Steps, Step{rule, compared, result})
	}
}
