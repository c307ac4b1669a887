// Package keys loads, makes and describes the private keys that sign mail: their files, the
// users that may read them, and the DNS record of each (RFC 6376 §3.6, RFC 8301 §3.2, RFC 8463
// §4). The package lifecycle below it follows a key from its publication to its retirement.
//
// A key is the file <dir>/<domain>/<selector>.pem. It is RSA or Ed25519 in PEM
// (PKCS #1 or PKCS #8), or the bare base64 of a 32-octet Ed25519 seed, as dkimpy
// writes it. The folder has the domain's A-labels or its Unicode form. The folder
// "*" holds keys that may sign for every domain.
//
// It refuses:
//
//   - RSA keys under 1024 bits: no verifier may accept them (RFC 8301 §3.2). Under
//     2048, and over 4096, there is a warning.
//   - Keys that other users of the host may read or replace, unless insecure_mode says to
//     warn only. A group may read its key: that is how a daemon without privileges reads a
//     file of root's.
//
// Messages name the file, the user and the command that corrects the fault, for all faults at
// once. A [Store] is immutable: a reload opens a new one.
package keys
