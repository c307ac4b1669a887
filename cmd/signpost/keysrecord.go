package main

import (
	"cmp"
	"fmt"
	"io"

	"signpost/internal/config"
	"signpost/internal/daemon"
	"signpost/keys"
)

const recordText = `Print the DNS record of a key that is there.

    signpost keys record [OPTIONS] DOMAIN SELECTOR

The forms: zone, a line of a zone file; value, the text in one piece, as most
web forms want it; quoted, the strings of at most 255 octets each in quotation
marks, as some providers and most APIs want it; all, which is all three with
words between.

Examples: the record, and the one that takes a retired key back (its file may
be gone already)

    signpost keys record example.com s2026
    signpost keys record --revoke example.com s2025
`

// The forms in which a record is printed.
var recordForms = []string{"all", "zone", "value", "quoted"}

func recordCommand(args []string, stdout, stderr io.Writer) int {
	const name = "keys record"
	f := flags(name, recordText, stderr)
	at := placeFlags{
		dir:    f.String("dir", "", "look under this `FOLDER` (default: keys.dir of the configuration)"),
		config: f.String("config", "", "take keys.dir from the configuration `FILE` (default: "+defaultConfig+", if it is there)"),
	}
	var o keys.RecordOptions
	f.BoolVar(&o.Testing, "testing", false, "say t=y: verifiers may treat the mail as unsigned")
	f.BoolVar(&o.Email, "email", false, "say s=email: the key is for nothing but mail")
	f.StringVar(&o.Note, "note", "", "say n=`TEXT`, for people")
	revoke := f.Bool("revoke", false, "the record that takes the key back (p= is empty)")
	form := f.String("format", "all", "`form` of the record: all, zone, value or quoted")
	asJSON := f.Bool("json", false, "print one JSON object")
	names, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	problem := at.problem(names)
	config.OneOf(func(_, what string) { problem = "--format: " + what }, "", *form, recordForms...)
	if *revoke && o != (keys.RecordOptions{}) {
		problem = "--revoke takes no other option of the record"
	}
	if problem != "" {
		return wrongUsage(stderr, name, problem)
	}
	r, err := readRecord(at, names[0], names[1], o, *revoke)
	if err != nil {
		return failure(stderr, name, err)
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(stderr, "signpost keys record: %s: %s\n", cmp.Or(r.Path, r.Name), w)
	}
	switch {
	case *asJSON:
		return printJSON(stdout, r)
	case *form == "zone":
		fmt.Fprintln(stdout, r.ZoneLine)
	case *form == "value":
		fmt.Fprintln(stdout, r.Value)
	case *form == "quoted":
		fmt.Fprintln(stdout, r.Quoted)
	default:
		printRecord(stdout, names[0], names[1], r.Name, r.Value)
	}
	return exitOK
}

// stillSigns warns of the entries that sign with a key which is to be revoked, as far as
// there is a configuration that can be read.
func (p placeFlags) stillSigns(domain, selector string) []string {
	if *p.dir != "" {
		return nil
	}
	c, _, err := loadWhole(*p.config)
	if err != nil {
		return nil
	}
	var users []string
	name := asciiDomain(domain)
	for i, d := range c.Signer.Domains {
		lent := d.KeysOf != "" && asciiDomain(d.KeysOf) == name && d.SignsWith(asciiDomain(d.Domain), selector)
		if lent || d.SignsWith(name, selector) {
			users = append(users, fmt.Sprintf("%s (%s)", d.Domain, c.where(i)))
		}
	}
	if c.Signer.ARC.SealsWith(domain, selector) {
		users = append(users, "ARC seals (signer.arc.selector)")
	}
	if len(users) == 0 {
		return nil
	}
	return []string{"do not publish this yet: the configuration signs with the key, in " + daemon.SomeOf(users)}
}

// readRecord is what there is to print of a key's record. To revoke a key, its file
// is not needed.
func readRecord(at placeFlags, domain, selector string, o keys.RecordOptions, revoke bool) (keyInfo, error) {
	if revoke {
		ref, err := keys.Ref{Domain: domain, Selector: selector}.Canonical()
		record := ref.RecordName()
		return keyInfo{
			Warnings: at.stillSigns(domain, selector),
			Domain:   domain, Selector: selector, Name: record, Type: "TXT", Value: keys.RevokedRecord,
			ZoneLine: keys.ZoneLine(record, keys.RevokedRecord), Quoted: keys.Quoted(keys.RevokedRecord),
		}, err
	}
	section, err := at.section()
	if err != nil {
		return keyInfo{}, err
	}
	k, err := section.Key(domain, selector)
	if err != nil {
		return keyInfo{}, err
	}
	r := describe(k)
	r.Value = k.RecordWith(o)
	r.ZoneLine, r.Quoted = keys.ZoneLine(r.Name, r.Value), keys.Quoted(r.Value)
	return r, nil
}

func printRecord(w io.Writer, domain, selector, name, value string) {
	every := ""
	if domain == keys.AnyDomain {
		every = " in each domain that is to sign with this key, its name in place of the *"
	}
	fmt.Fprintf(w, `Publish this record%s. In a zone file:

%s

Or in the web form of a DNS provider:

    Name    %s
            (many forms add the domain themselves and want %s._domainkey)
    Type    TXT
    Value   %s
`, every, keys.ZoneLine(name, value), name, selector, value)
	if len(keys.Strings(value)) > 1 {
		fmt.Fprintf(w, "\nWhere a form refuses so long a value, it wants strings in quotation marks:\n\n    Value   %s\n", keys.Quoted(value))
	}
}
