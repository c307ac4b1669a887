// Package doctor looks at a mail host from outside of its messages: our configuration and key
// files, the running daemon, DNS, the MTA's configuration and log. It reports what keeps mail
// from being signed, judged or accepted elsewhere, with the command or the line that mends it.
//
// It changes nothing. A healthy host gives no finding; what a check could not see is a result
// of its own (Unseen), and never a finding.
//
// The table kinds (kinds.go) has a row for each id: severity, consequence, reference. The table
// checks (checks.go) has a row for each function that looks. docs/doctor.md explains each id.
package doctor
