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

// located is an entry and the domain that it is about.
type located struct {
	entry *Override
	at    string
}

// find returns the entry for an author domain, nil if there is none: that of the domain, of
// its nearest parent, or of the listener. An entry in mode monitor changes nothing, so the
// search goes on: watched is the first one, above entry.
func (o overrides) find(author, listener string) (watched, entry located) {
	for at, more := author, true; more; _, at, more = strings.Cut(at, ".") {
		if found := o.domains[at]; found != nil && found.Mode != Monitor {
			return watched, located{found, at}
		} else if found != nil && watched.entry == nil {
			watched = located{found, at}
		}
	}
	found := located{o.listeners[listener], author}
	if found.entry == nil || found.entry.Mode != Monitor {
		return watched, found
	}
	if watched.entry == nil {
		watched = found
	}
	return watched, located{}
}

// overridden is the entry for an author domain, and DMARC as the entry wants it.
type overridden struct {
	entry      *Override
	discovery  dmarc.Discovery
	evaluation dmarc.Evaluation
}

// evaluateOverrides evaluates each author domain that an entry covers, by the entry that is
// watched and by the one that is enforced.
func (t *Verification) evaluateOverrides(s spf.Outcome, signatures []dkim.Outcome) []overridden {
	if len(t.verifier.cfg.Overrides) == 0 {
		return nil
	}
	var all []overridden
	for _, d := range t.discoveries {
		watched, entry := t.verifier.overrides.find(d.AuthorDomain, t.env.Listener)
		for _, l := range []located{watched, entry} {
			if l.entry != nil {
				all = append(all, t.evaluateOverride(l.entry, d.UnderRule(l.at), identifiers(s, signatures)))
			}
		}
	}
	if entry := t.verifier.overrides.listeners[t.env.Listener]; entry != nil && len(t.discoveries) == 0 {
		// Nothing is aligned with no author.
		all = append(all, overridden{entry: entry, evaluation: dmarc.Evaluation{Result: dmarc.Fail, Reason: authorProblem(t.author)}})
	}
	return all
}

func (t *Verification) evaluateOverride(entry *Override, d dmarc.Discovery, ids authenticated) overridden {
	if entry.Require == requireDKIM {
		ids.spf = nil
	}
	e := dmarc.Evaluate(t.ctx, t.dns.Policy, d, ids.spf, ids.dkim)
	if e.Result == dmarc.Fail && entry.Require == requireDKIM {
		e.Reason = "no aligned DKIM signature passed"
	}
	return overridden{entry, d, e}
}

// override returns the entries for the author domain that the policy is asked about: the one
// that is watched and the one that is enforced. entry is nil where there is none.
func (v *Verdict) override() (watched, enforced overridden) {
	domain := v.decisive().AuthorDomain
	for _, o := range v.overridden {
		switch {
		case o.evaluation.AuthorDomain != domain:
		case o.entry.Mode == Monitor:
			watched = o
		default:
			enforced = o
		}
	}
	return watched, enforced
}

// byOverride applies the entry for the author domain to a message that fails. What an entry
// in mode monitor would do is noted beside it.
func byOverride(c *Config, v *Verdict) (Decision, bool) {
	watched, enforced := v.override()
	would, watches := c.overridden(watched, v)
	d, applies := c.overridden(enforced, v)
	switch {
	case applies && watches:
		d.Watched, d.WatchedRule = would.Action, would.Local
	case watches:
		would.watched = true
		return would, true
	}
	return d, applies
}

// overridden is the decision of one entry.
func (c *Config) overridden(o overridden, v *Verdict) (Decision, bool) {
	if o.entry == nil || (o.evaluation.Result != dmarc.Fail && o.evaluation.Result != dmarc.TempError) {
		return Decision{}, false
	}
	label := o.entry.label()
	d := Decision{Action: o.entry.action(), Rule: "local policy: " + label + ", verifier.overrides"}
	if o.evaluation.Result == dmarc.TempError {
		d = c.undecided(d, v, o.evaluation)
	} else if d.Action == ActReject {
		d.Reply = o.reply(v)
	}
	d.Local = label
	return d, true
}

func (o overridden) reply(v *Verdict) message.Reply {
	need, enhanced, remedy := "pass SPF or DKIM for that domain", "5.7.1", "send it through a host of that domain's SPF record, or with its DKIM signature"
	if o.entry.Require == requireDKIM {
		need, enhanced, remedy = "have a valid DKIM signature of that domain", unsignedCode(v.DKIM), "send it through a host that signs for that domain"
	}
	from := "from " + o.evaluation.AuthorDomain
	if o.evaluation.AuthorDomain == "" {
		from, remedy = "without an author domain", "put an address into From, and "+remedy
	}
	return message.Reply{Code: 550, Enhanced: enhanced, Text: fmt.Sprintf("mail %s must %s to be accepted here: spf=%s, dkim=%s%s; %s",
		from, need, inWords(string(v.SPF.Result), v.SPF.Domain), dkimInWords(v.DKIM), because(v, o.evaluation), remedy)}
}

// unsignedCode is the enhanced code for a message without the DKIM signature that it needs (RFC
// 7372 §3.1).
func unsignedCode(signatures []dkim.Outcome) string {
	switch {
	case anyResult(signatures, dkim.Pass):
		return "5.7.22" // none matches the author
	case anyResult(signatures, dkim.Policy):
		return "5.7.21" // valid, and none is acceptable
	}
	return "5.7.20"
}

func overrideCompared(c *Config, v *Verdict) string {
	if len(c.Overrides) == 0 {
		return "no overrides"
	}
	watched, enforced := v.override()
	var texts []string
	for _, o := range []overridden{watched, enforced} {
		if o.entry != nil {
			texts = append(texts, o.compared())
		}
	}
	if len(texts) == 0 {
		return fmt.Sprintf("author domain %q has none of %d overrides", v.decisive().AuthorDomain, len(c.Overrides))
	}
	return strings.Join(texts, "; and ")
}

func (o overridden) compared() string {
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
