package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"signpost/internal/message"
	"signpost/keys/lifecycle"
)

const listText = `List every key: those that the configuration lists, those that have a file, and
those that were in use before.

    signpost keys list [OPTIONS] [DOMAIN]

The states, which the daemon decides and keeps in keys.state:

    pending     listed; not seen in DNS yet, another key signs if there is one
    published   DNS has it; its active_from is still to come
    active      it signs
    missing     it was published once, and its record is gone
    differs     its record is there and is no good for this key
    retiring    no longer listed, or replaced: leave its record in DNS
    retired     no entry uses it, and no mail under way needs it: publish what
                signpost keys record --revoke shows, delete its file
    lent        other domains sign with it (keys_of): leave its file where it is
    unused      it has a file, and nothing else

Below, it shows which selectors sign now for each domain, and why where these
are not just those that the configuration lists: a key stands in, or mail goes
unsigned.

The times of sight and use may be some minutes old; signpost keys check asks
DNS now. The exit code is 1 if keys.state cannot be read: then no state is
known, and standard error says why.

Example:

    signpost keys list example.com
`

// listedKey is a key in the output of --json.
type listedKey struct {
	Domain      string     `json:"domain"`
	Selector    string     `json:"selector"`
	Algorithm   string     `json:"algorithm,omitempty"`
	Bits        int        `json:"bits,omitempty"`
	State       string     `json:"state"`
	Note        string     `json:"note,omitempty"`
	Listed      bool       `json:"listed"`
	ActiveFrom  *time.Time `json:"active_from,omitempty"`
	Made        *time.Time `json:"made,omitempty"`
	FirstSeen   *time.Time `json:"first_seen_in_dns,omitempty"`
	LastSeen    *time.Time `json:"last_seen_in_dns,omitempty"`
	LastUsed    *time.Time `json:"last_used,omitempty"`
	RecordUntil *time.Time `json:"record_needed_until,omitempty"`
	Path        string     `json:"path,omitempty"`
}

func listCommand(args []string, stdout, stderr io.Writer) int {
	const name = "keys list"
	f := flags(name, listText, stderr)
	path := f.String("config", "", configHelp)
	asJSON := f.Bool("json", false, "print one JSON object")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) > 1 {
		return wrongUsage(stderr, name, "give one domain, or none for all")
	}
	if problem := keyNameProblem(rest); problem != "" {
		return wrongUsage(stderr, name, problem)
	}
	c, _, err := loadWhole(*path)
	if err != nil {
		return failure(stderr, name, err)
	}
	files, err := c.Keys.Files()
	if err != nil {
		return failure(stderr, name, err)
	}
	entries, stateErr := lifecycle.Inventory(c.Keys, c.Signer.Listed(files), files)
	if stateErr != nil {
		fmt.Fprintf(stderr, "signpost keys list: %v\n", stateErr)
	}
	list := []listedKey{}
	for _, e := range entries {
		if len(rest) == 0 || sameDomain(rest[0], e.Ref.Domain) {
			list = append(list, c.listedKey(e))
		}
	}
	now := time.Now()
	signing := c.signingNow(rest, lifecycle.DomainStatuses(c.Keys, c.Signer.Listed(files), c.Signer.RequirePublished, entries, now))
	if *asJSON {
		code = printJSON(stdout, map[string]any{"keys": list, "signing": signing})
	} else {
		printList(stdout, list, strings.Join(rest, ""), now)
		printSigning(stdout, signing)
	}
	if stateErr != nil {
		return exitFailure
	}
	return code
}

func sameDomain(asked, domain string) bool {
	ascii, ok := message.DomainToASCII(asked)
	return asked == domain || ok && ascii == domain
}

func (c Config) listedKey(e lifecycle.Status) listedKey {
	f := e.Fact
	state, note := e.State()
	l := listedKey{
		Domain: e.Ref.Domain, Selector: e.Ref.Selector, Algorithm: string(f.Algorithm), Bits: f.Bits,
		State: string(state), Note: note, Listed: e.Listed,
		ActiveFrom: moment(e.ActiveFrom), Made: moment(e.Made), FirstSeen: moment(f.FirstSeen), LastSeen: moment(f.LastSeen), LastUsed: moment(f.LastUsed),
	}
	if e.Key != nil {
		l.Algorithm, l.Bits, l.Path = string(e.Key.Algorithm), e.Key.Bits, e.Key.Path
	}
	if state == lifecycle.Retiring && !f.Unlisted.IsZero() && len(e.Users) == 0 {
		l.RecordUntil = moment(f.Unlisted.Add(c.Keys.QueueTime))
	}
	return l
}

// moment is a time for JSON, which has no zero.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// printList writes the keys of a domain, or of all where domain is "".
func printList(w io.Writer, list []listedKey, domain string, now time.Time) {
	switch {
	case len(list) == 0 && domain != "":
		fmt.Fprintf(w, "%[1]s has no keys; signpost keys generate %[1]s SELECTOR makes the first.\n", domain)
		return
	case len(list) == 0:
		fmt.Fprintln(w, "There are no keys; signpost keys generate DOMAIN SELECTOR makes the first.")
		return
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "DOMAIN\tSELECTOR\tALGORITHM\tBITS\tAGE\tSTATE\tSEEN IN DNS\tUSED")
	var notes []string
	for _, l := range list {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Domain, l.Selector, orDash(l.Algorithm), bits(l.Bits),
			ago(l.Made, now), l.State, ago(l.LastSeen, now), ago(l.LastUsed, now))
		if l.Note != "" {
			notes = append(notes, fmt.Sprintf("%s of %s: %s", l.Selector, l.Domain, l.Note))
		}
		if l.RecordUntil != nil {
			notes = append(notes, fmt.Sprintf("%s of %s: leave its record in DNS until %s", l.Selector, l.Domain, l.RecordUntil.Format("2006-01-02 15:04 MST")))
		}
		if l.ActiveFrom != nil && l.ActiveFrom.After(now) {
			notes = append(notes, fmt.Sprintf("%s of %s: signs from %s on", l.Selector, l.Domain, l.ActiveFrom.Format("2006-01-02 15:04 MST")))
		}
	}
	_ = tw.Flush()
	if len(notes) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.Join(notes, "\n"))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func bits(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// ago is how long a moment is past, in one unit.
func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	const day = 24 * time.Hour
	switch d := now.Sub(*t); {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/day)
	}
}
