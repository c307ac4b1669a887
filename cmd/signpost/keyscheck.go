package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/dns"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

const keysCheckText = `Compare private keys with the records that DNS has now, at each DNS server by
itself and past all caches of ours.

    signpost keys check [OPTIONS] [DOMAIN [SELECTOR]]

Without names, every key that the configuration lists is checked. It finds: no
record, another key, a revoked one, several records, broken quoting, a record
that was cut off, h= or s= that bar our signatures, v= that is not first, t=y
left over, weak keys, spellings that other verifiers may refuse. Exit code 1
if any key would not verify, or could not be checked; warnings alone are exit
code 0.

Example:

    signpost keys check example.com
`

// checkedKey is a key in the output of --json.
type checkedKey struct {
	Domain   string          `json:"domain"`
	Selector string          `json:"selector"`
	Name     string          `json:"record_name"`
	Good     bool            `json:"good"`
	Error    string          `json:"error,omitempty"`
	Servers  []checkedServer `json:"servers,omitempty"`
	Warnings []string        `json:"warnings,omitempty"`
}

type checkedServer struct {
	Server string `json:"server"`
	Answer string `json:"answer"` // found | absent | differs | none
	Detail string `json:"detail,omitempty"`
}

func keysCheckCommand(args []string, stdout, stderr io.Writer) int {
	const name = "keys check"
	f := flags(name, keysCheckText, stderr)
	path := f.String("config", "", configHelp)
	zone := f.String("zone", "", "take DNS from this zone `FILE`")
	limit := f.Duration("timeout", 30*time.Second, "how long all of it may take")
	asJSON := f.Bool("json", false, "print one JSON object")
	names, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(names) > 2 {
		return wrongUsage(stderr, name, "give a domain and a selector, a domain, or nothing for all")
	}
	if problem := cmp.Or(keyNameProblem(names), timeProblem("timeout", *limit, 1)); problem != "" {
		return wrongUsage(stderr, name, problem)
	}
	c, _, err := loadWhole(*path)
	if err != nil {
		return failure(stderr, name, err)
	}
	if *zone != "" {
		c.DNS.ZoneFile = *zone
	}
	refs, err := c.keysToCheck(names)
	if err != nil {
		return failure(stderr, name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	checked, err := c.checkKeys(ctx, refs)
	if err != nil {
		return failure(stderr, name, err)
	}
	if *asJSON {
		printJSON(stdout, map[string]any{"keys": checked})
	}
	code = exitOK
	for _, k := range checked {
		if !*asJSON {
			k.print(stdout)
		}
		if !k.Good {
			code = exitFailure
		}
	}
	return code
}

// keysToCheck are the keys that the names choose.
func (c Config) keysToCheck(names []string) ([]keys.Ref, error) {
	if len(names) == 2 {
		return []keys.Ref{{Domain: names[0], Selector: names[1]}}, nil
	}
	files, err := c.Keys.Files()
	if err != nil && !os.IsPermission(err) {
		return nil, err
	}
	var refs []keys.Ref
	for _, l := range c.Signer.Listed(files) {
		if l.Domain != keys.AnyDomain && (len(names) == 0 || sameDomain(names[0], l.Domain)) {
			refs = append(refs, l.Ref)
		}
	}
	if len(refs) == 0 {
		return nil, &control.Error{Problem: "the configuration lists no such key", Remedy: "name one with its domain and selector, or list it in signer.domains"}
	}
	return refs, nil
}

func (c Config) checkKeys(ctx context.Context, refs []keys.Ref) ([]checkedKey, error) {
	source, err := dns.Open(c.DNS)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	all := daemon.Servers(source)
	var checked []checkedKey
	for _, ref := range refs {
		checked = append(checked, c.checkKey(ctx, all, ref))
	}
	return checked, nil
}

func (c Config) checkKey(ctx context.Context, servers []lifecycle.Server, ref keys.Ref) checkedKey {
	k, err := c.Keys.Key(ref.Domain, ref.Selector)
	if err != nil {
		return checkedKey{Domain: ref.Domain, Selector: ref.Selector, Error: err.Error()}
	}
	out := checkedKey{Domain: k.Domain, Selector: k.Selector, Name: k.RecordName(), Good: true, Warnings: k.Warnings}
	seen := map[string]bool{}
	for _, v := range lifecycle.Check(ctx, servers, k) {
		s := checkedServer{Server: v.Server, Answer: string(v.Answer), Detail: v.Detail}
		if v.Answer == keys.NoAnswer {
			s.Answer, s.Detail = "none", fmt.Sprintf("gave no answer: %v", v.Err)
		}
		out.Servers = append(out.Servers, s)
		out.Good = out.Good && v.Answer == keys.Found
		for _, w := range v.Warnings {
			if !seen[w] {
				out.Warnings = append(out.Warnings, w)
			}
			seen[w] = true
		}
	}
	return out
}

func (k checkedKey) print(w io.Writer) {
	if k.Error != "" {
		fmt.Fprintf(w, "%s of %s: FAULT: %s\n", k.Selector, k.Domain, k.Error)
		return
	}
	verdict := "good: DNS has this key"
	switch {
	case !k.Good && k.onlySilence():
		verdict = "UNKNOWN: DNS did not answer"
	case !k.Good:
		verdict = "FAULT"
	}
	fmt.Fprintf(w, "%s: %s\n", k.Name, verdict)
	for _, s := range k.Servers {
		switch s.Answer {
		case string(keys.Found):
			fmt.Fprintf(w, "    %s: has it\n", s.Server)
		case "none":
			fmt.Fprintf(w, "    %s: %s\n", s.Server, s.Detail)
		default:
			fmt.Fprintf(w, "    %s: the record %s\n", s.Server, s.Detail)
		}
	}
	for _, text := range k.Warnings {
		fmt.Fprintf(w, "    warning: %s\n", text)
	}
	switch {
	case !k.Good && k.onlySilence():
		fmt.Fprintln(w, "    see to that DNS server, or name others in dns.servers; then ask again")
	case !k.Good:
		fmt.Fprintf(w, "    what it should be: signpost keys record %s %s\n", k.Domain, k.Selector)
	}
}

// onlySilence says that nothing is known against the key: the servers that do not have it gave no answer.
func (k checkedKey) onlySilence() bool {
	return !slices.ContainsFunc(k.Servers, func(s checkedServer) bool { return s.Answer != string(keys.Found) && s.Answer != "none" })
}
