package verifier

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"signpost/internal/arc"
	"signpost/internal/authres"
	"signpost/internal/dmarc"
	"signpost/internal/message"
	"signpost/internal/spf"
)

// Sealers is the effect of trusted sealers on a message that fails DMARC.
type Sealers struct {
	// Excuse is the reason why the message does not count as failing, in the form of RFC 8617
	// §7.2.2; "" if it does.
	Excuse string
	// Said has the results of trusted sealers that count, in words for a trace, and what ended
	// the walk through the sets; "" if none was read.
	Said string
	// Undecided is the newest sealer's domain, if it is trusted and the chain could not be
	// verified because DNS did not answer.
	Undecided string
}

// trustedSealers evaluates DMARC again with the results of trusted sealers: under each rule
// that the message fails. It does nothing if no rule fails, or if the author is not certain.
func (t *Verification) trustedSealers(v *Verdict) Sealers {
	trusted, o := t.verifier.sealers, v.ARC
	if len(trusted) == 0 || len(o.Sets) == 0 || v.Cut || len(t.discoveries) != 1 || !v.Author.Certain() {
		return Sealers{}
	}
	newest := o.Sets[len(o.Sets)-1]
	failed := t.failedRules(v)
	if _, listed := trusted[newest.Domain]; !listed || len(failed) == 0 {
		return Sealers{}
	}
	switch {
	case o.Undecided:
		return Sealers{Undecided: newest.Domain}
	case o.Result != arc.Pass:
		return Sealers{}
	}
	author := v.decisive().AuthorDomain
	said := trusted.read(o.Sets, author)
	err := t.withoutOwnSPF(&said, author, o.Sets)
	s := Sealers{Said: said.inWords()}
	for _, rule := range failed {
		switch result := t.resultWith(rule, said, identifiers(v.SPF, v.DKIM)); {
		case result == dmarc.Pass:
		case result == dmarc.TempError || err != nil:
			s.Undecided = newest.Domain
			return s
		default:
			return s
		}
	}
	s.Excuse = "arc=pass " + sealersInWords(o.Sets)
	if ip := remoteIP(o.Sets[0].Results); ip.IsValid() {
		s.Excuse += " remote-ip[1]=" + ip.String()
	}
	return s
}

// failedRule is a rule that a message does not pass: the published policy, own_domains or an
// override.
type failedRule struct {
	dmarc.Discovery
	onlyDKIM bool
}

// failedRules are those that a message does not pass, or not certainly. An override that is
// only watched is none.
func (t *Verification) failedRules(v *Verdict) (failed []failedRule) {
	fails := func(e dmarc.Evaluation) bool { return e.Result == dmarc.Fail || e.Result == dmarc.TempError }
	d, e := t.discoveries[0], v.decisive()
	if fails(e) {
		failed = append(failed, failedRule{d, false})
	}
	if own, is := evaluationOf(e.AuthorDomain, v.Own); is && t.verifier.cfg.OwnDomains == ownDomainsProtect && fails(own) {
		failed = append(failed, failedRule{d.UnderRule(e.AuthorDomain), false})
	}
	if _, o := v.override(); o.entry != nil && fails(o.evaluation) {
		failed = append(failed, failedRule{o.discovery, o.entry.Require == requireDKIM})
	}
	return failed
}

// resultWith is the result under a rule with the results of trusted sealers.
func (t *Verification) resultWith(rule failedRule, said testimony, ids authenticated) dmarc.Result {
	spf, dkim := append(ids.spf, said.spf...), append(ids.dkim, said.dkim...)
	if rule.onlyDKIM {
		spf, said.dmarc = nil, false
	}
	if rule.Record == nil || rule.Record.ADKIM != dmarc.Strict {
		dkim = append(dkim, said.users...)
	}
	if said.dmarc {
		return dmarc.Pass
	}
	return dmarc.Evaluate(t.ctx, t.dns.Policy, rule.Discovery, spf, dkim).Result
}

// withoutOwnSPF drops the results of SPF if a sealer is of the author's organization. A
// forwarder that writes its own MAIL FROM passes SPF for itself, and only a MAIL FROM of the
// author's organization is of use. The error is a failed look-up; they are dropped then, too.
func (t *Verification) withoutOwnSPF(said *testimony, author string, sets []arc.SetOutcome) error {
	near := func(s arc.SetOutcome) bool { return ofSealer(lastTwo(author), []arc.SetOutcome{s}) }
	if len(said.spf) == 0 || !slices.ContainsFunc(sets, near) {
		return nil // no organization has just the last label in common
	}
	org, err := dmarc.OrganizationalDomain(t.ctx, t.dns.Policy, author, t.verifier.cfg.DMARC.Discovery)
	if err != nil || ofSealer(org, sets) {
		said.spf = nil
	}
	return err
}

// lastTwo returns the last two labels of a domain.
func lastTwo(domain string) string {
	last := strings.LastIndexByte(domain, '.')
	return domain[strings.LastIndexByte(domain[:max(last, 0)], '.')+1:]
}

// testimony has the passing results of the trusted sealers of a chain.
type testimony struct {
	spf, dkim []dmarc.Identifier
	// users are the domains of header.i (RFC 6376 §3.5) of signatures without header.d, as
	// Gmail writes them. d= is the same domain or one above it, so they count for relaxed
	// alignment only.
	users []dmarc.Identifier
	dmarc bool   // dmarc=pass for the author domain, by a sealer with accept_dmarc
	ended string // why the sets below do not count; "" if all do
}

// inWords lists the results for a trace.
func (t testimony) inWords() string {
	var passed []string
	list := func(method string, ids []dmarc.Identifier) {
		passed = append(passed, firstFew(len(ids), func(i int) string { return method + " " + ids[i].Domain }))
	}
	list("spf", t.spf)
	list("dkim", t.dkim)
	list("dkim header.i", t.users)
	if t.dmarc {
		passed = append(passed, "dmarc")
	}
	text := words("", passed...)
	if text == "" {
		text = "none"
	}
	if t.ended != "" {
		text += "; " + t.ended
	}
	return text
}

// read goes from the newest set down, and ends at the first sealer that is not trusted, at
// one that left a part of the message unsigned, so that others could change it, and at
// results for another author.
func (trusted sealers) read(sets []arc.SetOutcome, author string) testimony {
	var t testimony
	for i, s := range slices.Backward(sets) {
		sealer, listed := trusted[s.Domain]
		results, ok := sealedResults(s.Results)
		switch {
		case !listed:
			t.ended = "is not listed"
		case !s.Covers:
			t.ended = "left a field, or a part of the body, unsigned"
		case !ok:
			t.ended = "has results that cannot be read"
		case !sameAuthor(results, author):
			t.ended = "has results about another author"
		}
		if t.ended != "" {
			t.ended = fmt.Sprintf("set %d of %s %s", i+1, s.Domain, t.ended)
			break
		}
		for _, r := range results {
			// RFC 8601 §2.2: another version of a method may mean anything
			if r.Value == "pass" && r.Version <= 1 {
				t.add(r, sets, sealer, author)
			}
		}
	}
	return t
}

// add takes a result that passed.
func (t *testimony) add(r authres.Result, sets []arc.SetOutcome, sealer Sealer, author string) {
	pass := func(domain string) dmarc.Identifier { return dmarc.Identifier{Domain: domain, Pass: true} }
	switch r.Method {
	case authres.MethodSPF:
		if domain := propertyDomain(r, authres.TypeSMTP, "mailfrom", "mfrom", "from"); domain != "" && !ofSealer(domain, sets) {
			t.spf = append(t.spf, pass(domain))
		}
	case authres.MethodDKIM:
		if domain, has := property(r, authres.TypeHeader, "d"); domain != "" {
			t.dkim = append(t.dkim, pass(domain))
		} else if user, _ := property(r, authres.TypeHeader, "i"); user != "" && !has {
			t.users = append(t.users, pass(user))
		}
	case authres.MethodDMARC:
		t.dmarc = t.dmarc || sealer.AcceptDMARC && propertyDomain(r, authres.TypeHeader, "from") == author
	}
}

// sealedResults reads the payload of an ARC-Authentication-Results field. Some sealers leave
// the authserv-id out.
func sealedResults(payload string) ([]authres.Result, bool) {
	f, err := authres.Parse(payload)
	if err != nil {
		f, err = authres.Parse("unnamed;" + payload)
	}
	return f.Results, err == nil
}

// sameAuthor returns false if a result is about another author domain.
func sameAuthor(results []authres.Result, author string) bool {
	for _, r := range results {
		for _, p := range r.Properties {
			if p.Type == authres.TypeHeader && p.Name == "from" && domainOf(p.Value) != author {
				return false
			}
		}
	}
	return true
}

// propertyDomain is the domain in the first of these properties that a result has; "" if
// none has one.
func propertyDomain(r authres.Result, ptype string, names ...string) string {
	for _, name := range names {
		if domain, has := property(r, ptype, name); has {
			return domain
		}
	}
	return ""
}

// property is the domain in a property. It is "" if the property stands there with two
// domains: a sealer that copies an address unescaped into a comment lets the sender write one
// of them.
func property(r authres.Result, ptype, name string) (domain string, has bool) {
	for _, p := range r.Properties {
		if p.Type != ptype || p.Name != name {
			continue
		}
		found := domainOf(p.Value)
		if has && found != domain {
			return "", true
		}
		domain, has = found, true
	}
	return domain, has
}

// domainOf is the domain of an address, or a domain, in lower-case A-labels; "" if it is
// neither.
func domainOf(value string) string {
	value = strings.Trim(value, "<>")
	name, ok := message.DomainToASCII(value[strings.LastIndexByte(value, '@')+1:])
	if !ok {
		return ""
	}
	return name
}

// ofSealer says that a domain is a sealer's own: the d= of a seal, above it or below it.
func ofSealer(domain string, sets []arc.SetOutcome) bool {
	for _, s := range sets {
		if domain == s.Domain || strings.HasSuffix(domain, "."+s.Domain) || strings.HasSuffix(s.Domain, "."+domain) {
			return true
		}
	}
	return false
}

// remoteIP is the address that the message came from when the results were written.
func remoteIP(payload string) netip.Addr {
	results, _ := sealedResults(payload)
	for _, r := range results {
		for _, p := range r.Properties {
			if p.Type == authres.TypeSMTP && p.Name == "remote-ip" || p.Type == authres.TypePolicy && p.Name == "iprev" {
				if addr, err := netip.ParseAddr(p.Value); err == nil {
					return addr.WithZone("")
				}
			}
		}
	}
	return netip.Addr{}
}

// byARC accepts a message that passes DMARC by the results of trusted sealers. A message whose
// chain could not be verified because DNS did not answer gets on_undecided.
func byARC(c *Config, v *Verdict) (Decision, bool) {
	switch {
	case v.Sealers.Excuse != "":
		return Decision{Action: ActAccept, Rule: "local policy: " + v.Sealers.Excuse + ", verifier.arc.trusted_sealers"}, true
	case v.Sealers.Undecided == "":
		return Decision{}, false
	}
	d := c.unexcused(v)
	if _, forwarded := byForwarder(c, v); forwarded || !d.Action.refuses() {
		return Decision{}, false
	}
	return c.undecidedChain(d, v), true
}

// undecidedChain turns the decision for a failing message into the one for a message whose
// trusted chain could not be checked.
func (c *Config) undecidedChain(d Decision, v *Verdict) Decision {
	what := "the ARC chain sealed by " + v.Sealers.Undecided + " could not be checked"
	because := " because DNS did not answer"
	if spf.IsLocal(v.ARC.Err) {
		because = " because this host could not ask DNS"
	}
	d.Action = c.OnUndecided
	d.Rule += "; undecided: " + what + because + ", verifier.on_undecided"
	d.Reply = message.Reply{Code: 451, Enhanced: "4.7.5", Text: what + " just now" + because + ", try again later"}
	return d
}

func arcCompared(c *Config, v *Verdict) string {
	if v.ARC == nil {
		return fmt.Sprintf("no chain; %d trusted sealers", len(c.ARC.TrustedSealers))
	}
	sealer := "none"
	if n := len(v.ARC.Sets); n > 0 {
		sealer = v.ARC.Sets[n-1].Domain
	}
	text := fmt.Sprintf("arc %s, newest sealer %s, dmarc %s; %d trusted sealers", v.ARC.Result, sealer, v.decisive().Result, len(c.ARC.TrustedSealers))
	if v.Sealers.Said != "" {
		text += "; passed there: " + v.Sealers.Said
	}
	return text
}
