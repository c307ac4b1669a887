package signer

import (
	"fmt"
	"strings"

	"signpost/internal/dkim"
	"signpost/internal/message"
	"signpost/keys/lifecycle"
)

// domainsRule is the trace's name for the search for an entry.
const domainsRule = "signer.domains"

// traceAuthor records the authors that were read from From.
func traceAuthor(trace *message.Trace, a message.Author, result string) {
	if trace == nil {
		return
	}
	var addresses []string
	for _, one := range a.Addresses {
		addresses = append(addresses, one.Local+"@"+one.Domain)
	}
	compared := fmt.Sprintf("%d From fields, addresses %q, domains %q", a.Fields, addresses, a.Domains)
	if a.Problem != "" {
		result = a.Problem + ": " + result
	}
	trace.Add("author domain", compared, result)
}

func ofParent(found, covers bool) string {
	switch {
	case !found:
		return "no entry"
	case !covers:
		return "an entry, but without subdomains: true"
	}
	return "an entry with subdomains: true"
}

func ofPattern(fits bool) string {
	if fits {
		return "the pattern fits"
	}
	return "the pattern does not fit"
}

// traceSigningSet records the active keys of a signing set.
func traceSigningSet(trace *message.Trace, domain string, d *lifecycle.SigningSet) {
	if trace == nil {
		return
	}
	compared, result := "the keys of "+domain, "none is loaded: not signed"
	if d != nil {
		var names []string
		for _, k := range d.Keys {
			names = append(names, fmt.Sprintf("%s (%s, %d bits)", k.Selector, k.Algorithm, k.Bits))
		}
		result = "these sign: " + strings.Join(names, ", ")
		if len(names) == 0 {
			result = "none may sign"
			if d.Lost != "" {
				result = "none can sign: signer.on_error decides"
			}
		}
		if d.Why != "" {
			result += "; " + d.Why
		}
	}
	trace.Add("active keys", compared, result)
}

// traceSignatures records the parameters of the signatures.
func traceSignatures(trace *message.Trace, params []dkim.SignParams, c match, changes Fields) {
	if trace == nil || len(params) == 0 {
		return
	}
	for _, p := range params {
		trace.Add("signature", fmt.Sprintf("entry %s", c.rule),
			fmt.Sprintf("d=%s s=%s c=%s/%s", p.Domain, p.Selector, p.HeaderCanon, p.BodyCanon))
	}
	compared := "the fields of the header"
	if text := changes.String(); text != "" {
		compared += "; signer.fields " + text
	}
	trace.Add("fields covered", compared, "h="+strings.Join(params[0].Headers, ":"))
}
