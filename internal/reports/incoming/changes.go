package incoming

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"signpost/internal/display"
)

// Changes are the differences between a period and the one before.
type Changes struct {
	// New are sources that were not there before and fail, Gone those of ours (hosts, known senders) that are
	// no longer there.
	New, Gone []Source
	// Stopped are reporters of the period before without a report in this one.
	Stopped []Reporter
}

// Changes compares both periods. Without reports in the period before there is none.
func (a *Answer) Changes() Changes {
	var c Changes
	if a.Before.Reports == 0 {
		return c
	}
	before, now := byAddress(a.Before.Sources), byAddress(a.Now.Sources)
	for _, s := range a.Now.Sources {
		if !before[s.Address] && s.Aligned < s.Messages {
			c.New = append(c.New, s)
		}
	}
	for _, s := range a.Before.Sources {
		if !now[s.Address] && (s.Kind == OwnHost || s.Kind == KnownSender) {
			c.Gone = append(c.Gone, s)
		}
	}
	for _, r := range a.Before.Reporters {
		if !slices.ContainsFunc(a.Now.Reporters, func(n Reporter) bool { return n.Name == r.Name }) {
			c.Stopped = append(c.Stopped, r)
		}
	}
	return c
}

func byAddress(list []Source) map[netip.Addr]bool {
	m := make(map[netip.Addr]bool, len(list))
	for _, s := range list {
		m[s.Address] = true
	}
	return m
}

// Advice answers whether the policy may become stricter.
type Advice struct {
	Policy string // quarantine or reject
	May    bool
	Why    string // with the numbers
	Record string // the record to publish, if it may; "" if it may not
}

// What is needed for an answer of yes: days with reports, messages of ours, and how many of a
// thousand of these may fail.
var needs = map[string]struct{ days, messages, failing int64 }{
	"quarantine": {14, 100, 10},
	"reject":     {28, 100, 2},
}

// Advise answers for each policy that is stricter than the present one. record is the record in
// DNS, "" if it is not known.
func (a *Answer) Advise(domain, record, reportsTo string) []Advice {
	var list []Advice
	policies := map[string][]string{"none": {"quarantine", "reject"}, "": {"quarantine", "reject"}, "quarantine": {"reject"}}
	for _, p := range policies[policyIn(record, a.Now.Policy)] {
		advice := a.Now.advise(p)
		if advice.May {
			advice.Record = withPolicy(record, p, reportsTo)
		}
		list = append(list, advice)
	}
	return list
}

// advise counts mail that is ours, which is all but what looks like forgery.
func (s *Summary) advise(policy string) Advice {
	need := needs[policy]
	var ours, failing, forged int64
	worst := map[SourceKind]int64{}
	for _, source := range s.Sources {
		if source.Kind == Forgery {
			forged += source.Messages
			continue
		}
		ours += source.Messages
		failing += source.Messages - source.Aligned
		worst[source.Kind] += source.Messages - source.Aligned
	}
	numbers := fmt.Sprintf("%s of %s messages that are ours would be hit (%s), and %s that look like forgery",
		display.Thousands(failing), display.Thousands(ours), kindCounts(worst), display.Thousands(forged))
	a := Advice{Policy: policy}
	switch {
	case s.Days < need.days:
		a.Why = fmt.Sprintf("reports cover %d days: wait until there are %d; so far, %s", s.Days, need.days, numbers)
	case ours < need.messages:
		a.Why = fmt.Sprintf("too little mail to tell: %s", numbers)
	case failing*1000 > ours*need.failing:
		a.Why = fmt.Sprintf("%s: see to the sources that fail first, at most %s may", numbers, perMille(need.failing))
	default:
		a.May, a.Why = true, numbers
	}
	return a
}

// Own returns the messages that do not look like forgery, and how many of them fail.
func (s *Summary) Own() (messages, failing int64) {
	for _, source := range s.Sources {
		if source.Kind != Forgery {
			messages += source.Messages
			failing += source.Messages - source.Aligned
		}
	}
	return messages, failing
}

func perMille(n int64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/10), ".0") + " %"
}

func kindCounts(n map[SourceKind]int64) string {
	return fmt.Sprintf("%s of our own hosts, %s of known senders, %s through forwarders", display.Thousands(n[OwnHost]), display.Thousands(n[KnownSender]), display.Thousands(n[Forwarder]))
}

// policyIn is p= of a record, or what reporters saw.
func policyIn(record, reported string) string {
	for _, tag := range strings.Split(record, ";") {
		if name, value, ok := strings.Cut(tag, "="); ok && strings.EqualFold(strings.TrimSpace(name), "p") {
			return strings.ToLower(strings.TrimSpace(value))
		}
	}
	return reported
}

// withPolicy returns the record with another p=, and without t= and pct=, which would weaken it. The other
// tags stay as they are. Without a record it makes one.
func withPolicy(record, policy, reportsTo string) string {
	if record == "" {
		record = "v=DMARC1; p=" + policy
		if reportsTo != "" {
			record += "; rua=mailto:" + reportsTo
		}
		return record
	}
	var tags []string
	replaced := false
	for _, tag := range strings.Split(record, ";") {
		tag = strings.TrimSpace(tag)
		name, _, _ := strings.Cut(tag, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "", "t", "pct":
			continue
		case "p":
			if replaced {
				continue
			}
			tag, replaced = "p="+policy, true
		}
		tags = append(tags, tag)
	}
	if !replaced {
		tags = slices.Insert(tags, 1, "p="+policy)
	}
	return strings.Join(tags, "; ")
}

// Quiet returns the reporters that sent at least five reports and none that ended in the days before
// the end of the query.
func (s *Summary) Quiet(end time.Time, days int) []Reporter {
	var list []Reporter
	for _, r := range s.Reporters {
		if r.Reports >= 5 && end.Sub(r.Last) > time.Duration(days)*24*time.Hour {
			list = append(list, r)
		}
	}
	return list
}
