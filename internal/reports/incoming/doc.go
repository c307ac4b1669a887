// Package incoming keeps the reports that others send about our domains: it judges them, stores
// them once, names the hosts in them, and says what they mean.
//
// Tables: incoming_reports has a row for each report; its identity is a hash of what makes
// it the same report (see identity), and its column records counts a record with much text as several.
// incoming_raw has the document in gzip, within a limit of its own.
// incoming_records has the records of aggregate reports, with dkim and spf as 1 where the
// result was aligned; signatures and senders are lists in JSON. incoming_tls has the policies of TLS
// reports. incoming_hosts has the confirmed names of addresses, "" for those without one, and
// incoming_notices what was told already.
package incoming
