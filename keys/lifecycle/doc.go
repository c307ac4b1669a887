// Package lifecycle follows each signing key from pending over published, active and
// retiring to retired. It queries DNS for the key's record, decides which keys sign for a
// domain at the moment, and saves what it knows in a state file.
//
// A [Tracker] does the work in the background. A [Spec] is its input, one for each
// generation of the configuration; the [ActiveKeys] of the spec are its result. The
// decisions are pure functions of facts and time: combine and Fact.advanced for one key,
// pickSigners for the keys of a domain.
package lifecycle
