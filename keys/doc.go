// Package keys holds the private keys that sign mail: where they lie, who may
// read them, which of them a configuration needs, and the DNS record that makes
// each of them good (RFC 6376 §3.6, RFC 8301 §3.2, RFC 8463 §4).
//
// A key is the file <dir>/<domain>/<selector>.pem. It is RSA or Ed25519 in PEM
// (PKCS #1 or PKCS #8), or the bare base64 of a 32-octet Ed25519 seed, as dkimpy
// writes it. The folder has the domain's A-labels or its Unicode form. The folder
// "*" holds keys that may sign for every domain.
//
// What is refused, and why:
//
//   - RSA keys under 1024 bits: no verifier may accept them (RFC 8301 §3.2). Under
//     2048, and over 4096, there is a warning.
//   - Keys that everybody on the machine may read or replace, unless insecure_mode
//     says to warn only. A group may read its key: that is how a daemon without
//     privileges reads a file of root's.
//
// Faults are told with the file, the user concerned and the command that mends
// them, and all at once. A [Store] never changes: a reload opens a new one.
package keys
