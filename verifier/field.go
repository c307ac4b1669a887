package verifier

import (
	"fmt"
	"slices"

	"signpost/internal/authres"
	"signpost/internal/dkim"
	"signpost/internal/message"
)

const (
	fieldName = "Authentication-Results"
	// tagName is the field that the action tag puts on a message, for a filter
	// behind us; one that comes from outside is removed.
	tagName = "X-Signpost-Disposition"
)

// outcome tells the MTA what the decision means.
func (t *Verification) outcome(r *Result) message.Outcome {
	d := r.Decision
	out := message.Outcome{Disposition: d.Disposition(), Log: r.notes(), Results: r.appendResults(t.results[:0]), Would: d.would(), Rule: d.Rule, EnvelopeWaited: t.envelopeWaited.Load()}
	if n := t.ownRefused(r); n.Key != "" {
		out.Log = append(out.Log, n)
	}
	switch out.Disposition {
	case message.Reject, message.Tempfail:
		out.Reply = d.Reply
		return out // the message is not delivered, so its header need not change
	case message.Quarantine:
		out.QuarantineReason = d.Rule
	}
	out.Remove = t.verifier.Forged(t.env, t.header)
	if n := len(out.Remove); n > 0 {
		out.Log = append(out.Log, message.Removed(n))
	}
	out.Insert = []message.Field{r.Field()}
	if d.Enforced && d.Action == ActTag {
		out.Insert = append(out.Insert, message.Field{Name: tagName, Value: "quarantine; " + d.Rule})
	}
	return out
}

// ownRefused is the log's remedy for a message of one of our own domains that is refused,
// or would be: its client may be a host that is missing in the configuration.
func (t *Verification) ownRefused(r *Result) message.Note {
	if t.verifier.ownDomain == nil || !(r.Decision.Action.refuses() || r.Decision.Action == ActTempfail) {
		return message.Note{}
	}
	for _, domain := range r.Verdict.Author.Domains {
		if t.verifier.ownDomain(domain) {
			client := t.env.ClientAddr.String()
			if !t.env.ClientAddr.IsValid() {
				client = "without an address"
			}
			return message.Note{Key: "remedy", Value: "this From is yours; if the client is too, add it to signer.ours (From domain " + domain + ", client " + client + ")"}
		}
	}
	return message.Note{}
}

// forgeable are the fields, beside Authentication-Results, that programs behind us trust
// as results of this host: our own tag, Received-SPF (RFC 7208 §9.1; we write none), and
// the fields by which a mail client shows a logo.
var forgeable = []string{tagName, "Received-SPF", "BIMI-Location", "BIMI-Indicator", "BIMI-Logo-Preference"}

// Forged returns the indexes of the fields that claim to be ours (RFC 8601 §5). It is for
// mail that we judge and for mail that we sign, because a client that logged in may not
// write our results either. Only clients in trusted.networks may.
func (v *Verifier) Forged(env message.Envelope, h message.Header) []int {
	if _, ok := v.trusted(env); ok {
		return nil
	}
	ids := append([]string{v.authservID(env)}, v.cfg.Trusted.AuthservIDs...)
	var found []int
	for i, f := range h {
		if claims(f, ids) || hidesClaim(f, ids) {
			found = append(found, i)
		}
	}
	return found
}

// claims says that a field claims to be of a host with one of these ids.
func claims(f message.Field, ids []string) bool {
	return (authres.IsFieldName(f.Name) && authres.Claims(f.Value, ids)) ||
		slices.ContainsFunc(forgeable, func(name string) bool { return authres.LooksLike(f.Name, name) })
}

// hidesClaim says that some readers find a field that claims to be ours inside this one.
func hidesClaim(f message.Field, ids []string) bool {
	for inner := range f.Hidden() {
		if claims(inner, ids) {
			return true
		}
	}
	return false
}

// The reasons of a temporary error in the field. The resolver's own words name our
// resolvers and are for the log only.
const (
	unanswered = "DNS did not answer"
	tooLarge   = "the message is too large to be checked"
	// brokenReason is our own failure.
	brokenReason = "internal error"
)

// Field is the Authentication-Results field of a result. Text from strangers stands only
// in property values and reasons, which authres quotes.
func (r *Result) Field() message.Field {
	return message.Field{Name: fieldName, Value: r.fieldValue(true)}
}

// fieldValue is the value of the field, with its comments or without.
func (r *Result) fieldValue(comments bool) string {
	f := authres.Field{AuthservID: r.Verdict.AuthservID, Results: make([]authres.Result, 0, len(r.Findings)+1)}
	for _, first := range []bool{true, false} {
		for i := range checks {
			if checks[i].fieldFirst == first {
				f.Results = appendListed(f.Results, of(r.Findings, checks[i].method))
			}
		}
	}
	if !comments {
		for i := range f.Results {
			f.Results[i].Comment = ""
		}
	}
	return f.Value()
}

// appendListed appends the results of one check.
func appendListed(results []authres.Result, found []Finding) []authres.Result {
	unlisted := 0
	for i := range found {
		f := &found[i]
		if f.Unlisted {
			unlisted++
			continue
		}
		results = append(results, authres.Result{Method: f.Method, Value: f.Value, Reason: f.Public, Comment: f.Comment, Properties: f.Properties})
	}
	if unlisted > 0 {
		results = append(results, authres.Result{Method: found[0].Method, Value: string(dkim.Neutral), Reason: fmt.Sprintf("%d more signatures not listed", unlisted)})
	}
	return results
}

// brokenField is the field of a message that the verifier failed to judge.
func brokenField(authservID string) string {
	f := authres.Field{AuthservID: authservID}
	for _, first := range []bool{true, false} {
		for _, c := range checks {
			if c.on == nil && c.fieldFirst == first && slices.Contains(c.values, "temperror") {
				f.Results = append(f.Results, authres.Result{Method: c.method, Value: "temperror", Reason: brokenReason})
			}
		}
	}
	return f.Value()
}
