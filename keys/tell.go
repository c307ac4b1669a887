package keys

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

const (
	// toldEvery is how often a domain that does not sign as listed is told of.
	toldEvery = time.Hour
	// maxTold bounds the lines of one round: those of news, and those of troubles.
	maxTold = 50
)

// told is what was last said of a domain.
type told struct {
	why string
	at  time.Time
}

// tell logs what has changed of some keys or all, and what is not as it should be.
func (w *Watch) tell(before, after ledger, now time.Time) {
	lines, most := 0, maxTold
	line := func(level slog.Level, text string, args ...any) {
		if lines++; lines <= most {
			w.log.Log(context.Background(), level, text, args...)
		}
	}
	news := ledger{}
	for ref, f := range after {
		if w.open[ref] == nil && before[ref].State != f.State {
			news[ref] = f
		}
	}
	w.changed = w.changed || len(news) > 0 || len(before) != len(after)
	for _, f := range news.sorted() {
		was := before[f.ref()].State
		level, text := f.news()
		line(level, text, "domain", f.Domain, "selector", f.Selector, "state", string(f.State), "was", string(was))
	}
	most += min(lines, maxTold) // what is wrong is not kept back for what is new
	more := max(0, lines-maxTold)
	lines -= more
	duties := *w.plan.Roster.duties.Load()
	for _, domain := range w.troubled(duties) {
		d, last := duties[domain], w.told[domain]
		switch {
		case d.Why == last.why && now.Sub(last.at) < toldEvery:
			continue
		case d.Why == "":
			delete(w.told, domain)
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
		w.told[domain] = told{d.Why, now}
	}
	for domain := range w.told {
		if duties[domain] == nil {
			delete(w.told, domain)
		}
	}
	if more += max(0, lines-most); more > 0 {
		w.log.Warn(fmt.Sprintf("%d lines more about keys; signpost keys list has them all", more))
	}
}

// troubled are the domains that do not sign as listed, or of which that was told, as
// far as DNS has been heard.
func (w *Watch) troubled(duties map[string]*Duty) []string {
	var domains []string
	for domain, d := range duties {
		if _, known := w.told[domain]; !d.Open() && (known || d.Why != "") {
			domains = append(domains, domain)
		}
	}
	slices.Sort(domains)
	return domains
}

// news is what a new state means for a person.
func (f Fact) news() (slog.Level, string) {
	switch f.State {
	case Active:
		if f.DNS == NoAnswer {
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
