// Package outgoing sends aggregate reports of DMARC to others (RFC 9990): one for each policy
// domain, policy and UTC day.
//
// A report goes through states, which the database holds. A process that dies at any point
// leaves a state from which another one, perhaps on another host, goes on with the same
// Report-ID, file name and Message-ID:
//
//	building   the day is over and the domain asks for reports; no XML yet
//	queued     the XML is stored
//	sending    the record was read again; each destination is offered to the MTA
//	sent       no destination is left, and the MTA took the report for one of them
//	failed     no destination is left, or the report is too old; the reason is stored
//
// Work is claimed by row with a lease that is renewed while the work lasts (claim.go), so that
// no leader is needed.
//
// What ends loops and floods is in plan.go (which mail is a reason to send) and bounce.go
// (addresses that bounce get nothing for a while).
package outgoing
