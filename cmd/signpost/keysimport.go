package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"signpost/internal/daemon"
	"signpost/internal/display"
	"signpost/internal/message"
	"signpost/internal/opendkim"
	"signpost/keys"
)

const importText = `Take over the keys and the signing table of opendkim.

    signpost keys import [OPTIONS] [OPENDKIM.CONF]
    signpost keys import [OPTIONS] --keytable FILE --signingtable FILE
    signpost keys import --check [--config FILE] [--from ADDRESS] OPENDKIM.CONF

The keys are copied to keys.dir, never over another key; opendkim's files stay
as they are. Standard output gets the section for our configuration, standard
error what is not taken over, line by line, and then where opendkim would
still sign otherwise. Keys, selectors and records stay the same, so nothing
has to be published.

--check copies nothing: it compares, for addresses in From and for clients,
what opendkim signs by its rules with what Signpost signs by its configuration
(each key that is listed, whether DNS has it or not). It shows the
differences; the exit code is 1 if there is one. Without --from, the addresses
are made of the tables.

Example:

    signpost keys import --dry-run /etc/opendkim.conf
    signpost keys import /etc/opendkim.conf > domains.yaml
    signpost keys import --check /etc/opendkim.conf
`

// maxImport bounds each file that is read, in bytes.
const maxImport = 64 << 20

// importOptions are those of keys import.
type importOptions struct {
	at                     placeFlags
	keyTable, signingTable string
	multiple, dry          bool
	check, asJSON          bool
	from                   []string
	fromFile               string
}

func importCommand(args []string, stdout, stderr io.Writer) int {
	const name = "keys import"
	f := flags(name, importText, stderr)
	o := importOptions{at: placeFlags{
		dir:    f.String("dir", "", "put the keys under this `FOLDER` (default: keys.dir of the configuration)"),
		config: f.String("config", "", "take keys.dir from the configuration `FILE`, or compare with it (default: "+defaultConfig+", if it is there)"),
	}}
	f.StringVar(&o.keyTable, "keytable", "", "opendkim's KeyTable `FILE`; refile: in front is as in opendkim.conf")
	f.StringVar(&o.signingTable, "signingtable", "", "opendkim's SigningTable `FILE`; file: or refile: in front is as in opendkim.conf")
	f.BoolVar(&o.multiple, "multiple", false, "every line that matches signs (MultipleSignatures of opendkim.conf)")
	f.BoolVar(&o.dry, "dry-run", false, "write no keys, and show what would be done")
	f.BoolVar(&o.check, "check", false, "compare what opendkim and Signpost sign")
	f.BoolVar(&o.asJSON, "json", false, "with --check: print one JSON object")
	f.Func("from", "with --check: an `ADDRESS` to compare; may be repeated", func(v string) error { o.from = append(o.from, v); return nil })
	f.StringVar(&o.fromFile, "from-file", "", "with --check: a `FILE` of addresses to compare, one a line")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if problem := o.problem(rest); problem != "" {
		return wrongUsage(stderr, name, problem)
	}
	c, err := readOpenDKIM(rest, o.keyTable, o.signingTable, o.multiple)
	if err == nil && o.fromFile != "" {
		o.from, err = fromFile(o.fromFile)
	}
	switch {
	case err != nil:
		return failure(stderr, name, err)
	case o.check:
		return checkImport(c, *o.at.config, o.from, o.asJSON, stdout, stderr)
	}
	return o.run(c, stdout, stderr)
}

// problem returns the mistake in the options, or "".
func (o importOptions) problem(rest []string) string {
	tables := o.keyTable != "" && o.signingTable != ""
	switch {
	case len(rest) > 1 || tables == (len(rest) == 1) || *o.at.dir != "" && *o.at.config != "":
		return "give an opendkim.conf, or --keytable and --signingtable; and --dir or --config, if any"
	case o.check && (o.dry || *o.at.dir != ""):
		return "--check copies no keys: leave --dir and --dry-run out"
	case !o.check && (o.asJSON || len(o.from) > 0 || o.fromFile != ""):
		return "--json, --from and --from-file belong to --check"
	case len(o.from) > 0 && o.fromFile != "":
		return "give --from or --from-file"
	}
	for _, author := range o.from {
		if err := authorProblem(author); err != nil {
			return err.Error()
		}
	}
	return ""
}

// run copies the keys and writes the section.
func (o importOptions) run(c *opendkim.Config, stdout, stderr io.Writer) int {
	const name = "keys import"
	section, err := o.at.section()
	if err != nil {
		return failure(stderr, name, err)
	}
	m, err := c.Migrate()
	if err != nil {
		return failure(stderr, name, err)
	}
	for _, n := range m.Notes {
		fmt.Fprintf(stderr, "note: %s\n", n)
	}
	faults := importKeys(section, m.Keys, o.dry, stderr)
	var text strings.Builder
	printSection(&text, section, m)
	if _, err := io.WriteString(stdout, text.String()); err != nil {
		return failure(stderr, name, err)
	}
	if faults > 0 {
		return failure(stderr, name, fmt.Errorf("%s could not be taken over: mend that, and run it again; what is copied already stays as it is", display.Count(faults, "key")))
	}
	if !o.dry {
		tellDifferences(c, text.String(), stderr)
	}
	return exitOK
}

// tellDifferences compares the section that an import made with opendkim's rules.
func tellDifferences(o *opendkim.Config, text string, stderr io.Writer) {
	const shown = 20
	var c comparison
	g, err := sectionAlone(text)
	if err == nil {
		c, err = compare(o, g, nil)
	}
	if err != nil {
		fmt.Fprintf(stderr, "note: the section could not be compared with opendkim's rules: %v\n", err)
		return
	}
	for i, d := range c.Differences {
		if i == shown {
			fmt.Fprintf(stderr, "differs: and %d more; signpost keys import --check shows all\n", len(c.Differences)-shown)
			break
		}
		fmt.Fprintf(stderr, "differs: %s\n", d.line())
	}
	fmt.Fprintln(stderr, c.summary())
}

// sectionAlone builds what the section is as a whole configuration.
func sectionAlone(text string) (*daemon.Generation, error) {
	f, err := os.CreateTemp("", "signpost-import-*.yaml")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return everyKeySigns(f.Name())
}

// readOpenDKIM reads a configuration of opendkim, or the two tables.
func readOpenDKIM(conf []string, keyTable, signingTable string, multiple bool) (*opendkim.Config, error) {
	if len(conf) == 0 {
		return opendkim.Tables(keyTable, signingTable, multiple, readBounded)
	}
	o, err := opendkim.Read(conf[0], readBounded)
	if err == nil && multiple {
		o.SetMultiple()
	}
	return o, err
}

func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxImport+1))
	if err == nil && len(text) > maxImport {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxImport)
	}
	return string(text), err
}

// importKeys copies the keys, and prints the result for each. It returns how
// many could not be.
func importKeys(section keys.Config, all []opendkim.Key, dry bool, stderr io.Writer) (faults int) {
	done := "copied to"
	if dry {
		done = "would be copied to"
	}
	for _, m := range all {
		for _, one := range eachDomain(m) {
			ref := keys.Ref{Domain: one.Domain, Selector: one.Selector}
			text := opendkim.KeyFile(one.Inline)
			var err error
			if one.File != "" {
				var s string
				s, err = readBounded(one.File)
				text = []byte(s)
			}
			var k *keys.Key
			if err == nil {
				k, err = section.Import(ref, text, dry)
			}
			if err != nil {
				faults++
				fmt.Fprintf(stderr, "%s: %v\n", ref, err)
				continue
			}
			fmt.Fprintf(stderr, "%s (%s, %d bits): %s %s\n", ref, k.Algorithm, k.Bits, done, k.Path)
			for _, w := range k.Warnings {
				fmt.Fprintf(stderr, "%s: warning: %s\n", ref, w)
			}
		}
	}
	return faults
}

// eachDomain finds the keys that a path with a % stands for: one for each domain
// that has a file.
func eachDomain(m opendkim.Key) []opendkim.Key {
	if !m.EachDomain {
		return []opendkim.Key{m}
	}
	head, tail, _ := strings.Cut(m.File, "%")
	paths, _ := filepath.Glob(globQuote(head) + "*" + strings.ReplaceAll(globQuote(tail), "%", "*"))
	var found []opendkim.Key
	for _, file := range paths {
		rest := strings.TrimPrefix(file, head)
		for n := range rest { // the domain, if put in the place of each %, makes the path
			domain, ok := message.DomainToASCII(rest[:n])
			if ok && fitsPattern(m.Pattern, domain) && strings.ReplaceAll(m.File, "%", rest[:n]) == file {
				found = append(found, opendkim.Key{Domain: domain, Selector: m.Selector, File: file})
				break
			}
		}
	}
	if len(found) == 0 {
		return []opendkim.Key{m} // whose file, with the %, is then not found
	}
	return found
}

// fitsPattern reports whether a domain fits a pattern of an entry; "*" and "" fit all.
func fitsPattern(pattern, domain string) bool {
	ok, err := path.Match(pattern, domain) // no "/" in either, so "*" stands for any run
	return pattern == "" || (ok && err == nil)
}

func globQuote(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(s)
}
