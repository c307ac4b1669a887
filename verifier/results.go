package verifier

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"signpost/internal/authres"
	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/message"
	"signpost/internal/spf"
)

const (
	fieldName = "Authentication-Results"
	// tagName is the field that the action tag puts on a message, for a filter
	// behind us; one that comes from outside is removed.
	tagName = "X-Signpost-Disposition"
)

// outcome tells the MTA what the decision means.
func (t *Verification) outcome(j Judgement) message.Outcome {
	v, d := j.Verdict, j.Decision
	out := message.Outcome{Disposition: d.Disposition(), Log: notes(v, d), Results: v.appendResults(t.results[:0]), Would: d.would()}
	if n := t.ownRefused(j); n.Key != "" {
		out.Log = append(out.Log, n)
	}
	switch out.Disposition {
	case message.Reject, message.Tempfail:
		out.Reply = d.Reply
		return out // nothing of it is delivered, so nothing of it is changed
	case message.Quarantine:
		out.QuarantineReason = d.Rule
	}
	out.Remove = t.verifier.Forged(t.env, t.header)
	if n := len(out.Remove); n > 0 {
		out.Log = append(out.Log, message.Removed(n))
	}
	out.Insert = []message.Field{j.Field()}
	if d.Enforced && d.Action == ActTag {
		out.Insert = append(out.Insert, message.Field{Name: tagName, Value: "quarantine; " + d.Rule})
	}
	return out
}

// ownRefused says what to do where a message is refused, or would be, whose author domain
// is one of ours: its client may be a host that was forgotten in the configuration.
func (t *Verification) ownRefused(j Judgement) message.Note {
	if t.verifier.ownDomain == nil || !(j.Decision.Action.refuses() || j.Decision.Action == ActTempfail) {
		return message.Note{}
	}
	for _, domain := range j.Verdict.Author.Domains {
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

// forgeable are the fields, beside Authentication-Results, that programs behind us
// take for the word of this host: our own tag, the result of an SPF checker (RFC
// 7208 §9.1; we write none), and those that a mail client shows a logo by.
var forgeable = []string{tagName, "Received-SPF", "BIMI-Location", "BIMI-Indicator", "BIMI-Logo-Preference"}

// Forged returns the indexes of the fields that claim to be ours (RFC 8601 §5), in
// mail that we judge and in mail that we sign: a login makes nobody's results ours.
// Only trusted.networks may bring them.
func (v *Verifier) Forged(env message.Envelope, h message.Header) []int {
	if _, ok := v.trusted(env); ok {
		return nil
	}
	ids := append([]string{v.authservID(env)}, v.cfg.Trusted.AuthservIDs...)
	var found []int
	for i, f := range h {
		if (authres.IsFieldName(f.Name) && authres.Claims(f.Value, ids)) || slices.ContainsFunc(forgeable, func(name string) bool { return authres.LooksLike(f.Name, name) }) {
			found = append(found, i)
		}
	}
	return found
}

// Field is the Authentication-Results field of a judgement. Text from strangers
// stands only in property values and reasons, which authres quotes.
func (j Judgement) Field() message.Field {
	v, d := j.Verdict, j.Decision
	f := authres.Field{AuthservID: v.AuthservID, Results: dkimResults(v.DKIM)}
	var room [4]authres.Property
	f.Results = append(f.Results, spfResult(v, room[:0:2]), dmarcResult(v, d, room[2:2]))
	return message.Field{Name: fieldName, Value: f.Value()}
}

// brokenField is the field where we could not do our job.
func brokenField(authservID string) string {
	f := authres.Field{AuthservID: authservID}
	for _, method := range []string{"dkim", "spf", "dmarc"} {
		f.Results = append(f.Results, authres.Result{Method: method, Value: "temperror", Reason: "internal error"})
	}
	return f.Value()
}

// maxReported bounds how many signatures the field lists.
const maxReported = 20

func dkimResults(outcomes []dkim.Outcome) []authres.Result {
	if len(outcomes) == 0 {
		return []authres.Result{{Method: "dkim", Value: string(dkim.None)}}
	}
	reported := reportable(outcomes)
	short := uniquePrefix(reported)
	results := make([]authres.Result, 0, len(reported)+3)
	for _, o := range reported {
		results = append(results, dkimResult(o, short))
	}
	if left := len(outcomes) - len(reported); left > 0 {
		results = append(results, authres.Result{Method: "dkim", Value: string(dkim.Neutral), Reason: fmt.Sprintf("%d more signatures not listed", left)})
	}
	return results
}

// reportable are the outcomes to list, in the order of the message: all, or where
// there are too many those that say most, so that junk on top hides nothing.
func reportable(outcomes []dkim.Outcome) []dkim.Outcome {
	if len(outcomes) <= maxReported {
		return outcomes
	}
	chosen := make([]bool, len(outcomes))
	room := maxReported
	for _, wanted := range []func(dkim.Result) bool{
		func(r dkim.Result) bool { return r == dkim.Pass },
		func(r dkim.Result) bool { return r != dkim.PermError && r != dkim.Neutral },
		func(dkim.Result) bool { return true },
	} {
		for i, o := range outcomes {
			if room > 0 && !chosen[i] && wanted(o.Result) {
				chosen[i] = true
				room--
			}
		}
	}
	list := make([]dkim.Outcome, 0, maxReported)
	for i, o := range outcomes {
		if chosen[i] {
			list = append(list, o)
		}
	}
	return list
}

func dkimResult(o dkim.Outcome, short int) authres.Result {
	r := authres.Result{Method: "dkim", Value: string(o.Result), Reason: o.Reason}
	if o.KeyBits > 0 {
		r.Comment = strconv.Itoa(o.KeyBits) + "-bit key"
	}
	switch {
	case o.Reason != "":
	case o.Testing:
		r.Reason = "the key is marked as testing (t=y)"
	}
	r.Properties = make([]authres.Property, 0, 4)
	add := func(name, value string) {
		if value != "" {
			r.Properties = append(r.Properties, authres.Property{Type: "header", Name: name, Value: value})
		}
	}
	add("d", o.Domain)
	if o.Result == dkim.Pass { // what is not authenticated is not repeated (RFC 8601 §4)
		add("i", o.AUID)
	}
	add("s", o.Selector)
	add("a", o.Algorithm)
	add("b", o.B[:min(short, len(o.B))])
	return r
}

// uniquePrefix is how much of b= tells the signatures apart: eight characters,
// or more where two begin alike (RFC 6008 §4).
func uniquePrefix(outcomes []dkim.Outcome) int {
	const least, most = 8, 64
	for n := least; n < most; n++ {
		seen := make(map[string]bool, len(outcomes))
		alike := false
		for _, o := range outcomes {
			b := o.B[:min(n, len(o.B))]
			alike = alike || (b != "" && seen[b])
			seen[b] = true
		}
		if !alike {
			return n
		}
	}
	return most
}

// The reasons of a temporary error in the field. What is known of one names our
// resolvers and is for the log only.
const (
	unanswered = "DNS did not answer"
	tooLarge   = "the message is too large to be checked"
)

// spfResult and dmarcResult put their properties into room.
func spfResult(v Verdict, room []authres.Property) authres.Result {
	r := authres.Result{Method: "spf", Value: string(v.SPF.Result), Properties: room}
	switch v.SPF.Result {
	case spf.Pass:
	case spf.None:
		if v.SPF.Reason == spf.NoAddress {
			r.Reason = v.SPF.Reason
		}
	case spf.TempError:
		r.Reason = unanswered
	default:
		r.Reason = v.SPF.Reason
	}
	add := func(name, value string) {
		if value != "" {
			r.Properties = append(r.Properties, authres.Property{Type: "smtp", Name: name, Value: value})
		}
	}
	if v.SPF.Identity == spf.IdentityMailFrom {
		add("mailfrom", v.SPF.Domain)
		add("helo", v.Helo)
	} else {
		add("helo", v.SPF.Domain)
	}
	return r
}

func dmarcResult(v Verdict, d Decision, room []authres.Property) authres.Result {
	e := v.DMARC
	r := authres.Result{Method: "dmarc", Value: string(e.Result), Properties: room}
	switch e.Result {
	case dmarc.Pass:
	case dmarc.TempError:
		r.Reason = unanswered
		if v.Cut {
			r.Reason = tooLarge
		}
	default:
		r.Reason = e.Reason
	}
	if e.AuthorDomain != "" {
		r.Properties = append(r.Properties, authres.Property{Type: "header", Name: "from", Value: e.AuthorDomain})
	}
	if e.Result == dmarc.Pass || e.Result == dmarc.Fail {
		r.Comment = "p=" + string(e.Published) + " dis=" + d.applied()
		r.Properties = append(r.Properties, authres.Property{Type: "policy", Name: "dmarc", Value: string(e.Policy)})
	}
	return r
}

// applied is the disposition in the words of aggregate reports (RFC 9990).
func (d Decision) applied() string {
	if !d.Enforced {
		return "none"
	}
	switch d.Action {
	case ActReject:
		return "reject"
	case ActQuarantine, ActTag:
		return "quarantine"
	}
	return "none"
}

// notes are the facts for the message's log line.
func notes(v Verdict, d Decision) []message.Note {
	n := []message.Note{
		{Key: "spf", Value: inWords(string(v.SPF.Result), v.SPF.Domain)},
		{Key: "dkim", Value: dkimInWords(v.DKIM)},
		{Key: "dmarc", Value: inWords(string(v.DMARC.Result), v.DMARC.AuthorDomain)},
	}
	if v.DMARC.Result == dmarc.Fail {
		n = append(n, message.Note{Key: "policy", Value: string(v.DMARC.Policy)})
	}
	if v.SPF.Result == spf.TempError || v.SPF.Result == spf.PermError {
		n = append(n, message.Note{Key: "spf_reason", Value: spfReason(v.SPF)})
	}
	if v.DMARC.Result != dmarc.Pass {
		n = append(n, signatureNotes(v.DKIM)...)
	}
	if e := v.DMARC; e.Result == dmarc.Fail || e.Result == dmarc.TempError || e.Result == dmarc.PermError || e.Flawed {
		n = append(n, message.Note{Key: "dmarc_reason", Value: v.DMARC.Reason})
	}
	return append(n, d.notes()...)
}

// spfReason is why SPF has no answer, with the name whose look-up failed.
func spfReason(o spf.Outcome) string {
	if o.Failed == "" || strings.Contains(o.Reason, o.Failed) {
		return o.Reason
	}
	return o.Reason + ", at " + o.Failed
}

// notes say what decided, and in monitor mode what would have been done.
func (d Decision) notes() []message.Note {
	if d.Action == ActAccept {
		return nil
	}
	n := []message.Note{{Key: "decided", Value: d.Rule}}
	if !d.Enforced {
		n = append(n, message.Note{Key: "would", Value: string(d.Action) + " (verifier.mode is monitor)"})
	}
	return n
}
