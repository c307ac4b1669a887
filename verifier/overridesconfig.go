package verifier

import (
	"fmt"
	"strings"

	"signpost/internal/config"
	"signpost/internal/message"
)

func validateOverrides(list []Override, bad func(path, problem string)) {
	seen := map[string]int{}
	for i, o := range list {
		path := fmt.Sprintf("overrides[%d]", i)
		domain, ok := message.DomainToASCII(o.Domain)
		key := domain
		switch {
		case (o.Domain == "") == (o.Listener == ""):
			bad(path, "write one of domain (an author domain) and listener (an address of milter.listen)")
			key = ""
		case o.Domain == "":
			key = "listener " + o.Listener
		case !ok || !strings.Contains(domain, "."):
			bad(path+".domain", fmt.Sprintf("%q is no domain: write an author domain such as example.com, which includes its subdomains", o.Domain))
			key = ""
		}
		if first, found := seen[key]; found && key != "" {
			bad(path, fmt.Sprintf("%s stands already in overrides[%d]: keep one of the two, with all that it asks for", key, first))
		} else {
			seen[key] = i
		}
		o.validateEffect(path, bad)
	}
}

func (o Override) validateEffect(path string, bad func(path, problem string)) {
	switch {
	case o.OnFail == "" && o.Require == "":
		bad(path, "it changes nothing: write on_fail (reject, quarantine, tag or none), or require: dkim")
	case o.Listener != "" && o.Require == "":
		bad(path, "an override for a listener needs require: dkim")
	}
	if o.OnFail != "" {
		config.OneOf(bad, path+".on_fail", o.OnFail, ActReject, ActQuarantine, ActTag, onFailNone)
	}
	if o.Require != "" {
		config.OneOf(bad, path+".require", o.Require, requireDKIM)
	}
	if o.Mode != "" {
		config.OneOf(bad, path+".mode", o.Mode, Monitor, Enforce)
	}
	if problem := localTextProblem(o.Note); problem != "" {
		bad(path+".note", problem)
	}
}
