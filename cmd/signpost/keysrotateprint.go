package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

func (c Config) printRotation(w io.Writer, path string, todo []rotation, o rotateOptions) {
	if o.dry {
		fmt.Fprint(w, "Nothing is changed. This is what would be done:\n\n")
	}
	for _, r := range todo {
		r.printChanges(w, path, o)
		if r.Record != nil {
			fmt.Fprintf(w, "The new key is in %s (%s).\n\n", r.Record.Path, r.Record.Access)
			printRecord(w, r.Domain, r.New, r.Record.Name, r.Record.Value)
			fmt.Fprintln(w)
		} else {
			fmt.Fprintf(w, "The new key would be written to %s.\n\n", filepath.Join(c.Keys.Dir, r.Domain, r.New+".pem"))
		}
		r.printMoreRecords(w)
		r.printStaying(w, o)
	}
	c.printTimes(w, todo)
}

// printChanges names the entries that go over to the new key.
func (r rotation) printChanges(w io.Writer, path string, o rotateOptions) {
	is := "is"
	if o.dry {
		is = "would be"
	}
	for _, u := range r.Entries {
		where := u.Where
		if u.place.Source == "" {
			where = path
		}
		switch {
		case !u.Changed:
		case u.How == "sdid":
			fmt.Fprintf(w, "%s (%s) is signed by another of these entries (sdid), and goes with it.\n", u.Entry, u.Where)
		case u.byHand():
			fmt.Fprintf(w, "To do by hand: in %s, for %s, put %s in the place of %s. Its keys stay as they are until then.\n", u.Where, u.Entry, r.New, r.Old)
		default:
			fmt.Fprintf(w, "In %s, %s of %s %s replaced by %s (%s).\n", where, r.Old, u.Entry, is, r.New, r.Algorithm)
		}
	}
}

// printMoreRecords names the records that other domains need for the new key.
func (r rotation) printMoreRecords(w io.Writer) {
	var names []string
	for _, u := range r.Entries {
		if u.Changed && u.Record != "" {
			names = append(names, r.New+u.Record)
		}
	}
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(w, "These domains sign with the key under their own names, and need the same\nrecord, or a CNAME to %s._domainkey.%s:\n\n    %s\n\n",
		r.New, r.Domain, strings.Join(names, "\n    "))
}

// staying are the entries that go on with the old key, until somebody changes them.
func (r rotation) staying() []keyUse {
	var list []keyUse
	for _, u := range r.Entries {
		if !u.Changed || u.byHand() {
			list = append(list, u)
		}
	}
	return list
}

func (r rotation) printStaying(w io.Writer, o rotateOptions) {
	list := r.staying()
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "These entries sign with %s of %s, and go on with it:\n\n", r.Old, r.Domain)
	for _, u := range list {
		fmt.Fprintf(w, "    %-30s %-8s %s\n", u.Entry, u.How, u.Where)
	}
	if o.dry && !o.all {
		fmt.Fprintf(w, "\n--all-entries changes them too, but for patterns and ARC seals.\n\n")
	} else {
		fmt.Fprintf(w, `
To change them too, put %s in the place of %s there, and publish its
record under the names of those with keys_of. Of the domains under a pattern,
all need the record first: nothing looks whether they have it.

`, r.New, r.Old)
	}
}

// printTimes prints the time of each step.
func (c Config) printTimes(w io.Writer, todo []rotation) {
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
		fmt.Fprintf(w, `    now                 publish what stands above, and wait until signpost keys check %s
                        is content: signer.require_published is false, so nothing waits
    then                systemctl reload signpost: from that moment on, %s
`, todo[0].Domain, to+" "+strings.Fields(signs)[0])
	}
	fmt.Fprintf(w, "    for %-16sleave the record of %s in DNS, for mail that is under way\n", days(c.Keys.QueueTime), from)
	when := "after that"
	line := func(text string) {
		fmt.Fprintf(w, "    %-20s%s\n", when, text)
		when = ""
	}
	var retired []string
	for _, r := range todo {
		if n := len(r.staying()); n > 0 {
			line(fmt.Sprintf("keep %s of %s, its file and its record: %s with it", r.Old, r.Domain, entriesSign(n)))
			continue
		}
		for _, u := range r.Entries {
			if u.Record != "" && !strings.Contains(u.Entry, "*") {
				line(fmt.Sprintf("signpost keys record --revoke %s %s", asciiDomain(u.Entry), r.Old))
			}
		}
		line(fmt.Sprintf("signpost keys record --revoke %s %s", r.Domain, r.Old))
		retired = append(retired, r.Old)
	}
	if len(retired) > 0 {
		line(fmt.Sprintf("delete the key file of %s, once signpost keys list shows retired", strings.Join(retired, " and ")))
	}
}

func entriesSign(n int) string {
	if n == 1 {
		return "the entry above signs"
	}
	return fmt.Sprintf("%d entries above sign", n)
}

func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}
