// Package status has what a running daemon tells of itself: the report of `signpost status`,
// the rules by which it says that something needs a person, and what is collected for it while
// mail passes (counts of the last hour, the health of the DNS servers, the last errors). A
// report has no secret and nothing of a message.
package status

import (
	"fmt"
	"time"
)

// Report is the state of the daemon: the answer to /status, and the output of
// `signpost status --json`.
type Report struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Now     time.Time `json:"now"`
	// Ready says that mail can be handled; else NotReady has the reasons.
	Ready    bool     `json:"ready"`
	NotReady []string `json:"not_ready,omitempty"`
	// Findings are what a person should know, the worst first.
	Findings []Finding `json:"findings"`

	Configuration Configuration `json:"configuration"`
	Reload        Reload        `json:"reload"`
	Listeners     []Listener    `json:"listeners"`
	Limits        Limits        `json:"limits"`
	Domains       Domains       `json:"domains"`
	Resolver      Resolver      `json:"resolver"`
	Hour          Hour          `json:"last_hour"`
	// ReportsOut are the reports to others; nil while reports.out is off.
	ReportsOut *ReportsOut `json:"reports_out,omitempty"`
	// Errors are the last warnings and errors of the log, the newest first, without those about
	// single messages.
	Errors []LogLine `json:"last_errors"`
}

// NeedsAPerson reports whether a finding is more than a note.
func (r Report) NeedsAPerson() bool {
	for _, f := range r.Findings {
		if f.Severity != Note {
			return true
		}
	}
	return false
}

// Severity is the weight of a finding.
type Severity string

const (
	Problem Severity = "problem" // mail is affected
	Warning Severity = "warning" // a person should act
	Note    Severity = "note"    // worth to know; nothing is known to be wrong
)

// Finding is one thing that a person should know.
type Finding struct {
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"` // a listener, a domain, a server, or a word such as configuration
	Finding  string   `json:"finding"`
	Remedy   string   `json:"remedy"`
}

// Configuration is the generation in force.
type Configuration struct {
	Generation int       `json:"generation"` // 1 at the start; each reload adds one
	Since      time.Time `json:"since"`
	File       string    `json:"file"` // "" : no file
	// OnDisk compares the file with what runs: same, changed, mistakes (changed, and a reload
	// would be refused), gone, unreadable, or "" without a file.
	OnDisk   string   `json:"on_disk"`
	Mistakes []string `json:"mistakes,omitempty"`
	// Restart are the sections that have changed since the start and need a restart.
	Restart  []string `json:"needs_restart,omitempty"`
	Domains  int      `json:"domains"`
	Keys     int      `json:"keys"`
	Mode     string   `json:"mode"`
	Backend  string   `json:"signing_backend"`
	Warnings int      `json:"warnings"` // signpost check-config lists them
}

// Words for Configuration.OnDisk.
const (
	Same       = "same"
	Changed    = "changed"
	Mistaken   = "mistakes"
	Gone       = "gone"
	Unreadable = "unreadable"
)

// Reload is the last reload. At is zero where there was none.
type Reload struct {
	At       time.Time `json:"at,omitzero"`
	OK       bool      `json:"ok"`
	Problems []string  `json:"problems,omitempty"`
}

// Listener is one address that an MTA connects to.
type Listener struct {
	Address     string `json:"address"`
	Role        string `json:"role"`
	Connections int    `json:"connections"`
	Accepted    uint64 `json:"accepted"` // connections since the start
	// File has mode, owner and group of a unix socket, such as "0660 signpost postfix".
	File    string `json:"file,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Limits is how much is in use of what is limited.
type Limits struct {
	Connections     int    `json:"connections"`
	MaxConnections  int    `json:"max_connections"`
	SlotWaits       uint64 `json:"slot_waits"` // connections that waited, since the start
	HeaderMemory    int64  `json:"header_memory"`
	MaxHeaderMemory int64  `json:"max_header_memory"`
}

// Domains are the names that the configuration signs for, with the worst of them.
type Domains struct {
	Total  int            `json:"total"`
	States map[string]int `json:"states"` // how many are in each state
	// List has the worst first, and More is how many are not in it.
	List []Domain `json:"list"`
	More int      `json:"more"`
}

// Words for Domain.State, the worst first.
const (
	Lost     = "lost"     // a key cannot be used and none signs: signer.on_error decides
	Unsigned = "unsigned" // no key signs
	Partial  = "partial"  // not exactly the listed keys sign
	Awaited  = "awaited"  // DNS has not been asked yet; the first message asks
	Planned  = "planned"  // it signs, and a key waits for its active_from
	Signing  = "signing"  // the listed keys sign
)

// Domain says what signs for one name now.
type Domain struct {
	Name      string   `json:"name"`
	State     string   `json:"state"`
	Selectors []string `json:"selectors"` // those that sign
	Why       string   `json:"why,omitempty"`
}

// Resolver is the DNS that the daemon asks. The look-ups are those for messages since the
// resolver was opened.
type Resolver struct {
	Source    string   `json:"source"` // network, or the path of the zone file
	Servers   []Server `json:"servers"`
	Lookups   uint64   `json:"lookups"`
	CacheHits uint64   `json:"cache_hits"`
	SlotWaits uint64   `json:"slot_waits"`
}

// Server is one DNS server. Counts are of the last hour.
type Server struct {
	Address    string  `json:"address"`
	Queries    int     `json:"queries"`
	Unanswered int     `json:"unanswered"` // no reply in time
	Failed     int     `json:"failed"`     // a reply that is no result, as SERVFAIL
	MeanMS     float64 `json:"mean_ms"`    // of the replies
	LastError  string  `json:"last_error,omitempty"`
	// Problem is what a query just now has shown; "" : it answers.
	Problem string `json:"problem,omitempty"`
}

// Hour counts the messages of the last 60 minutes.
type Hour struct {
	Inbound  outcomeCounts `json:"inbound"`
	Outbound outcomeCounts `json:"outbound"`
}

// outcomeCounts counts messages by what became of them.
type outcomeCounts struct {
	Messages    int `json:"messages"`
	Accepted    int `json:"accepted"`
	Held        int `json:"quarantined"`
	Rejected    int `json:"rejected"`
	Deferred    int `json:"tempfailed"`
	Signed      int `json:"signed"`
	Unsigned    int `json:"unsigned"`
	WouldRefuse int `json:"would_refuse"` // in monitor mode
	Failures    int `json:"failures"`     // of this daemon
	Forged      int `json:"forged"`       // results in our name that were removed
	Local       int `json:"local"`        // submitted without SMTP, where Postfix tells it
	SMTP        int `json:"smtp"`         // by SMTP, where Postfix tells it
}

func (o *outcomeCounts) add(p outcomeCounts) {
	o.Messages += p.Messages
	o.Accepted += p.Accepted
	o.Held += p.Held
	o.Rejected += p.Rejected
	o.Deferred += p.Deferred
	o.Signed += p.Signed
	o.Unsigned += p.Unsigned
	o.WouldRefuse += p.WouldRefuse
	o.Failures += p.Failures
	o.Forged += p.Forged
	o.Local += p.Local
	o.SMTP += p.SMTP
}

// LogLine is a warning or an error of the log; equal ones are counted.
type LogLine struct {
	At    time.Time `json:"at"` // the last one
	Level string    `json:"level"`
	Text  string    `json:"text"`
	Count int       `json:"count"`
}

// ReportsOut is how the reports to others (reports.out) are doing.
type ReportsOut struct {
	Waiting    int `json:"waiting"`
	Sent       int `json:"sent"`   // of the last 24 hours
	Failed     int `json:"failed"` // of the last 24 hours
	Suppressed int `json:"suppressed"`
	// Problem is why all of them wait, and Remedy what to do; "" if nothing is known.
	Problem string `json:"problem,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

func (r *ReportsOut) line() string {
	return fmt.Sprintf("%d sent and %d failed in 24 hours, %d waiting, %d addresses suppressed", r.Sent, r.Failed, r.Waiting, r.Suppressed)
}

// findings say what needs a person about them.
func (r *ReportsOut) findings() []Finding {
	var all []Finding
	if r == nil {
		return nil
	}
	if r.Problem != "" {
		all = append(all, Finding{Warning, "reports to others", "they wait: " + r.Problem, r.Remedy})
	}
	if r.Suppressed > 0 {
		all = append(all, Finding{Note, "reports to others", fmt.Sprintf("%d addresses get none for a while, since one came back", r.Suppressed), "signpost report suppressed lists them"})
	}
	return all
}
