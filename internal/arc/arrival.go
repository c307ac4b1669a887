package arc

import (
	"strings"

	"signpost/internal/message"
)

// Arrival is what a host found when a message came in, read from the
// Authentication-Results field that it wrote then. A message that was changed since is sealed
// with these results: to judge it again would only find the change (RFC 8617 §5.1).
type Arrival struct {
	// Field is the index of the field in the header; -1 if there is not exactly one.
	Field int
	// Results is the field's value without comments, for SealParams.Payload.
	Results string
	// Chain is the result of the chain as it came.
	Chain Result
	// Unproved has the author domains for which DMARC did not pass, and its results. The domain
	// "" stands for any. It is set where the results cannot be sealed, too.
	Unproved map[string]string
	// Problem says why the results cannot be sealed; "" if they can.
	Problem string
}

// Continued returns the chain that a new set continues, as Seal needs it: with the
// result that it had on arrival and the sets that it has now. Only its structure is read
// again. sealer is the d= of the host's own seals, one of which may have been added on
// arrival. problem says why no set can be added.
func (a Arrival) Continued(h message.Header, sealer string) (o Outcome, problem string) {
	c := Read(h, Options{})
	switch {
	case c == nil && a.Chain == None:
		return Outcome{Result: None}, ""
	case c == nil:
		return o, "the ARC fields that it had on arrival are gone: have the list software leave them in"
	case c.ended, a.Chain == Fail:
		return Outcome{Result: Fail, Instances: c.highest, Ended: c.ended}, ""
	case a.Chain == None && !a.sealedByUs(c, h, sealer):
		return o, "another program here added ARC fields after arrival: let one of the two seal"
	case c.broken != "":
		return o, "its ARC chain passed on arrival and was damaged here: " + c.broken + "; have the list software leave ARC fields as they are"
	}
	return Outcome{Result: Pass, Instances: c.highest}, ""
}

// sealedByUs says that a message that came without a chain has one set now, which seals the
// same results: our own seal of the arrival.
func (a Arrival) sealedByUs(c *Chain, h message.Header, sealer string) bool {
	if c.broken != "" || len(c.sets) != 1 || c.sets[0].seal.Domain != sealer {
		return false
	}
	_, payload := splitResults(h[c.sets[0].at[resultsField]].Value)
	return sameText(payload, a.Results)
}

// sameText compares the values of two fields without their white space.
func sameText(a, b string) bool {
	return strings.Join(strings.Fields(a), "") == strings.Join(strings.Fields(b), "")
}
