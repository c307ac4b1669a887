package doctor

import (
	"context"
	"net/netip"
	"time"
)

// Options say where to look, and from when on something is a fault.
type Options struct {
	// Config is the path of our configuration; "" is the default file.
	Config string
	// Zone is a zone file in place of DNS; "": the network.
	Zone string
	// Postfix is Postfix' config_directory, Sendmail the folder of sendmail.cf and its .mc, and
	// MTALog the MTA's log file; "": the usual places.
	Postfix, Sendmail, MTALog string
	// LogDays is how many days of the MTA's log are read.
	LogDays int
	// Addresses are the addresses that mail leaves from as others see them; none: those found here.
	Addresses []netip.Addr
	// TimeServers are asked for the time; none: those of the host's time service.
	TimeServers []string
	// All looks at all domains, else at the first DomainLimit.
	All bool

	// KeyAge is the age of a key from which on it is old.
	KeyAge time.Duration
	// TestingFor is how long a key may be published with t=y.
	TestingFor time.Duration
	// RetiredFor is how long the record of a retired key may stay.
	RetiredFor time.Duration
	// PendingFor is how long a listed key may wait for its record.
	PendingFor time.Duration
	// SlowDNS is the time of an answer from which on a resolver is slow.
	SlowDNS time.Duration
	// Skew is how much the clock may differ.
	Skew time.Duration
	// Limit bounds the time of all checks together.
	Limit time.Duration

	// Progress is called, unless nil, with the number of checks that have ended. Calls do not
	// overlap.
	Progress func(done, all int)

	// Send sends a probe through a listener; nil: none is sent.
	Send func(context.Context, Probe) (ProbeResult, error)

	now           func() time.Time
	authorityPort uint16
	leastFree     uint64
	root          string // of the files of other programs, for tests
	usualPostfix  string // Postfix' default folder, for tests
}

// DomainLimit is how many signing domains are looked at without Options.All.
const DomainLimit = 100

const day = 24 * time.Hour

// patience is how long answers are awaited, apart from those of DNS and of Postfix' programs. The tests have more of it.
var patience = struct {
	daemon   time.Duration // at sockets of ours
	milter   time.Duration // at sockets of other milters
	relay    time.Duration // of a relay host
	clock    time.Duration // of a time server
	greeting time.Duration // of the MTA that takes our reports; Postfix' postscreen waits for six seconds before it greets
}{2 * time.Second, 500 * time.Millisecond, 2 * time.Second, 2 * time.Second, 8 * time.Second}

// Defaults returns the options of a plain run.
func Defaults() Options {
	return Options{
		LogDays: 7, KeyAge: 365 * day, TestingFor: 7 * day, RetiredFor: 14 * day, PendingFor: 7 * day,
		SlowDNS: time.Second, Skew: time.Minute, Limit: 15 * time.Second,
		now: time.Now, authorityPort: 53, leastFree: leastFree,
	}
}
