package verifier

import (
	"fmt"
	"slices"

	"signpost/internal/arc"
	"signpost/internal/authres"
	"signpost/internal/dmarc"
	"signpost/internal/message"
)

// Arrival reads the results that this host wrote into a message on arrival. They are only as
// good as the way that the message came: every way in must be one where this host removes
// forged fields.
func (v *Verifier) Arrival(env message.Envelope, h message.Header) arc.Arrival {
	id := v.authservID(env)
	var ours []int
	for i, f := range h {
		if authres.IsFieldName(f.Name) && authres.Claims(f.Value, []string{id}) {
			ours = append(ours, i)
		}
	}
	unproved := map[string]string{}
	a := arc.Arrival{Field: -1, Problem: "it has no results of this host: it did not come in through a listener that judges, or they were removed since"}
	for _, i := range ours {
		a = readArrival(h[i], i, id, unproved)
	}
	if len(ours) > 1 {
		a = arc.Arrival{Field: -1, Problem: fmt.Sprintf("%d Authentication-Results fields bear the name of this host (%s): "+
			"give other programs here a name of their own, or set verifier.authserv_id", len(ours), id)}
	}
	a.Unproved = unproved
	return a
}

// readArrival reads one field, and adds the authors who did not pass DMARC to unproved. A field
// that cannot be the one that we wrote has no place in the header any more, as on arrival.
func readArrival(field message.Field, at int, id string, unproved map[string]string) arc.Arrival {
	f, err := authres.Parse(field.Value)
	if err != nil {
		unproved[""] = "unknown"
	}
	for _, r := range f.Results {
		noteUnproved(r, unproved)
	}
	if err != nil || !message.EqualFold(field.Name, fieldName) || !sameID(f.AuthservID, id) {
		return arc.Arrival{Field: -1, Problem: "its Authentication-Results field is not as this host writes them"}
	}
	a := arc.Arrival{Field: at, Chain: arc.None, Results: f.Value()}
	judged := map[string]bool{}
	for _, r := range f.Results {
		again := judged[r.Method]
		judged[r.Method] = true
		switch {
		case again && (r.Method == authres.MethodARC || r.Method == authres.MethodDMARC):
			a.Problem = "its Authentication-Results field has two results of " + r.Method
		case r.Reason == brokenReason:
			a.Problem = "it could not be checked on arrival"
		case r.Method == authres.MethodARC:
			readChain(&a, r)
		}
	}
	if !judged[authres.MethodSPF] || !judged[authres.MethodDKIM] || !judged[authres.MethodDMARC] {
		a.Problem = "its Authentication-Results field has no results of mail from outside: it was written here"
	}
	return a
}

// noteUnproved notes the author of a result of DMARC other than pass. Where we failed to judge a
// message, the result names no author.
func noteUnproved(r authres.Result, unproved map[string]string) {
	domain, named := property(r, authres.TypeHeader, "from")
	if r.Method == authres.MethodDMARC && r.Value != string(dmarc.Pass) && (named || r.Reason == brokenReason) {
		unproved[domain] = r.Value
	}
}

// readChain takes over the result of the chain. The chain is not verified again: what was
// changed since has broken its message signature (RFC 8617 §5.1).
func readChain(a *arc.Arrival, r authres.Result) {
	a.Chain = arc.Result(r.Value)
	switch {
	case r.Value == string(arc.Fail) && (r.Reason == unanswered || r.Reason == tooLarge):
		a.Problem = "its ARC chain could not be checked on arrival: " + r.Reason
	case !slices.Contains(arcValues, r.Value):
		a.Problem = "the result of its ARC chain on arrival is " + r.Value
	}
}

// sameID compares two authserv-ids; written is our own.
func sameID(written, id string) bool {
	ascii, ok := message.DomainToASCII(id)
	return message.EqualFold(written, id) || ok && message.EqualFold(written, ascii)
}
