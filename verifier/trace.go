package verifier

import (
	"fmt"

	"signpost/internal/dmarc"
	"signpost/internal/message"
)

// traceTrust adds the step that says whether the client's mail is judged.
func traceTrust(trace *message.Trace, c Config, env message.Envelope, trusted string) {
	if trace == nil {
		return
	}
	compared := fmt.Sprintf("%v; client %v", c.Trusted.Networks, env.ClientAddr)
	if trusted != "" {
		trace.Add("verifier.trusted.networks", compared, "passed as it is, unjudged")
		return
	}
	trace.Add("verifier.trusted.networks", compared, "no match: judged")
}

func dmarcCompared(c *Config, v *Verdict) string {
	e := v.decisive()
	policy := fmt.Sprintf("policy %s", e.Published)
	switch {
	case e.Record == nil && e.Result == dmarc.TempError:
		policy = "policy not known"
	case e.Record == nil:
		policy = "no policy"
	case e.Policy != e.Published:
		policy += fmt.Sprintf(", to apply %s", e.Policy)
	}
	return fmt.Sprintf("dmarc %s, %s; on_reject: %s, on_quarantine: %s", e.Result, policy, c.DMARC.OnReject, c.DMARC.OnQuarantine)
}

func undecidedCompared(c *Config, v *Verdict) string {
	e := v.decisive()
	policy := string(e.IfFailed)
	if policy == "" {
		policy = "not known"
	}
	return fmt.Sprintf("dmarc %s, policy if it failed %s; on_undecided: %s", e.Result, policy, c.OnUndecided)
}

func tempErrorCompared(c *Config, v *Verdict) string {
	return fmt.Sprintf("dmarc %s, spf %s; on_temperror: %s", v.decisive().Result, v.SPF.Result, c.OnTempError)
}

func spfCompared(c *Config, v *Verdict) string {
	return fmt.Sprintf("spf %s, dmarc %s; on_fail: %s", v.SPF.Result, v.decisive().Result, c.SPF.OnFail)
}
