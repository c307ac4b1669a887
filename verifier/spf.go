package verifier

import (
	"fmt"
	"strings"
	"time"

	"signpost/internal/authres"
	"signpost/internal/message"
	"signpost/internal/spf"
)

var spfValues = texts(spf.None, spf.Neutral, spf.Pass, spf.Fail, spf.SoftFail, spf.TempError, spf.PermError)

func (t *Verification) startSPF() {
	t.query = spf.Query{
		Addr: t.env.ClientAddr, Helo: t.env.Helo, Sender: t.env.Sender,
		Receiver: t.verifier.authservID(t.env), Now: t.verifier.now(), Parse: t.verifier.records.spf.hook,
	}
	t.start((*Verification).checkHost, 0)
}

func (t *Verification) checkHost(from Lookups, _ int) {
	defer t.noteWait(time.Now())
	t.spf = spf.CheckHost(t.ctx, from.Policy, t.query)
}

func concludeSPF(t *Verification, v *Verdict) {
	v.SPF = t.spf
}

func findSPF(v *Verdict, _ *Decision, f findings) findings {
	o := v.SPF
	found := Finding{Result: message.Result{Method: authres.MethodSPF, Value: string(o.Result), Domain: o.Domain}, Reason: o.Reason, Public: o.Reason}
	switch o.Result {
	case spf.Pass:
		found.Public = ""
	case spf.None:
		if o.Reason != spf.NoAddress {
			found.Public = ""
		}
	case spf.TempError:
		found.Public, found.Log = unanswered, spfReason(o)
	case spf.PermError:
		found.Log = spfReason(o)
	}
	smtp := func(name, value string) authres.Property {
		return authres.Property{Type: authres.TypeSMTP, Name: name, Value: value}
	}
	if o.Identity == spf.IdentityMailFrom {
		return f.add(found, smtp("mailfrom", o.Domain), smtp("helo", v.Helo))
	}
	return f.add(found, smtp("helo", o.Domain))
}

// spfReason is the reason of an error, with the name that could not be looked up.
func spfReason(o spf.Outcome) string {
	if o.Failed == "" || strings.Contains(o.Reason, o.Failed) {
		return o.Reason
	}
	return o.Reason + ", at " + o.Failed
}

func explainSPF(trace *message.Trace, env message.Envelope, v *Verdict) {
	about := ""
	if v.SPF.Domain != "" {
		about = "for " + v.SPF.Domain
	}
	trace.Add("spf", fmt.Sprintf("client %v, MAIL FROM <%s>, HELO %q", env.ClientAddr, env.Sender, env.Helo),
		words(string(v.SPF.Result), about, v.SPF.Mechanism, v.SPF.Reason))
}

func reportSPF(v *Verdict) Report {
	return Report{{"spf", struct {
		Result    string `json:"result"`
		Identity  string `json:"identity"`
		Domain    string `json:"domain,omitempty"`
		Mechanism string `json:"mechanism,omitempty"`
		Reason    string `json:"reason,omitempty"`
	}{string(v.SPF.Result), string(v.SPF.Identity), v.SPF.Domain, v.SPF.Mechanism, v.SPF.Reason}}}
}
