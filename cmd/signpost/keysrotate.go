package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"signpost/internal/config"
	"signpost/internal/message"
	"signpost/keys"
	"signpost/signer"
)

const rotateText = `Replace the keys of a domain: make a new key for each selector that signs, put its
name in the place of the old one in the configuration, and show the DNS record and
what happens when.

    signpost keys rotate [OPTIONS] DOMAIN

Everything else in the configuration stays as it is, comments too. Nothing is
reloaded. In the template of the new names, {{year}}, {{month}} and {{day}} are
today's, and {{type}} is s for RSA and e for Ed25519; where a name is taken, a letter
is put behind it.

Example: look at it, then do it

    signpost keys rotate --dry-run example.com
    signpost keys rotate example.com && systemctl reload signpost
`

// rotation is one key that takes another's place.
type rotation struct {
	Domain    string         `json:"domain"`
	Old       string         `json:"old_selector"`
	New       string         `json:"new_selector"`
	Algorithm keys.Algorithm `json:"algorithm"`
	Record    *keyInfo       `json:"key,omitempty"` // nil in a dry run
	path      string         // in the configuration
	bits      int
}

type rotateOptions struct {
	template, kind string
	bits           int
	dry, force     bool
}

func rotateCommand(args []string, stdout, stderr io.Writer) int {
	const name = "keys rotate"
	f := flags(name, rotateText, stderr)
	path := f.String("config", "", "configuration `FILE` (default: "+defaultConfig+")")
	var o rotateOptions
	f.StringVar(&o.template, "template", "{{type}}{{year}}{{month}}", "`TEMPLATE` of the new selectors")
	f.StringVar(&o.kind, "type", "", "rotate the keys of this `kind` only: rsa or ed25519")
	f.IntVar(&o.bits, "bits", 0, "`length` of new RSA keys (default: that of the old key, at least 2048)")
	f.BoolVar(&o.dry, "dry-run", false, "change nothing, and show what would be done")
	f.BoolVar(&o.force, "force", false, "rotate although the last rotation is not finished")
	asJSON := f.Bool("json", false, "print one JSON object")
	names, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	switch {
	case len(names) != 1:
		return wrongUsage(stderr, name, fmt.Sprintf("give one domain (%d arguments given)", len(names)))
	case o.kind != "" && o.kind != "rsa" && o.kind != "ed25519":
		return wrongUsage(stderr, name, fmt.Sprintf("--type %q is neither rsa nor ed25519", o.kind))
	}
	c, from, err := loadConfig(*path)
	if err == nil && from == "" {
		err = fmt.Errorf("there is no configuration %s: name it with --config FILE", defaultConfig)
	}
	if err != nil {
		return failure(stderr, name, err)
	}
	todo, err := c.rotations(names[0], o, time.Now())
	if err == nil {
		err = c.rotate(from, todo, o.dry)
	}
	if err != nil {
		return failure(stderr, name, err)
	}
	if *asJSON {
		return printJSON(stdout, map[string]any{"file": from, "dry_run": o.dry, "rotated": todo})
	}
	c.printRotation(stdout, from, todo, o.dry)
	return exitOK
}

// rotations are what has to be done for a domain.
func (c Config) rotations(domain string, o rotateOptions, now time.Time) ([]rotation, error) {
	i, entry := c.entryOf(domain)
	if entry == nil {
		return nil, fmt.Errorf("%s has no entry in signer.domains: signpost keys generate %s SELECTOR makes its first key", domain, domain)
	}
	if entry.Domain == keys.AnyDomain {
		return nil, errors.New(`the entry "*" stands for many domains, whose records all have to be published first: make each domain's new key with signpost keys generate, then change the entry by hand`)
	}
	switch {
	case entry.SDID != "":
		return nil, fmt.Errorf("%s is signed as %s: signpost keys rotate %s", domain, entry.SDID, entry.SDID)
	case entry.KeysOf != "":
		return nil, fmt.Errorf("%s signs with the keys of %s, and DNS has to have the new one for both before: signpost keys generate %s SELECTOR makes it, then change the entries by hand", domain, entry.KeysOf, entry.KeysOf)
	case strings.ContainsAny(entry.Domain, "*@"):
		return nil, fmt.Errorf("%q is no domain: make the new key with signpost keys generate, then change the entry by hand", entry.Domain)
	}
	facts, err := keys.ReadState(c.Keys.State)
	if err != nil {
		return nil, err
	}
	var todo []rotation
	taken := c.takenSelectors(entry, facts)
	for j, s := range entry.Selectors {
		k, err := c.Keys.Key(entry.Domain, s.Selector)
		if err != nil {
			return nil, err
		}
		if o.kind != "" && !strings.HasPrefix(string(k.Algorithm), o.kind) {
			continue
		}
		if s.ActiveFrom.After(now) {
			return nil, fmt.Errorf("a change to %s is planned already, for %s: wait for it, or take active_from out", s.Selector, s.ActiveFrom.Format(time.RFC3339))
		}
		if state := stateOf(facts, k); unfinished(state) && !o.force {
			return nil, fmt.Errorf("the last rotation is not finished: %s is %s (signpost keys check %s %s); mend that first, or use --force", k.Selector, state, k.Domain, k.Selector)
		}
		r := rotation{Domain: k.Domain, Old: s.Selector, Algorithm: k.Algorithm, path: fmt.Sprintf("signer.domains[%d].selectors[%d]", i, j)}
		if k.Algorithm == keys.RSA {
			if r.bits = o.bits; r.bits == 0 {
				r.bits = max(2048, k.Bits)
			}
		}
		if r.New, err = nextSelector(o.template, k.Algorithm, now, taken); err != nil {
			return nil, err
		}
		taken[r.New] = true
		todo = append(todo, r)
	}
	if len(todo) == 0 {
		return nil, fmt.Errorf("%s has no %s key to rotate", domain, o.kind)
	}
	return todo, nil
}

// entryOf finds the domain's own entry.
func (c Config) entryOf(domain string) (int, *signer.Domain) {
	want, _ := message.DomainToASCII(domain)
	for i := range c.Signer.Domains {
		d := &c.Signer.Domains[i]
		if ascii, _ := message.DomainToASCII(d.Domain); d.Domain == domain || ascii == want && want != "" {
			return i, d
		}
	}
	return 0, nil
}

// takenSelectors are the names that a domain has used: listed, on disk, or known.
func (c Config) takenSelectors(d *signer.Domain, facts []keys.Fact) map[string]bool {
	taken := map[string]bool{}
	for _, s := range d.Selectors {
		taken[strings.ToLower(s.Selector)] = true
	}
	for _, f := range facts {
		if sameDomain(d.Domain, f.Domain) {
			taken[f.Selector] = true
		}
	}
	files, _ := c.Keys.Files() // a name that is taken is refused again when the key is written
	for _, ref := range files {
		if sameDomain(d.Domain, ref.Domain) {
			taken[ref.Selector] = true
		}
	}
	return taken
}

func stateOf(facts []keys.Fact, k *keys.Key) keys.State {
	for _, f := range facts {
		if f.Domain == k.Domain && f.Selector == k.Selector && f.Fingerprint == k.Fingerprint() {
			return f.State
		}
	}
	return keys.Forgotten
}

func unfinished(s keys.State) bool {
	return s == keys.Pending || s == keys.Missing || s == keys.Differing
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

// rotate writes the keys and then the configuration, or nothing of either in a dry
// run: there, only whether the configuration can be edited is found out.
func (c Config) rotate(path string, todo []rotation, dry bool) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	edited := text
	for _, r := range todo {
		next, err := config.Replace(edited, r.path+".selector", r.New)
		if err != nil {
			next, err = config.Replace(edited, r.path, r.New)
		}
		if err != nil {
			return fmt.Errorf("%s: %w; put %s in the place of %s by hand, after signpost keys generate %s %s", path, err, r.New, r.Old, r.Domain, r.New)
		}
		edited = next
	}
	if dry {
		return nil
	}
	for i := range todo {
		r := &todo[i]
		k, err := keys.Generate(c.Keys.Dir, r.Domain, r.New, r.Algorithm, r.bits)
		if err != nil {
			return err
		}
		info := describe(k)
		r.Record = &info
	}
	if err := replaceFile(path, text, edited); err != nil {
		return fmt.Errorf("the new keys are there, but the configuration is as it was: %w", err)
	}
	return nil
}

func (c Config) printRotation(w io.Writer, path string, todo []rotation, dry bool) {
	is := "is"
	if dry {
		fmt.Fprint(w, "Nothing is changed. This is what would be done:\n\n")
		is = "would be"
	}
	for _, r := range todo {
		fmt.Fprintf(w, "In %s, %s of %s %s replaced by %s (%s).\n", path, r.Old, r.Domain, is, r.New, r.Algorithm)
		if r.Record != nil {
			fmt.Fprintf(w, "The new key is in %s (%s).\n\n", r.Record.Path, r.Record.Access)
			printRecord(w, r.Domain, r.New, r.Record.Name, r.Record.Value)
			fmt.Fprintln(w)
		} else {
			fmt.Fprintf(w, "The new key would be written to %s.\n\n", filepath.Join(c.Keys.Dir, r.Domain, r.New+".pem"))
		}
	}
	var old, next []string
	for _, r := range todo {
		old, next = append(old, r.Old), append(next, r.New)
	}
	from, to := strings.Join(old, " and "), strings.Join(next, " and ")
	goes, signs := "goes on", "signs by itself"
	if len(todo) > 1 {
		goes, signs = "go on", "sign by themselves"
	}
	fmt.Fprintln(w, "What happens when:")
	fmt.Fprintln(w)
	if c.Signer.RequirePublished {
		fmt.Fprintf(w, `    now                 publish what stands above, and reload: systemctl reload signpost
    until DNS has it    %s %s signing, and the log says so
    then                %s %s; signpost keys list shows that
`, from, goes, to, signs)
	} else {
		fmt.Fprintf(w, `    now                 publish what stands above, and wait until signpost keys check %s is
                        content: signer.require_published is false, so nobody waits for you
    then                systemctl reload signpost: from that moment on, %s
`, todo[0].Domain, to+" "+strings.Fields(signs)[0])
	}
	fmt.Fprintf(w, "    for %-16sleave the record of %s in DNS, for mail that is under way\n", days(c.Keys.QueueTime), from)
	for i, r := range todo {
		when := ""
		if i == 0 {
			when = "after that"
		}
		fmt.Fprintf(w, "    %-20ssignpost keys record --revoke %s %s; delete its key file\n", when, r.Domain, r.Old)
	}
}

func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}
