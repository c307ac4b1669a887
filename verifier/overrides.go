package verifier

import (
	"fmt"
	"strings"

	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/message"
	"signpost/internal/spf"
)

// Override decides about failing messages of an author domain, or of one listener, in place
// of the published policy.
type Override struct {
	// Domain or Listener is set. Domain is an author domain, for its subdomains too.
	Domain string `yaml:"domain"`
	// Listener is an address of milter.listen. An entry for the author domain has precedence.
	Listener string `yaml:"listener"`
	// OnFail is reject, quarantine, tag or none. By default it is reject, with Require.
	OnFail Action `yaml:"on_fail"`
	// Require is "dkim" where SPF alone is not enough, "" otherwise.
	Require string `yaml:"require"`
	// Mode is enforce by default. monitor only says in the log what the entry would do.
	Mode Mode `yaml:"mode"`
	// Note is shown with the entry in the field and in the log.
	Note string `yaml:"note"`
}

// onFailNone as on_fail lets a failing message pass.
const onFailNone Action = "none"

// requireDKIM as require demands an aligned DKIM signature.
const requireDKIM = "dkim"

// label names the entry, with its note, for the field and the log.
func (o *Override) label() string {
	text := "override " + o.Domain
	if o.Domain == "" {
		text = "override listener " + o.Listener
	}
	if o.Note != "" {
		text += ", " + o.Note
	}
	return text
}

// action is what a failing message gets.
func (o *Override) action() Action {
	switch o.OnFail {
	case "":
		return ActReject
	case onFailNone:
		return ActAccept
	}
	return o.OnFail
}

// overrides are the entries by domain, in lower-case A-labels, and by listener.
type overrides struct {
	domains, listeners map[string]*Override
}

func newOverrides(list []Override) overrides {
	index := overrides{map[string]*Override{}, map[string]*Override{}}
	for i := range list {
		if domain, ok := message.DomainToASCII(list[i].Domain); ok {
			index.domains[domain] = &list[i]
		} else {
			index.listeners[list[i].Listener] = &list[i]
		}
	}
	return index
}

// find returns the entry of an author domain, or of its nearest parent, and its domain; else
// that of the listener, and the author domain.
func (o overrides) find(author, listener string) (entry *Override, at string) {
	for at, more := author, true; more; _, at, more = strings.Cut(at, ".") {
		if entry := o.domains[at]; entry != nil {
			return entry, at
		}
	}
	return o.listeners[listener], author
}

// overridden is the entry for an author domain, and DMARC as the entry wants it.
type overridden struct {
	entry      *Override
	evaluation dmarc.Evaluation
}

// evaluateOverrides evaluates each author domain that an entry covers.
func (t *Verification) evaluateOverrides(s spf.Outcome, signatures []dkim.Outcome) []overridden {
	if len(t.verifier.cfg.Overrides) == 0 {
		return nil
	}
	var all []overridden
	for _, d := range t.discoveries {
		entry, at := t.verifier.overrides.find(d.AuthorDomain, t.env.Listener)
		if entry == nil {
			continue
		}
		ids := identifiers(s, signatures)
		if entry.Require == requireDKIM {
			ids.spf = nil
		}
		e := dmarc.Evaluate(t.ctx, t.dns.Policy, d.UnderRule(at), ids.spf, ids.dkim)
		if e.Result == dmarc.Fail && entry.Require == requireDKIM {
			e.Reason = "no aligned DKIM signature passed"
		}
		all = append(all, overridden{entry, e})
	}
	return all
}

// override is the entry for the author domain that the policy is asked about.
func (v Verdict) override() (overridden, bool) {
	domain := v.decisive().AuthorDomain
	for _, o := range v.Overridden {
		if o.evaluation.AuthorDomain == domain {
			return o, true
		}
	}
	return overridden{}, false
}

// byOverride applies the entry for the author domain to a message that fails.
func byOverride(c Config, v Verdict) (Decision, bool) {
	o, found := v.override()
	if !found || (o.evaluation.Result != dmarc.Fail && o.evaluation.Result != dmarc.TempError) {
		return Decision{}, false
	}
	label := o.entry.label()
	d := Decision{Action: o.entry.action(), Rule: "local policy: " + label + ", verifier.overrides"}
	if o.evaluation.Result == dmarc.TempError {
		d = c.undecided(d, v, o.evaluation)
	} else if d.Action == ActReject {
		d.Reply = o.reply(v)
	}
	d.Local, d.watched = label, o.entry.Mode == Monitor
	return d, true
}

func (o overridden) reply(v Verdict) message.Reply {
	need, enhanced, remedy := "pass SPF or DKIM for that domain", "5.7.1", "send it through a host of that domain's SPF record, or with its DKIM signature"
	if o.entry.Require == requireDKIM {
		need, enhanced, remedy = "have a valid DKIM signature of that domain", "5.7.22", "send it through a host that signs for that domain" // RFC 7372 §3.1
	}
	return message.Reply{Code: 550, Enhanced: enhanced, Text: fmt.Sprintf("mail from %s must %s to be accepted here: spf=%s, dkim=%s%s; %s",
		o.evaluation.AuthorDomain, need, inWords(string(v.SPF.Result), v.SPF.Domain), dkimInWords(v.DKIM), because(v, o.evaluation), remedy)}
}

func overrideCompared(c Config, v Verdict) string {
	if len(c.Overrides) == 0 {
		return "no overrides"
	}
	o, found := v.override()
	if !found {
		return fmt.Sprintf("author domain %q has none of %d overrides", v.decisive().AuthorDomain, len(c.Overrides))
	}
	needs := "aligned SPF or DKIM"
	if o.entry.Require == requireDKIM {
		needs = "aligned DKIM"
	}
	mode := o.entry.Mode
	if mode == "" {
		mode = Enforce
	}
	return fmt.Sprintf("author domain %s, %s; %s: %s; on_fail: %s, mode: %s", o.evaluation.AuthorDomain, o.entry.label(), needs,
		words(string(o.evaluation.Result), o.evaluation.Reason), o.entry.action(), mode)
}
