package verifier

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"signpost/internal/arc"
	"signpost/internal/authres"
	"signpost/internal/dkim"
	"signpost/internal/message"
)

var arcValues = texts(arc.None, arc.Pass, arc.Fail)

// startARC adds the signatures of a chain to those of DKIM, and looks up its keys. A message
// without ARC fields has no chain; only the trace and JSON have a result then.
func (t *Verification) startARC(opt dkim.Options) {
	chain := arc.Read(t.header, opt)
	if chain == nil {
		return
	}
	t.arc = chain.Begin(t.header, t.dkim)
	if t.arc.NeedsKeys() {
		t.start((*Verification).lookupARCKeys, 0)
	}
}

// arcTimeout bounds the look-ups of all keys of a chain together. They are made one after
// the other, so that a forged chain of 50 sets asks for one or two keys; a chain whose keys
// come late holds the message no longer than SPF may.
const arcTimeout = 20 * time.Second

func (t *Verification) lookupARCKeys(from Lookups, _ int) {
	ctx, cancel := context.WithTimeout(t.ctx, arcTimeout)
	defer cancel()
	t.arc.LookupKeys(ctx, from.OtherKeys)
}

func concludeARC(t *Verification, v *Verdict) {
	if t.arc == nil {
		return
	}
	o := t.arc.Finish()
	v.ARC, v.Client = &o, t.env.ClientAddr
	v.Sealers = t.trustedSealers(v)
}

func findARC(v *Verdict, _ *Decision, f findings) findings {
	o := v.ARC
	if o == nil {
		return f
	}
	found := Finding{Result: message.Result{Method: authres.MethodARC, Value: string(o.Result)}, Reason: o.Reason, Public: o.Reason, Log: o.Reason}
	if n := len(o.Sets); n > 0 {
		found.Domain, found.Selector = o.Sets[n-1].Domain, o.Sets[n-1].Selector
	}
	if o.Undecided {
		found.Public, found.Log = unanswered, o.Reason+": "+o.Err.Error()
	}
	oldest, client := "", ""
	if o.Result == arc.Pass {
		found.Comment = sealersInWords(o.Sets)
		oldest = strconv.Itoa(o.OldestPass)
	}
	if v.Client.IsValid() {
		client = v.Client.Unmap().WithZone("").String()
	}
	// RFC 8617 §10.2
	return f.add(found, authres.Property{Type: authres.TypeHeader, Name: "oldest-pass", Value: oldest},
		authres.Property{Type: authres.TypeSMTP, Name: "remote-ip", Value: client})
}

// sealersInWords names the newest few sealers, in the form of RFC 8617 §7.2.2.
func sealersInWords(sets []arc.SetOutcome) string {
	return firstFew(len(sets), func(i int) string {
		n := len(sets) - i
		return fmt.Sprintf("as[%d].d=%s as[%d].s=%s", n, sets[n-1].Domain, n, sets[n-1].Selector)
	})
}

func noteARC(v *Verdict, notes []message.Note) []message.Note {
	if o := v.ARC; o != nil && o.Reason != "" {
		reason := o.Reason
		if o.Err != nil {
			reason += ": " + o.Err.Error()
		}
		notes = append(notes, message.Note{Key: "arc_reason", Value: reason})
	}
	if v.Sealers.Excuse != "" {
		notes = append(notes, message.Note{Key: "local_policy", Value: v.Sealers.Excuse})
	}
	return notes
}

func explainARC(trace *message.Trace, _ message.Envelope, v *Verdict) {
	o := v.ARC
	if o == nil {
		trace.Add("arc", "the header", "no ARC fields")
		return
	}
	var sets []string
	for i := len(o.Sets); i > 0; i-- {
		s := o.Sets[i-1]
		sets = append(sets, fmt.Sprintf("i=%d d=%s s=%s seal %s, message %s", i, s.Domain, s.Selector, s.Seal.Result, s.Message.Result))
	}
	compared := strings.Join(sets, "; ")
	if compared == "" {
		compared = "the structure of the chain"
	}
	oldest := ""
	if o.Result == arc.Pass {
		oldest = "oldest-pass " + strconv.Itoa(o.OldestPass)
	}
	trace.Add("arc", compared, words(string(o.Result), o.Reason, oldest))
}

// arcReport is the chain in the JSON of `verify --json`.
type arcReport struct {
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"`
	// OldestPass is set if the chain passes.
	OldestPass *int     `json:"oldest_pass,omitempty"`
	Sets       []arcSet `json:"sets,omitempty"`
	Excuse     string   `json:"local_policy,omitempty"`
}

// arcSet is one set; the newest comes first.
type arcSet struct {
	Instance int    `json:"instance"`
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	Seal     string `json:"seal"`
	Message  string `json:"message_signature"`
}

func reportARC(v *Verdict) Report {
	o := v.ARC
	switch {
	case v.AuthservID == "": // the message was not judged
		return Report{{"arc", arcReport{}}}
	case o == nil:
		return Report{{"arc", arcReport{Result: string(arc.None)}}}
	}
	r := arcReport{Result: string(o.Result), Reason: o.Reason, Excuse: v.Sealers.Excuse}
	if o.Result == arc.Pass {
		r.OldestPass = &o.OldestPass
	}
	for i := len(o.Sets); i > 0; i-- {
		s := o.Sets[i-1]
		r.Sets = append(r.Sets, arcSet{i, s.Domain, s.Selector, string(s.Seal.Result), string(s.Message.Result)})
	}
	return Report{{"arc", r}}
}
