package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"signpost/keys"
)

const (
	// reportEvery is the interval of the log line about a domain that does not sign as listed.
	reportEvery = time.Hour
	// maxReported bounds the lines of one round: those of new states, and those of problems.
	maxReported = 50
)

// report is the last log line about a domain.
type report struct {
	why string
	at  time.Time
}

// report logs the new states of keys, and the domains that do not sign as listed.
func (w *Tracker) report(changes stateChanges, now time.Time) {
	lines, most := 0, maxReported
	line := func(level slog.Level, text string, args ...any) {
		if lines++; lines <= most {
			w.log.Log(context.Background(), level, text, args...)
		}
	}
	w.changed = w.changed || changes.count > 0 || changes.otherKeys
	for _, c := range changes.first {
		level, text := c.fact.stateText()
		line(level, text, "domain", c.fact.Domain, "selector", c.fact.Selector, "state", string(c.fact.State), "was", string(c.was))
	}
	lines += changes.count - len(changes.first)
	most += min(lines, maxReported) // new states do not displace problems
	more := max(0, lines-maxReported)
	lines -= more
	sets := w.spec.Active.sets.Load()
	for _, domain := range w.troubled(sets) {
		d, last := sets.of(domain), w.reported[domain]
		switch {
		case d.Why == last.why && now.Sub(last.at) < reportEvery:
			continue
		case d.Why == "":
			delete(w.reported, domain)
			line(slog.LevelInfo, "all listed keys sign", "domain", domain)
			continue
		case d.Lost != "":
			line(slog.LevelError, "mail of this domain cannot be signed: a listed key cannot be used; signer.on_error decides what becomes of it", "domain", domain, "why", d.Why)
		case len(d.Keys) == 0:
			line(slog.LevelError, "mail of this domain leaves unsigned: none of its keys may sign", "domain", domain, "why", d.Why)
		case d.StandIn:
			line(slog.LevelWarn, "a key that is no longer listed goes on signing", "domain", domain, "why", d.Why)
		default:
			line(slog.LevelWarn, "not every listed key signs", "domain", domain, "why", d.Why)
		}
		w.reported[domain] = report{d.Why, now}
	}
	for domain := range w.reported {
		if sets.of(domain) == nil {
			delete(w.reported, domain)
		}
	}
	if more += max(0, lines-most); more > 0 {
		w.log.Warn(fmt.Sprintf("%d lines more about keys; signpost keys list has them all", more))
	}
}

// stateChange is a key with a new state, and the state before.
type stateChange struct {
	fact Fact
	was  State
}

// stateChanges are the keys with new states. At the first start these are all keys, so it has only
// those that are reported, in order, and the number of all.
type stateChanges struct {
	first     []stateChange
	count     int
	otherKeys bool // the number of keys has changed
}

// stateChanges compares facts. Keys with pending lookups are left out.
func (w *Tracker) stateChanges(before, after facts) stateChanges {
	changes := stateChanges{otherKeys: len(before) != len(after)}
	var refs []keys.Ref
	for ref, f := range after {
		if w.pending[ref] != nil || before.state(ref) == f.State {
			continue
		}
		changes.count++
		if refs = append(refs, ref); len(refs) >= 20*maxReported {
			slices.SortFunc(refs, keys.Ref.Compare)
			refs = refs[:maxReported]
		}
	}
	slices.SortFunc(refs, keys.Ref.Compare)
	for _, ref := range refs[:min(len(refs), maxReported)] {
		changes.first = append(changes.first, stateChange{after.of(ref), before.state(ref)})
	}
	return changes
}

// state is the state of a key; Forgotten without a fact.
func (l facts) state(ref keys.Ref) State {
	if f := l[ref]; f != nil {
		return f.State
	}
	return Forgotten
}

// troubled returns the domains that do not sign as listed, or that were last reported as such.
// Domains with pending lookups are left out.
func (w *Tracker) troubled(sets *signingSets) []string {
	if len(w.reported) == 0 && !sets.trouble() {
		return nil
	}
	var domains []string
	for domain, d := range sets.all() {
		if _, known := w.reported[domain]; len(d.pending) == 0 && (known || d.Why != "") {
			domains = append(domains, domain)
		}
	}
	slices.Sort(domains)
	return domains
}

// stateText is the log line for a new state.
func (f Fact) stateText() (slog.Level, string) {
	switch f.State {
	case Active:
		if f.DNS == keys.NoAnswer {
			return slog.LevelInfo, "a key signs, although nothing is known of it in DNS"
		}
		return slog.LevelInfo, "a key signs"
	case Published:
		return slog.LevelInfo, "a key is published and waits for its active_from"
	case Missing:
		return slog.LevelWarn, "a key's record is gone from DNS"
	case Differing:
		return slog.LevelWarn, "a key's record " + f.Detail
	case Retiring:
		return slog.LevelInfo, "a key is retiring: leave its record in DNS"
	case Retired:
		return slog.LevelInfo, fmt.Sprintf("a key is retired: publish what signpost keys record --revoke %s %s prints, and delete its file", f.Domain, f.Selector)
	}
	return slog.LevelInfo, "a key waits for its record in DNS"
}
