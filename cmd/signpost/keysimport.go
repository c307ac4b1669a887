package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"signpost/internal/message"
	"signpost/internal/opendkim"
	"signpost/keys"
)

const importText = `Take over the keys and the signing table of opendkim.

    signpost keys import [OPTIONS] [OPENDKIM.CONF]
    signpost keys import [OPTIONS] --keytable FILE --signingtable FILE

The keys are copied to keys.dir, never over another key; opendkim's files stay as
they are. Standard output gets the section for our configuration, standard error what
could not be taken over. Keys, selectors and records stay the same, so nothing has to
be published.

Example:

    signpost keys import --dry-run /etc/opendkim.conf
    signpost keys import /etc/opendkim.conf > domains.yaml
`

// maxImport bounds each file that is read, in bytes.
const maxImport = 64 << 20

func importCommand(args []string, stdout, stderr io.Writer) int {
	const name = "keys import"
	f := flags(name, importText, stderr)
	at := placeFlags{
		dir:    f.String("dir", "", "put the keys under `DIR` (default: keys.dir of the configuration)"),
		config: f.String("config", "", "take keys.dir from the configuration `FILE` (default: "+defaultConfig+", if it is there)"),
	}
	keyTable := f.String("keytable", "", "opendkim's KeyTable `FILE`")
	signingTable := f.String("signingtable", "", "opendkim's SigningTable `FILE`")
	multiple := f.Bool("multiple", false, "every line that matches signs (MultipleSignatures of opendkim.conf)")
	dry := f.Bool("dry-run", false, "write no keys, and show what would be done")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	tables := *keyTable != "" && *signingTable != ""
	if len(rest) > 1 || tables == (len(rest) == 1) || *at.dir != "" && *at.config != "" {
		return wrongUsage(stderr, name, "give an opendkim.conf, or --keytable and --signingtable; and --dir or --config, if any")
	}
	section, err := at.section()
	if err != nil {
		return failure(stderr, name, err)
	}
	o, err := readOpenDKIM(rest, *keyTable, *signingTable, *multiple)
	if err != nil {
		return failure(stderr, name, err)
	}
	m, err := o.Migrate()
	if err != nil {
		return failure(stderr, name, err)
	}
	for _, n := range m.Notes {
		fmt.Fprintf(stderr, "note: %s\n", n)
	}
	faults := importKeys(section, m.Keys, *dry, stderr)
	printSection(stdout, section, m)
	if faults > 0 {
		return failure(stderr, name, fmt.Errorf("%d keys could not be taken over", faults))
	}
	return exitOK
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

// importKeys copies the keys, and says for each what became of it. It returns how
// many could not be.
func importKeys(section keys.Config, all []opendkim.Key, dry bool, stderr io.Writer) (faults int) {
	done := "copied to"
	if dry {
		done = "would be copied to"
	}
	for _, m := range all {
		for _, one := range eachDomain(m) {
			ref := keys.Ref{Domain: one.Domain, Selector: one.Selector}
			text := keys.Inline(one.Inline)
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
