// Package traffic counts the mail of this host: what was judged, for the aggregate reports to
// domain owners (RFC 9990) and for the question what enforce mode would refuse; and what was
// signed, for the reading of the reports of others.
//
// A Recorder is an observer of the milter. A message becomes a Row, or an Outbound, whose
// fields together are its tuple. Recorder.Decided hashes the tuple and adds one to its
// counter in memory. Once a second, or when 10,000 tuples have come together, they are added to the
// database in one transaction; while the database is slow, they go on adding up in
// memory. So no message waits, and a process that is killed loses the last second. The more tuples a
// transaction has, the fewer pages are written for each: keys are hashes, so that neighbours are far apart.
//
// Memory and disk stay bounded: beyond maxPending in memory, and beyond maxPolicyRows and
// maxDayRows in the database, what is new is counted in folded rows, which keep the
// results and leave out names and addresses.
package traffic
