package doctor

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"signpost/internal/shell"
)

// Severity is how much a finding harms mail.
type Severity string

const (
	Critical Severity = "critical" // mail is lost or unsigned, or forged mail is taken for ours
	High     Severity = "high"     // large receivers refuse or distrust mail, or soon will
	Medium   Severity = "medium"   // some mail is harmed, or a protection is missing
	Low      Severity = "low"      // worth knowing; the exit code stays 0
)

func (s Severity) rank() int {
	return slices.Index([]Severity{Critical, High, Medium, Low}, s)
}

// Finding is one fault. All texts are one line, except for the remedy, and contain no control
// characters.
type Finding struct {
	// ID is stable; the table in kinds.go and docs/doctor.md list all.
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Subject is what the finding is about: a domain, a key, a server, a service of the MTA.
	Subject string `json:"subject"`
	// Finding says what is wrong, with the value that was seen and, for DNS, by which view.
	Finding string `json:"finding"`
	// Consequence says what that does to mail.
	Consequence string `json:"consequence"`
	Remedy      Remedy `json:"remedy"`
	Reference   string `json:"reference"`
}

// Remedy is what mends a finding.
type Remedy struct {
	// Text is prose. It ends in a colon if lines or commands follow.
	Text string
	// Lines are exact lines for a file or a zone: a DNS record, a line of main.cf or of our
	// configuration.
	Lines []string
	// Commands are run by root as they are, each as its words, unquoted. No command may do harm
	// where the finding is mistaken.
	Commands [][]string
}

// String is the remedy as text: prose, lines and commands, each on a line of its own.
func (r Remedy) String() string {
	var parts []string
	if r.Text != "" {
		parts = append(parts, r.Text)
	}
	parts = append(parts, r.Lines...)
	for _, words := range r.Commands {
		parts = append(parts, command(words))
	}
	return strings.Join(parts, "\n")
}

// MarshalJSON writes the remedy as one string.
func (r Remedy) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// command is a command line of a POSIX shell.
func command(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shell.Quote(w)
	}
	return strings.Join(quoted, " ")
}

// publish is the remedy of a record that has to be changed in DNS.
func publish(text string, records ...string) Remedy { return Remedy{Text: text, Lines: records} }

// do is the remedy of commands.
func do(text string, commands ...[]string) Remedy { return Remedy{Text: text, Commands: commands} }

// Unseen is something that a check could not look at.
type Unseen struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
	// Expected says that it is absent by configuration or belongs to another kind of host, so that
	// the exit code does not count it.
	Expected bool `json:"expected,omitempty"`
}

// Report is the result of all checks.
type Report struct {
	// Findings are in the order of harm, then by id and subject.
	Findings []Finding `json:"findings"`
	// Unseen lists what could not be looked at, in the order of the checks' names.
	Unseen []Unseen `json:"not_seen"`
	// Domains is how many signing domains were looked at, and DomainsLeft how many were not.
	Domains     int `json:"domains"`
	DomainsLeft int `json:"domains_left,omitempty"`
}

func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), strings.Compare(a.ID, b.ID),
			strings.Compare(a.Subject, b.Subject), strings.Compare(a.Finding, b.Finding))
	})
	r.Findings = slices.CompactFunc(r.Findings, func(a, b Finding) bool {
		return a.ID == b.ID && a.Subject == b.Subject && a.Finding == b.Finding
	})
	slices.SortStableFunc(r.Unseen, func(a, b Unseen) int {
		return cmp.Or(strings.Compare(a.What, b.What), strings.Compare(a.Reason, b.Reason))
	})
	r.Unseen = slices.Compact(r.Unseen)
}

// ExitCode is 1 with a finding above low, else 2 if something could not be looked at, else 0.
func (r Report) ExitCode() int {
	switch {
	case slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity != Low }):
		return 1
	case slices.ContainsFunc(r.Unseen, func(u Unseen) bool { return !u.Expected }):
		return 2
	}
	return 0
}
