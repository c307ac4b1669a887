// Package arc verifies and makes Authenticated Received Chains (RFC 8617), on top of
// package dkim: an ARC-Message-Signature is verified like a DKIM signature, with the
// message's own and with the same pass over the body. It is pure: the time is an argument,
// DNS is an interface.
//
// # Where the standard leaves a choice
//
//   - A chain that is broken by its structure, or by a field that cannot be verified, fails
//     without a look-up.
//   - The keys of the newest set are looked up first, then those of older sets down to the
//     first seal that does not verify. §5.2 verifies all ARC-Message-Signatures before the
//     seals; the result is the same.
//   - §5.2.1 makes DNS trouble a failure of the chain. Outcome.Undecided says that nothing
//     else was found, so that the message may be judged again later.
//   - "01" is the instance 1: §3.9 allows two digits, and instances are numbers (§4.2.1).
//   - Tags may stand in any order. The ABNF begins with i=, and sealers do not.
//   - h= of an ARC-Message-Signature may be empty, and have empty names, as in the test suite
//     of ARC; with names, From must be among them. It may name all but ARC-Seal: what else
//     §4.1.2 forbids, it forbids the signer.
//   - An ARC-Message-Signature without c= is valid if it is so as simple/simple, the default
//     of DKIM, or as relaxed/relaxed, as the test suite has it.
//   - An ARC-Message-Signature whose l= leaves a part of the body unsigned is valid, as in
//     DKIM. SetOutcome.Covers is false for it.
//   - An older ARC-Message-Signature that is invalid, has expired or whose key does not come
//     ends the search for oldest-pass, and no more.
package arc
