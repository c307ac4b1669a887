package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"signpost/internal/display"
	"signpost/keys"
)

const keysText = `Make keys, show their DNS records, and follow their life.

    signpost keys generate DOMAIN SELECTOR      make a key
    signpost keys record   DOMAIN SELECTOR      show the DNS record of a key
    signpost keys list     [DOMAIN]             state, age and use of every key
    signpost keys check    [DOMAIN [SELECTOR]]  compare keys with DNS
    signpost keys rotate   DOMAIN               replace the keys of a domain
    signpost keys import   OPENDKIM.CONF        take over opendkim's keys

Each has --help with its options and an example: signpost keys generate --help.
`

const generateText = `Make a signing key and print the DNS record that goes with it.

    signpost keys generate [OPTIONS] DOMAIN SELECTOR

The key is written to <keys.dir>/DOMAIN/SELECTOR.pem and never over a key that
is there already. Run it as root, and the group signpost may read the key. A
folder on the way that another user may change is refused. Nothing signs with
the key before its selector stands in the configuration.

Example: a new key each year, and an Ed25519 key beside it

    signpost keys generate example.com s2026
    signpost keys generate --type ed25519 example.com e2026
`

// keysCommands are the subcommands of keys, in the order of the help.
func keysCommands() []command {
	return []command{
		{"generate", "make a key", withoutInput(generateCommand)},
		{"record", "show the DNS record of a key", withoutInput(recordCommand)},
		{"list", "show state, age and use of every key", withoutInput(listCommand)},
		{"check", "compare keys with DNS", withoutInput(keysCheckCommand)},
		{"rotate", "replace the keys of a domain", withoutInput(rotateCommand)},
		{"import", "take over opendkim's keys and tables", withoutInput(importCommand)},
	}
}

func withoutInput(run func(args []string, stdout, stderr io.Writer) int) func([]string, io.Reader, io.Writer, io.Writer) int {
	return func(args []string, _ io.Reader, stdout, stderr io.Writer) int { return run(args, stdout, stderr) }
}

func keysCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return group{"keys", keysText, keysCommands()}.run(args, stdin, stdout, stderr)
}

func generateCommand(args []string, stdout, stderr io.Writer) int {
	const name = "keys generate"
	f := flags(name, generateText, stderr)
	at := placeFlags{
		dir:    f.String("dir", "", "put the key under this `FOLDER` (default: keys.dir of the configuration)"),
		config: f.String("config", "", "take keys.dir from the configuration `FILE` (default: "+defaultConfig+", if it is there)"),
	}
	kind := f.String("type", "rsa", "`kind` of key: rsa or ed25519")
	bits := f.Int("bits", 0, "`length` of an RSA key (default 2048)")
	asJSON := f.Bool("json", false, "print one JSON object")
	names, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	alg, problem := algorithm(*kind)
	if problem == "" {
		problem = bitsProblem(alg, *bits)
	}
	if problem == "" {
		problem = at.problem(names)
	}
	if problem != "" {
		return wrongUsage(stderr, name, problem)
	}
	section, err := at.section()
	if err != nil {
		return failure(stderr, name, err)
	}
	k, err := keys.Generate(section.Dir, names[0], names[1], alg, *bits)
	if err != nil {
		return failure(stderr, name, err)
	}
	if *asJSON {
		return printJSON(stdout, describe(k))
	}
	fmt.Fprintf(stdout, "The key is in %s (%s, %s).\n", k.Path, k.Algorithm, k.Access())
	if info, err := os.Stat(k.Path); err == nil && os.Geteuid() == 0 && info.Mode().Perm()&0o040 == 0 {
		fmt.Fprintf(stdout, "There is no group signpost, so only root may read it.\nFor a daemon in another group:\nchgrp -R GROUP %[1]s && chmod -R g+rX %[1]s\n", section.Dir)
	}
	fmt.Fprintln(stdout)
	printRecord(stdout, k.Domain, k.Selector, k.RecordName(), k.Record())
	printNext(stdout, k, section.Dir)
	return exitOK
}

// placeFlags are the options for the place of the keys.
type placeFlags struct{ dir, config *string }

// problem returns the mistake in options and names, or "".
func (p placeFlags) problem(names []string) string {
	switch {
	case *p.dir != "" && *p.config != "":
		return "--dir and --config exclude each other"
	case len(names) != 2:
		return fmt.Sprintf("give a domain and a selector, such as example.com s2026 (%s given)", display.Count(len(names), "argument"))
	}
	return keyNameProblem(names)
}

// section is the configuration's section keys, changed by the options.
func (p placeFlags) section() (keys.Config, error) {
	if *p.dir != "" {
		section := keys.Defaults()
		var err error
		// The configuration needs the whole path: a daemon runs elsewhere.
		section.Dir, err = filepath.Abs(*p.dir)
		return section, err
	}
	c, _, err := loadWhole(*p.config)
	return c.Keys, err
}

func algorithm(kind string) (alg keys.Algorithm, problem string) {
	switch kind {
	case "rsa":
		return keys.RSA, ""
	case "ed25519":
		return keys.Ed25519, ""
	}
	return "", fmt.Sprintf("--type %q is neither rsa nor ed25519", kind)
}

// keyInfo is a key in the output of --json.
type keyInfo struct {
	Domain    string   `json:"domain"`
	Selector  string   `json:"selector"`
	Algorithm string   `json:"algorithm"`
	Bits      int      `json:"bits"`
	Path      string   `json:"path"`
	Access    string   `json:"access"`
	Name      string   `json:"record_name"`
	Type      string   `json:"record_type"`
	Value     string   `json:"record_value"`
	ZoneLine  string   `json:"zone_line"`
	Quoted    string   `json:"record_quoted"`
	Warnings  []string `json:"warnings,omitempty"`
}

func describe(k *keys.Key) keyInfo {
	return keyInfo{
		Domain: k.Domain, Selector: k.Selector, Algorithm: string(k.Algorithm), Bits: k.Bits, Path: k.Path, Access: k.Access(),
		Name: k.RecordName(), Type: "TXT", Value: k.Record(), ZoneLine: k.ZoneLine(),
		Quoted: keys.Quoted(k.Record()), Warnings: k.Warnings,
	}
}

// printNext prints the next steps after a key was generated.
func printNext(w io.Writer, k *keys.Key, dir string) {
	var section strings.Builder
	if dir != keys.Defaults().Dir {
		fmt.Fprintf(&section, "        keys:\n          dir: %q\n", dir)
	}
	fmt.Fprintf(&section, "        signer:\n          domains:\n            - domain: %s\n              selectors: [%s]\n", yamlDomain(k.Domain), k.Selector)
	fmt.Fprintf(w, `
Then:

    1. Add the selector to those of the domain in the configuration, in the place
       of the one that it replaces, if any:

%s
    2. Reload: systemctl reload signpost, or send the daemon SIGHUP. It signs with
       the key as soon as DNS has the record; look with:

        signpost keys check %s %s
`, section.String(), k.Domain, k.Selector)
	if k.Algorithm == keys.Ed25519 {
		fmt.Fprint(w, `
Not every receiver verifies Ed25519 yet: let an RSA key sign beside it.
`)
	}
}

// yamlDomain quotes the one name that YAML would take for something else.
func yamlDomain(domain string) string {
	if domain == keys.AnyDomain {
		return `"*"`
	}
	return domain
}
