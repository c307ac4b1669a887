package verifier

import (
	"fmt"
	"strings"

	"signpost/internal/message"
)

// traceTrust tells whether the client is one whose mail is not judged.
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

// traceVerdict tells what each check was asked and what it answered.
func traceVerdict(trace *message.Trace, env message.Envelope, v Verdict) {
	if trace == nil {
		return
	}
	trace.Add("spf", fmt.Sprintf("client %v, MAIL FROM <%s>, HELO %q", env.ClientAddr, env.Sender, env.Helo),
		words(string(v.SPF.Result), "for "+v.SPF.Domain, v.SPF.Mechanism, v.SPF.Reason))
	for _, o := range v.DKIM {
		trace.Add("dkim", fmt.Sprintf("signature d=%s s=%s a=%s", o.Domain, o.Selector, o.Algorithm), words(string(o.Result), o.Reason))
	}
	if len(v.DKIM) == 0 {
		trace.Add("dkim", "the header", "no signature")
	}
	trace.Add("author domain", fmt.Sprintf("%d From fields, domains %q", v.Author.Fields, v.Author.Domains), authorInWords(v))
	trace.Add("dmarc record", v.DMARC.AuthorDomain, recordInWords(v))
	trace.Add("dmarc", fmt.Sprintf("aligned by SPF %q, by DKIM %q", v.DMARC.SPFAligned, v.DMARC.DKIMAligned),
		words(string(v.DMARC.Result), v.DMARC.Reason))
}

func recordInWords(v Verdict) string {
	if v.DMARC.Record == nil {
		return words("none", v.DMARC.Reason)
	}
	text := fmt.Sprintf("at _dmarc.%s, policy %s", v.DMARC.RecordDomain, v.DMARC.Published)
	if ignored := v.DMARC.Record.Ignored; len(ignored) > 0 {
		text += "; ignored: " + strings.Join(ignored, ", ")
	}
	return text
}

// words joins a result with what is to be said of it, if anything.
func words(result string, more ...string) string {
	var parts []string
	for _, m := range more {
		if m != "" && m != "for " {
			parts = append(parts, m)
		}
	}
	text := strings.Join(parts, ", ")
	switch {
	case result == "":
		return text
	case text == "":
		return result
	}
	return result + ": " + text
}

func dmarcCompared(c Config, v Verdict) string {
	e := v.decisive()
	return fmt.Sprintf("dmarc %s, policy %s; on_reject: %s, on_quarantine: %s", e.Result, e.Policy, c.DMARC.OnReject, c.DMARC.OnQuarantine)
}

func undecidedCompared(c Config, v Verdict) string {
	e := v.decisive()
	policy := string(e.IfFailed)
	if policy == "" {
		policy = "not known"
	}
	return fmt.Sprintf("dmarc %s, policy if it failed %s; on_undecided: %s", e.Result, policy, c.OnUndecided)
}

func tempErrorCompared(c Config, v Verdict) string {
	return fmt.Sprintf("dmarc %s, spf %s; on_temperror: %s", v.decisive().Result, v.SPF.Result, c.OnTempError)
}

func spfCompared(c Config, v Verdict) string {
	return fmt.Sprintf("spf %s, dmarc %s; on_fail: %s", v.SPF.Result, v.decisive().Result, c.SPF.OnFail)
}
