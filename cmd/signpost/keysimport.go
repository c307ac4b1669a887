package main

import (
	"errors"
	"fmt"
	"io"
	"os"
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
	o, err := readOpenDKIM(rest, *keyTable, *signingTable)
	if err != nil {
		return failure(stderr, name, err)
	}
	o.Multiple = o.Multiple || *multiple
	m, err := o.Migrate()
	if err != nil {
		return failure(stderr, name, err)
	}
	for _, n := range m.Notes {
		fmt.Fprintf(stderr, "note: %s\n", n)
	}
	faults := importKeys(section, m.Keys, *dry, stderr)
	printEntries(stdout, section, m.Entries)
	if faults > 0 {
		return failure(stderr, name, fmt.Errorf("%d keys could not be taken over", faults))
	}
	return exitOK
}

// readOpenDKIM reads a configuration of opendkim, or the two tables.
func readOpenDKIM(conf []string, keyTable, signingTable string) (opendkim.Config, error) {
	var o opendkim.Config
	set := map[string]string{"keytable": keyTable, "signingtable": signingTable}
	if len(conf) == 1 {
		text, err := readBounded(conf[0])
		if err != nil {
			return o, err
		}
		set = openDKIMSettings(text)
	}
	var err error
	for key, to := range map[string]*string{"keytable": &o.KeyTable, "signingtable": &o.SigningTable} {
		if set[key] == "" {
			continue
		}
		path, problem := tableFile(set[key])
		if problem != nil {
			return o, fmt.Errorf("%s %s: %w", key, set[key], problem)
		}
		if *to, err = readBounded(path); err != nil {
			return o, err
		}
	}
	o.Multiple, o.Subdomains = isYes(set["multiplesignatures"]), isYes(set["subdomains"])
	o.Selector, o.KeyFile = set["selector"], set["keyfile"]
	if o.Domains, err = listOf(set["domain"]); err != nil {
		return o, fmt.Errorf("domain %s: %w", set["domain"], err)
	}
	if o.SigningTable == "" && (len(o.Domains) == 0 || o.Selector == "" || o.KeyFile == "") {
		return o, errors.New("it signs nothing: there is neither a SigningTable nor Domain, Selector and KeyFile")
	}
	return o, nil
}

// openDKIMSettings are the lines NAME VALUE, by name in lower case; the first counts.
func openDKIMSettings(text string) map[string]string {
	set := map[string]string{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		if name := strings.ToLower(words[0]); set[name] == "" {
			set[name] = strings.Join(words[1:], " ")
		}
	}
	return set
}

func isYes(value string) bool {
	return value != "" && strings.ContainsAny(value[:1], "yYtT1")
}

// tableFile is the file of a data set of opendkim.
func tableFile(set string) (string, error) {
	for _, kind := range []string{"refile:", "file:"} {
		if path, ok := strings.CutPrefix(set, kind); ok {
			return path, nil
		}
	}
	if strings.HasPrefix(set, "/") || strings.HasPrefix(set, ".") {
		return set, nil
	}
	return "", errors.New("only file: and refile: can be read; write the data set into a file (opendkim -Q shows what it has), and give that with --keytable and --signingtable")
}

// listOf reads a data set that is a list: words with commas, or a file.
func listOf(set string) ([]string, error) {
	set = strings.TrimPrefix(set, "csl:")
	if path, err := tableFile(set); err == nil {
		text, err := readBounded(path)
		if err != nil {
			return nil, err
		}
		set = ""
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, "#")
			set += "," + line
		}
	}
	return strings.FieldsFunc(set, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }), nil
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
	for _, path := range paths {
		rest := strings.TrimPrefix(path, head)
		for n := range rest { // the domain, if put in the place of each %, makes the path
			domain, ok := message.DomainToASCII(rest[:n])
			if ok && strings.ReplaceAll(m.File, "%", rest[:n]) == path {
				found = append(found, opendkim.Key{Domain: domain, Selector: m.Selector, File: path})
				break
			}
		}
	}
	if len(found) == 0 {
		return []opendkim.Key{m} // whose file, with the %, is then not found
	}
	return found
}

func globQuote(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(s)
}

// printEntries writes the fragment for the configuration.
func printEntries(w io.Writer, section keys.Config, entries []opendkim.Entry) {
	if section.Dir != keys.Defaults().Dir {
		fmt.Fprintf(w, "keys:\n  dir: %q\n\n", section.Dir)
	}
	fmt.Fprintln(w, "signer:\n  domains:")
	for _, e := range entries {
		fmt.Fprintf(w, "    - domain: %s\n      selectors: [%s]\n", yamlDomain(e.Domain), strings.Join(e.Selectors, ", "))
		if e.Subdomains {
			fmt.Fprintln(w, "      subdomains: true")
		}
	}
	if len(entries) == 0 {
		fmt.Fprintln(w, "    []")
	}
}
