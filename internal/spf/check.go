package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"signpost/internal/message"
)

// evaluation is one check with all its recursion. The limits hold for the whole of it
// (§4.6.4).
type evaluation struct {
	ctx      *deadline // ends with the evaluation
	resolver Resolver
	query    Query
	addr     netip.Addr
	// sender is <sender>; local and domain are its parts. They and the HELO name do
	// not change in recursion (§7.3).
	sender, local, domain, helo string
	// localUnusable: the local part has characters that a DNS name cannot contain.
	localUnusable bool
	lookups       int
	voids         int
	client        clientNames
	explaining    bool   // the result is decided; the limits no longer apply
	scratch       []byte // buffer of targetName
}

// verdict is the result of one check_host(), and the source of its explanation.
type verdict struct {
	result      Result
	mechanism   string
	reason      string
	failed      failure
	explanation macroString // exp= of the record that decided
	domain      string      // the domain of that record
}

// exception ends a check_host() without a match: None or an error, with the reason.
type exception struct {
	result Result
	reason string
	failed failure
}

// failure is a failed look-up: the name and the resolver's error.
type failure struct {
	name string
	err  error
}

// verdict returns the result of check_host() if evaluating this term gave x.
func (x *exception) verdict(term string) verdict {
	return verdict{result: x.result, reason: x.reason, failed: x.failed, mechanism: term}
}

func permError(format string, args ...any) *exception {
	return &exception{result: PermError, reason: fmt.Sprintf(format, args...)}
}

var errTimeout = fmt.Errorf("the check took longer than %v (RFC 7208 section 4.6.4)", Timeout)

// evaluate checks local@domain; the domain is in A-labels.
func evaluate(ctx context.Context, r Resolver, q Query, local, domain string) Outcome {
	limit := &deadline{caller: ctx}
	defer limit.end()
	e := evaluation{
		ctx: limit, resolver: r, query: q,
		// §5: a client on an IPv4-mapped address is an IPv4 client.
		addr:   q.Addr.Unmap().WithZone(""),
		sender: mailbox(q.Sender, local, domain), local: local, domain: domain,
		helo:          q.Helo,
		localUnusable: !isASCII(local),
	}
	// RFC 8616 §4. Clients should send A-labels, but may not.
	if !isASCII(q.Helo) {
		e.helo, _ = message.DomainToASCII(q.Helo)
	}
	v := e.checkHost(domain)
	out := Outcome{
		Result: v.result, Domain: domain, Mechanism: v.mechanism, Reason: v.reason,
		Lookups: e.lookups, VoidLookups: e.voids,
	}
	if v.failed.err != nil {
		out.Failed, out.Err = printable(v.failed.name), v.failed.err
	}
	if len(out.Mechanism) > maxQuote {
		out.Mechanism = out.Mechanism[:maxQuote] + "..."
	}
	// §6.2: only a match of a "-" directive is explained.
	if v.result == Fail && q.Explain && v.explanation.text != "" {
		e.explaining = true
		out.Explanation = e.explain(v)
	}
	return out
}

// mailbox returns local@domain; usually that is the sender as given.
func mailbox(given, local, domain string) string {
	if len(given) == len(local)+1+len(domain) && given[:len(local)] == local &&
		given[len(local)] == '@' && given[len(local)+1:] == domain {
		return given
	}
	return local + "@" + domain
}

// checkHost is check_host() of §4 for one domain: the one under check, or the
// target of an include or redirect.
func (e *evaluation) checkHost(domain string) verdict {
	text, ex := e.lookupRecord(domain)
	if ex != nil {
		return ex.verdict("")
	}
	r, err := e.query.parse(text)
	if err != nil {
		return permError("syntax error in the SPF record of %s: %v", quote(domain), err).verdict("")
	}
	for i := range r.terms {
		t := &r.terms[i]
		matched, ex := e.match(t, domain)
		if ex != nil {
			return ex.verdict(t.text)
		}
		if matched {
			return verdict{result: t.qualifier, mechanism: t.text, explanation: r.explanation, domain: domain}
		}
	}
	// §5.1: a record with "all" always has a matching term.
	if r.redirect.text != "" {
		return e.redirect(r.redirect, domain)
	}
	return verdict{result: Neutral, reason: fmt.Sprintf("nothing in the SPF record of %s matched (RFC 7208 section 4.7)", quote(domain))}
}

// lookupRecord fetches the SPF record of a domain. If there is not exactly one, the
// exception has the result of check_host().
func (e *evaluation) lookupRecord(domain string) (string, *exception) {
	// §4.3, which applies to targets too
	if !strings.Contains(domain, ".") {
		return "", notQualified(domain)
	}
	// §4.4: type TXT only
	texts, err := e.resolver.LookupTXT(e.ctx, domain)
	if err != nil {
		return "", e.tempError(domain, err)
	}
	text, found := "", 0
	for _, t := range texts {
		if isRecord(t) {
			text = t
			found++
		}
	}
	switch found {
	case 0:
		return "", &exception{result: None, reason: fmt.Sprintf("%s has no SPF record (RFC 7208 section 4.5)", quote(domain))}
	case 1:
		return text, nil
	}
	return "", permError("%s has %d SPF records, one is allowed (RFC 7208 section 4.5)", quote(domain), found)
}

// redirect continues with the record of another domain (§6.1), and with that
// record's exp= (§6.2).
func (e *evaluation) redirect(target macroString, domain string) verdict {
	term := "redirect=" + target.text
	if ex := e.countTerm(); ex != nil {
		return ex.verdict(term)
	}
	name, ex := e.targetName(target, domain)
	if ex == nil && name == "" {
		ex = permError("%s makes no domain name to redirect to (RFC 7208 section 6.1)", quote(target.text))
	}
	if ex != nil {
		return ex.verdict(term)
	}
	v := e.checkHost(name)
	if v.result == None {
		return permError("the target of a redirect: %s", v.reason).verdict(term)
	}
	return v
}

// countTerm counts a term that queries DNS, before the query (§4.6.4).
func (e *evaluation) countTerm() *exception {
	if e.explaining {
		return nil
	}
	if err := e.ctx.passed(); err != nil {
		return e.tempError("", err)
	}
	if e.lookups == MaxLookups {
		return permError("more than %d terms that look up the DNS (RFC 7208 section 4.6.4)", MaxLookups)
	}
	e.lookups++
	return nil
}

// countVoid counts a void look-up (§4.6.4).
func (e *evaluation) countVoid() *exception {
	if e.explaining {
		return nil
	}
	e.voids++
	if e.voids > MaxVoidLookups {
		return permError("%d void lookups, at most %d are allowed (RFC 7208 section 4.6.4)", e.voids, MaxVoidLookups)
	}
	return nil
}

// tempError ends the check after a failed look-up (§4.4, §5). The name is "" if the
// time ran out between two look-ups.
func (e *evaluation) tempError(name string, err error) *exception {
	if e.ctx.passed() != nil {
		if cause := context.Cause(e.ctx); errors.Is(cause, errTimeout) {
			err = cause
		}
	}
	return &exception{result: TempError, reason: printable(err.Error()), failed: failure{name, err}}
}

// IsLocal reports whether a look-up failed on this host before a server could answer:
// its error has a method Local that says so, or the caller's context ended.
func IsLocal(err error) bool {
	var says interface{ Local() bool }
	if errors.As(err, &says) {
		return says.Local()
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
