package lifecycle

import (
	"time"

	"signpost/keys"
)

// combine is what is known of a key after each server was asked once. Only answers
// decide, and only when they agree: a key becomes known as published when every
// server has it, and loses that when none has it any more. In between, and where
// nobody answers, what was known stays; but "it is not there" is taken back when
// all that still answer have it.
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

// State is where a key is in its life.
type State string

const (
	// Forgotten keys are neither listed nor known to have been in use.
	Forgotten State = ""
	// Pending: the configuration lists it, and DNS has not been seen to have it.
	Pending State = "pending"
	// Published: DNS has it, and its active_from is still to come.
	Published State = "published"
	// Active: it signs.
	Active State = "active"
	// Missing: it was published once, and its record is gone.
	Missing State = "missing"
	// Differing: its record is there and is no good for this key.
	Differing State = "differs"
	// Retiring: it is no longer listed, or replaced; mail signed with it may still
	// be on its way, or it goes on signing until its successor is published.
	Retiring State = "retiring"
	// Retired: no mail signed with it can be on its way any more.
	Retired State = "retired"
)

// Fact is what is known about one key. The zero value of a time is "never".
type Fact struct {
	Domain    string         `json:"domain"`
	Selector  string         `json:"selector"`
	Algorithm keys.Algorithm `json:"algorithm"`
	Bits      int            `json:"bits"`
	// Fingerprint tells this key from another that takes its file and name.
	Fingerprint string `json:"fingerprint"`
	State       State  `json:"state"`
	// DNS is what is known of the record, and Detail in words what a server said
	// last that is not simply Found.
	DNS    keys.Answer `json:"dns,omitempty"`
	Detail string      `json:"detail,omitempty"`
	// FirstSeen and LastSeen are when DNS had this key, Asked is when any server
	// last gave an answer about it.
	FirstSeen time.Time `json:"first_seen,omitzero"`
	LastSeen  time.Time `json:"last_seen,omitzero"`
	Asked     time.Time `json:"asked,omitzero"`
	LastUsed  time.Time `json:"last_used,omitzero"`
	// Unlisted is when the key was last needed: listed, or standing in for another.
	Unlisted time.Time `json:"unlisted,omitzero"`
	// Own says that the key was listed for its own domain, and OwnUntil until when; zero:
	// it still is. Entries for addresses and patterns may list it further on.
	Own      bool      `json:"own,omitempty"`
	OwnUntil time.Time `json:"own_until,omitzero"`
}

// owned is the fact where its own domain's entry lists the key now, or does not.
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

// observed is the fact after each server was asked once.
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

// role is what the configuration makes of a key.
type role struct {
	listed     bool
	activeFrom time.Time // zero: at once
	replaced   bool      // another listed key of the domain and algorithm has taken over
	signs      bool
	// elsewhere says that the same private key is listed under another name, and
	// lastElsewhere when it was last needed under any name.
	elsewhere     bool
	lastElsewhere time.Time
}

// advanced is the fact with its state at a moment. queueTime is how long a message
// may be on its way.
func (f Fact) advanced(p role, now time.Time, queueTime time.Duration) Fact {
	if p.listed && !p.replaced {
		f.Unlisted = time.Time{}
		f.State = f.listedState(p, now)
		return f
	}
	inUse := !f.FirstSeen.IsZero() || !f.LastUsed.IsZero()
	switch {
	case f.Unlisted.IsZero(), p.signs:
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
