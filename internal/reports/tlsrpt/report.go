// Package tlsrpt has the TLS report of SMTP (RFC 8460) as Go types, and reads it from JSON.
package tlsrpt

import (
	"net/netip"
	"time"
)

// A Report is one report with its policies (RFC 8460 §4.4).
type Report struct {
	OrgName    string
	Contact    string
	ReportID   string
	Begin, End time.Time // UTC, whole seconds
	Policies   []Policy
}

// A Policy is what the reporter found published for one domain, and how its sessions went.
type Policy struct {
	Type      string // tlsa, sts, no-policy-found
	Domain    string
	Succeeded int64 // sessions
	Failed    int64 // sessions
	Failures  []Failure
}

// A Failure is a number of failed sessions of one kind. What was not reported is "".
type Failure struct {
	ResultType string // RFC 8460 §4.3: starttls-not-supported, certificate-expired, …
	Sender     netip.Addr
	MXHost     string
	Helo       string
	Receiver   netip.Addr
	Count      int64
	Info       string
	ReasonCode string
}
