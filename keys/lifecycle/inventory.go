package lifecycle

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"signpost/keys"
)

// Status is all that is known of one key, for `keys list`.
type Status struct {
	// Fact is what the daemon has written about the key; without Domain and Selector if it has
	// written nothing.
	Fact Fact
	Ref  keys.Ref
	// Key is the private key; nil if it cannot be read: then Err says why.
	Key *keys.Key
	Err error
	// Made is when the file was written; zero without a file.
	Made time.Time
	// Listed says that the configuration lists the key, from ActiveFrom on.
	Listed     bool
	ActiveFrom time.Time
	// Users are the other names under which the configuration lists this private key.
	Users []keys.Ref
}

// Inventory joins the keys that the configuration lists, the keys that have a file, and the keys
// about which the daemon has written, ordered by domain and selector. It reads every key file. The
// error says that the state file cannot be used; the inventory then lacks only its facts.
func Inventory(cfg keys.Config, listed []Listed, files []keys.Ref) ([]Status, error) {
	entries := map[keys.Ref]*Status{}
	at := func(ref keys.Ref) *Status {
		if entries[ref] == nil {
			entries[ref] = &Status{Ref: ref}
		}
		return entries[ref]
	}
	for _, l := range listed {
		e := at(l.Ref)
		e.Listed, e.ActiveFrom = true, l.ActiveFrom
	}
	for _, ref := range files {
		at(ref)
	}
	facts, err := ReadState(cfg.State)
	for _, f := range facts {
		at(f.ref()).Fact = f
	}
	var all []Status
	for _, e := range entries {
		if e.Key, e.Err = cfg.Key(e.Ref.Domain, e.Ref.Selector); e.Key != nil {
			if info, err := os.Stat(e.Key.Path); err == nil {
				e.Made = info.ModTime()
			}
		}
		all = append(all, *e)
	}
	slices.SortFunc(all, func(a, b Status) int { return a.Ref.Compare(b.Ref) })
	addUsers(all)
	return all, err
}

// addUsers sets Users: the names under which each private key is listed besides its own.
func addUsers(all []Status) {
	names := map[string][]keys.Ref{}
	for _, e := range all {
		if e.Listed && e.Key != nil {
			names[e.Key.Fingerprint()] = append(names[e.Key.Fingerprint()], e.Ref)
		}
	}
	for i, e := range all {
		if e.Listed || e.Key == nil {
			continue
		}
		all[i].Users = names[e.Key.Fingerprint()]
	}
}

// Shared is the state of a key in an inventory that the configuration lists only under the name
// of another domain (keys_of).
const Shared State = "lent"

// usersNote says which domains sign with a key that is not listed under its own name.
func (e Status) usersNote() string {
	const shown = 5
	var names []string
	for i, u := range e.Users {
		if i == shown {
			names = append(names, fmt.Sprintf("%d more", len(e.Users)-shown))
			break
		}
		names = append(names, u.Domain)
	}
	verb := " signs"
	if len(e.Users) > 1 {
		verb = " sign"
	}
	return strings.Join(names, ", ") + verb + " with this key: leave its file where it is"
}

// Unused is the state of a key in an inventory that has a file, but is neither listed nor known
// to the daemon.
const Unused State = "unused"

// State is the state of the key, with a note; "": no note.
func (e Status) State() (State, string) {
	f := e.Fact
	known := f.State != Forgotten && (e.Key == nil || e.Key.Fingerprint() == f.Fingerprint)
	retiring := f.State == Retiring || f.State == Retired
	switch {
	case e.Key == nil && e.Listed:
		return Pending, e.Err.Error()
	case !known && e.Listed:
		return Pending, "the daemon knows nothing of it yet: reload"
	case !known && len(e.Users) > 0:
		return Shared, e.usersNote()
	case !known:
		return Unused, "the configuration does not list it"
	case !e.Listed && retiring && len(e.Users) > 0:
		return Retiring, e.usersNote()
	case e.Listed && f.State == Retired, !e.Listed && !retiring:
		return f.State, "the configuration has changed since the daemon read it: reload"
	case f.State == Retiring && e.Key == nil:
		return f.State, "its file cannot be read, so it cannot stand in any more"
	}
	if f.Detail != "" {
		return f.State, "its record " + f.Detail
	}
	return f.State, ""
}

// ServerFinding is the answer of one server about a key's record.
type ServerFinding struct {
	Server string
	keys.Finding
}

// Check queries every server for a key's record now, all at once, and returns what each answered,
// in their order. It waits for a slot of each server and for its answer, at most until ctx ends;
// no answer is a finding too.
func Check(ctx context.Context, servers []Server, k *keys.Key) []ServerFinding {
	o, _ := timeouts{ctx: ctx}.queryKey(ctx, servers, target{ref: k.Ref(), fingerprint: k.Fingerprint(), seek: true})
	var findings []ServerFinding
	for i, f := range o.findings {
		findings = append(findings, ServerFinding{servers[i].String(), f})
	}
	return findings
}
