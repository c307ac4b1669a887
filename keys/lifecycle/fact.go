package lifecycle

import (
	"time"

	"signpost/keys"
)

// combine returns the answer that counts for a record after each server was queried once. Answers change
// it only where they agree: a key becomes found when every server has it, and is no longer
// found when none has it. In between, and if no server answers, the known value stays. But
// absent and differs become unknown when all servers that still answer have the key.
func combine(known keys.Answer, answers []keys.Answer) keys.Answer {
	count := map[keys.Answer]int{}
	for _, a := range answers {
		count[a]++
	}
	denied := count[keys.Absent] + count[keys.Differs]
	switch {
	case count[keys.NoAnswer] == len(answers):
		return known
	case count[keys.Found] == len(answers):
		return keys.Found
	case known == keys.Found && count[keys.Found] > 0:
		return keys.Found
	case denied == 0:
		return keys.NoAnswer
	case count[keys.Differs] > 0:
		return keys.Differs
	}
	return keys.Absent
}

// State is a state in the life of a key.
type State string

const (
	// Forgotten: neither listed nor ever in use.
	Forgotten State = ""
	// Pending: listed, and not yet seen in DNS.
	Pending State = "pending"
	// Published: in DNS, and its active_from is still to come.
	Published State = "published"
	// Active: it signs.
	Active State = "active"
	// Missing: it was in DNS once, and its record is gone.
	Missing State = "missing"
	// Differing: its record is there, but does not fit the key.
	Differing State = "differs"
	// Retiring: no longer listed, or replaced. Mail that it signed may still be on its way, or
	// it signs until its successor is published.
	Retiring State = "retiring"
	// Retired: no mail that it signed can be on its way any more.
	Retired State = "retired"
)

// Fact has the facts about one key. A zero time means never.
type Fact struct {
	Domain    string         `json:"domain"`
	Selector  string         `json:"selector"`
	Algorithm keys.Algorithm `json:"algorithm"`
	Bits      int            `json:"bits"`
	// Fingerprint identifies the public key; see keys.Key.Fingerprint.
	Fingerprint string `json:"fingerprint"`
	State       State  `json:"state"`
	// DNS is the answer that counts for the record. Detail is the last answer in words, if it is not
	// simply found.
	DNS    keys.Answer `json:"dns,omitempty"`
	Detail string      `json:"detail,omitempty"`
	// FirstSeen and LastSeen are when DNS had this key. Asked is when a server last answered
	// about it.
	FirstSeen time.Time `json:"first_seen,omitzero"`
	LastSeen  time.Time `json:"last_seen,omitzero"`
	Asked     time.Time `json:"asked,omitzero"`
	LastUsed  time.Time `json:"last_used,omitzero"`
	// Unlisted is when the key was last needed: listed, or signing for a successor.
	Unlisted time.Time `json:"unlisted,omitzero"`
	// Own says that the key's own domain has listed it, and OwnUntil until when; zero: it still
	// does. Entries for addresses and patterns may list the key longer.
	Own      bool      `json:"own,omitempty"`
	OwnUntil time.Time `json:"own_until,omitzero"`
}

// owned returns the fact for a key that its own domain lists now, or does not.
func (f Fact) owned(listed bool, now time.Time) Fact {
	switch {
	case listed:
		f.Own, f.OwnUntil = true, time.Time{}
	case f.Own && f.OwnUntil.IsZero():
		f.OwnUntil = now
	}
	return f
}

func (f Fact) ref() keys.Ref { return keys.Ref{Domain: f.Domain, Selector: f.Selector} }

// observed returns the fact after each server was queried once.
func (f Fact) observed(answers []keys.Answer, detail string, now time.Time) Fact {
	f.DNS = combine(f.DNS, answers)
	f.Detail = detail
	for _, a := range answers {
		if a == keys.NoAnswer {
			continue
		}
		f.Asked = now
		if a == keys.Found {
			f.LastSeen = now
		}
	}
	if f.DNS == keys.Found && f.FirstSeen.IsZero() {
		f.FirstSeen = now
	}
	return f
}

// recordGone reports whether all servers agree that a retired key has no record any more.
func (f Fact) recordGone() bool { return f.DNS == keys.Absent || f.DNS == keys.Differs }

// role is what the assignment decided about a key.
type role struct {
	listed     bool
	activeFrom time.Time // zero: at once
	replaced   bool      // a listed key with a later active_from signs instead
	signs      bool
	// elsewhere says that the same private key is listed under another name. lastElsewhere is
	// when it was last needed under any name.
	elsewhere     bool
	lastElsewhere time.Time
}

// advanced returns the fact with its state for the time now. queueTime bounds how long a
// message is on its way.
func (f Fact) advanced(p role, now time.Time, queueTime time.Duration) Fact {
	if p.listed && !p.replaced {
		f.Unlisted = time.Time{}
		f.State = f.listedState(p, now)
		return f
	}
	inUse := !f.FirstSeen.IsZero() || !f.LastUsed.IsZero()
	if f.Unlisted.IsZero() || p.signs {
		f.Unlisted = now
	}
	switch {
	case !inUse && !p.listed:
		f.State = Forgotten
	case p.elsewhere:
		f.State = Retiring
	case now.Sub(later(f.Unlisted, p.lastElsewhere)) >= queueTime:
		f.State = Retired
	default:
		f.State = Retiring
	}
	return f
}

func (f Fact) listedState(p role, now time.Time) State {
	switch {
	case p.signs:
		return Active
	case f.DNS == keys.Differs:
		return Differing
	case f.DNS == keys.Absent && !f.FirstSeen.IsZero():
		return Missing
	case f.DNS == keys.Found && p.activeFrom.After(now):
		return Published
	}
	return Pending
}
