package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"signpost/internal/display"
	"signpost/internal/message"
	"signpost/keys"
	"signpost/keys/lifecycle"
	"signpost/signer"
)

const rotateText = `Replace the keys of a domain: make a new key for each selector that signs, put
its name in the place of the old one in the configuration, and show the DNS
record and what happens when.

    signpost keys rotate [OPTIONS] DOMAIN

The entry may stand in the YAML file or in a table file; of a row in a
database, what to change is printed. Everything else stays as it is, comments
too. Nothing is reloaded. Other entries may sign with the same keys: those
with keys_of, and those of whole addresses. They are named, and go on with the
old key, which is then needed further on; --all-entries changes them too, and
then every domain named has to publish the new record; until DNS has it, the
old key goes on for that domain. Patterns are named and not changed. In the
template of the new names, {{year}}, {{month}} and {{day}} are today's, and
{{type}} is s for RSA and e for Ed25519; where a name is taken, a letter is
put behind it.

Example: look at it, then do it

    signpost keys rotate --dry-run example.com
    signpost keys rotate example.com && systemctl reload signpost
    signpost keys rotate --all-entries provider.example
`

// rotation is one key that takes another's place.
type rotation struct {
	Domain    string         `json:"domain"`
	Old       string         `json:"old_selector"`
	New       string         `json:"new_selector"`
	Algorithm keys.Algorithm `json:"algorithm"`
	Record    *keyInfo       `json:"key,omitempty"`     // nil in a dry run
	Entries   []keyUse       `json:"entries,omitempty"` // all that sign with the old key
	bits      int
}

type rotateOptions struct {
	template, kind string
	bits           int
	dry, force     bool
	all            bool // entries that sign with the key, and not the domain's own alone
}

// problem returns the mistake in options and names, or "".
func (o rotateOptions) problem(names []string) string {
	if len(names) != 1 {
		return fmt.Sprintf("give one domain (%s given)", display.Count(len(names), "argument"))
	}
	of := keys.RSA
	if o.kind != "" {
		var problem string
		if of, problem = algorithm(o.kind); problem != "" {
			return problem
		}
	}
	if _, err := nextSelector(o.template, of, clock(), nil); err != nil {
		return err.Error()
	}
	if problem := bitsProblem(of, o.bits); problem != "" || strings.ContainsAny(names[0], "*@") {
		return problem // rotating says what to name in place of a pattern or an address
	}
	return keyNameProblem(names)
}

func rotateCommand(args []string, stdout, stderr io.Writer) int {
	const name = "keys rotate"
	f := flags(name, rotateText, stderr)
	path := f.String("config", "", configHelp)
	var o rotateOptions
	f.StringVar(&o.template, "template", "{{type}}{{year}}{{month}}", "`TEMPLATE` of the new selectors")
	f.StringVar(&o.kind, "type", "", "rotate the keys of this `kind` only: rsa or ed25519")
	f.IntVar(&o.bits, "bits", 0, "`length` of new RSA keys (default: that of the old key, at least 2048)")
	f.BoolVar(&o.dry, "dry-run", false, "change nothing, and show what would be done")
	f.BoolVar(&o.all, "all-entries", false, "change every entry that signs with the keys, and not the domain's own alone")
	f.BoolVar(&o.force, "force", false, "rotate although the last rotation is not finished")
	asJSON := f.Bool("json", false, "print one JSON object")
	names, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if problem := o.problem(names); problem != "" {
		return wrongUsage(stderr, name, problem)
	}
	c, from, err := loadWhole(*path)
	if err == nil && from == "" {
		err = fmt.Errorf("there is no configuration %s: name it with --config FILE", defaultConfig)
	}
	if err != nil {
		return failure(stderr, name, err)
	}
	todo, err := c.rotations(names[0], o, clock())
	if err == nil {
		err = c.rotate(from, todo, o.dry)
	}
	if err != nil {
		return failure(stderr, name, err)
	}
	if *asJSON {
		return printJSON(stdout, map[string]any{"file": from, "dry_run": o.dry, "rotated": todo})
	}
	c.printRotation(stdout, from, todo, o)
	return exitOK
}

// rotations are what has to be done for a domain.
func (c Config) rotations(domain string, o rotateOptions, now time.Time) ([]rotation, error) {
	r, err := c.rotating(domain, o.all)
	if err != nil {
		return nil, err
	}
	facts, err := lifecycle.ReadState(c.Keys.State)
	if err != nil {
		return nil, err
	}
	var todo []rotation
	taken := c.takenSelectors(r.domains(), facts)
	for _, s := range r.selectors {
		k, err := c.keyToRotate(r, s, o, facts, now)
		if err != nil {
			return nil, err
		}
		if k == nil {
			continue
		}
		next := rotation{Domain: k.Domain, Old: s.Selector, Algorithm: k.Algorithm}
		if k.Algorithm == keys.RSA {
			if next.bits = o.bits; next.bits == 0 {
				next.bits = max(2048, k.Bits)
			}
		}
		if next.New, err = nextSelector(o.template, k.Algorithm, now, taken); err != nil {
			return nil, err
		}
		taken[next.New] = true
		next.Entries = c.keyUses(r, k, s.Selector, o.all)
		todo = append(todo, next)
	}
	if len(todo) == 0 {
		return nil, fmt.Errorf("%s has no %s key to rotate", domain, o.kind)
	}
	return todo, nil
}

// keyToRotate returns the key of a selector, or nil if it stays as it is. An error says why no key of the domain can be
// rotated now.
func (c Config) keyToRotate(r rotating, s signer.Selector, o rotateOptions, facts []lifecycle.Fact, now time.Time) (*keys.Key, error) {
	k, err := c.Keys.Key(r.domain, s.Selector)
	switch {
	case r.own == nil && errors.Is(err, fs.ErrNotExist):
		return nil, nil // the entries that list it have keys of their own
	case err != nil:
		return nil, err
	case o.kind != "" && !strings.HasPrefix(string(k.Algorithm), o.kind):
		return nil, nil
	case s.ActiveFrom.After(now):
		return nil, fmt.Errorf("a change to %s is planned already, for %s: wait for it, or take active_from out", s.Selector, s.ActiveFrom.Format(time.RFC3339))
	case o.force:
		return k, nil
	}
	switch state := stateOf(facts, k); {
	case r.own != nil && state == lifecycle.Forgotten && knows(facts, k.Domain):
		return nil, fmt.Errorf("the last rotation is not finished: the daemon knows nothing of %s yet; reload it first (systemctl reload signpost), or use --force", k.Selector)
	case unfinished(state):
		return nil, fmt.Errorf("the last rotation is not finished: %s is %s (signpost keys check %s %s); mend that first, or use --force", k.Selector, state, k.Domain, k.Selector)
	}
	return k, nil
}

// takenSelectors are the names that some domains have used: listed, on disk, or known.
// The domains are in A-labels.
func (c Config) takenSelectors(domains map[string]bool, facts []lifecycle.Fact) map[string]bool {
	taken := map[string]bool{}
	for _, d := range c.Signer.Domains {
		if !domains[asciiDomain(d.Domain)] {
			continue
		}
		for _, s := range d.Selectors {
			taken[strings.ToLower(s.Selector)] = true
		}
	}
	for _, f := range facts {
		if domains[f.Domain] {
			taken[f.Selector] = true
		}
	}
	files, _ := c.Keys.Files() // a name that is taken is refused again when the key is written
	for _, ref := range files {
		if domains[ref.Domain] {
			taken[ref.Selector] = true
		}
	}
	return taken
}

func stateOf(facts []lifecycle.Fact, k *keys.Key) lifecycle.State {
	for _, f := range facts {
		if f.Domain == k.Domain && f.Selector == k.Selector && f.Fingerprint == k.Fingerprint() {
			return f.State
		}
	}
	return lifecycle.Forgotten
}

// knows reports whether the daemon has noted anything of the domain's keys.
func knows(facts []lifecycle.Fact, domain string) bool {
	return slices.ContainsFunc(facts, func(f lifecycle.Fact) bool { return f.Domain == domain })
}

func unfinished(s lifecycle.State) bool {
	return s == lifecycle.Pending || s == lifecycle.Missing || s == lifecycle.Differing
}

// nextSelector makes a name by the template, with a letter behind it where it is
// taken.
func nextSelector(template string, algorithm keys.Algorithm, now time.Time, taken map[string]bool) (string, error) {
	kind := "s"
	if algorithm == keys.Ed25519 {
		kind = "e"
	}
	base := strings.NewReplacer("{{year}}", now.Format("2006"), "{{month}}", now.Format("01"), "{{day}}", now.Format("02"), "{{type}}", kind).Replace(template)
	if strings.ContainsAny(base, "{}") {
		return "", fmt.Errorf("--template %s: it knows {{year}}, {{month}}, {{day}} and {{type}}", template)
	}
	base, ok := message.DomainToASCII(base)
	if !ok {
		return "", fmt.Errorf("--template %s makes no selector: letters, digits and hyphens, such as s{{year}}{{month}}", template)
	}
	if !taken[base] {
		return base, nil
	}
	for letter := 'b'; letter <= 'z'; letter++ {
		if name := base + string(letter); !taken[name] {
			return name, nil
		}
	}
	return "", fmt.Errorf("the names from %s to %sz are all taken: give another --template", base, base)
}
