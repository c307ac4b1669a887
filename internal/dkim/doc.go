// Package dkim signs and verifies mail with DomainKeys Identified Mail: RFC 6376
// with its errata, as updated by RFC 8301 (algorithms), RFC 8463 (Ed25519) and
// RFC 8616 (internationalized mail). It is pure: the time is an argument, DNS is
// an interface, and the body streams through without being kept.
//
// # Where the standard leaves a choice
//
//   - Values are case-sensitive unless the description of the tag says otherwise
//     (§3.2). The ABNF is part of a description: what it writes as a quoted string
//     (a=, c=, the dns/txt of q=, and k=, h=, s=, t= of a key record) is compared
//     without regard to case, as RFC 5234 §2.3 defines such strings. What it writes
//     in %x form, "1" in v= and "DKIM1", is compared to the letter (§3.5, §3.6.1).
//   - A key record whose v= is not the first tag is no key: §3.6.1 "MUST be the first
//     tag", and §6.1.2 step 5 has a record of another form ignored. Without v= it is a
//     key.
//   - h= of a signature that ends in a colon, or has two in a row, is a permerror: the
//     ABNF has no empty name, and §6.1.1 forbids to be liberal with this field.
//   - A signature dated in the future or expired, beyond the allowed skew, is a
//     permerror (§3.5 "MAY").
//   - d= needs two labels, as the ABNF of domain-name has it.
//   - l= is followed to the letter, but a body that goes on after it makes the
//     result policy (§6.1.3, §8.2). l= beyond the body's end is a permerror.
//   - A second copy of a field that may stand only once leaves the result alone: the
//     signature is valid, and §8.15 leaves the judgement to its consumer.
//     Outcome.Uncovered names the fields with a copy that is not signed and differs
//     from the signed one under the signature's header canonicalization. An identical
//     copy shows a reader nothing new.
//   - Under a key with t=y, Outcome.Result is what was found and Testing is set;
//     Outcome.Effective makes none of what did not pass (§3.6.1).
//   - Signatures over the limit are neutral, not evaluated. Those that could align
//     with the author's domain are evaluated first, so that others on top of them
//     hide nothing, and those with mistakes do not count.
//   - Several TXT records at a selector (§3.6.2.2 "undefined"): those that are no
//     usable keys are passed over, and up to two that are get tried.
//   - An Ed25519 key of small order is no key: anybody can sign under it. Neither
//     RFC 8032 nor RFC 8463 mentions them. Octets that RFC 8032 §5.1.3 does not
//     decode (y of 2^255-19 or more, or no point of the curve) are no key either.
//
// # Known deviations
//
//   - Empty tags ("v=DKIM1;; p=…"), lone CR or LF between tokens, an empty t= and
//     missing base64 padding are accepted in key records, where they are common,
//     and empty tags nowhere else.
//   - Empty items in h=, s= and t= of a key record ("h=sha256:") are passed over. The
//     ABNF has none, but unknown items are to be ignored (§3.6.1), and no reading of
//     such a list differs in the other items.
//   - Tag names may hold hyphens.
//   - Domain names may hold underscores and begin or end a label with a hyphen.
//   - "=" without two hexadecimal digits in i= stands for itself, since addresses
//     like prvs=0123=user@example.org are written so.
//   - A DKIM-Signature field over 64 KiB, or one with over 64 tags or 1,024 names
//     in h=, is a permerror; so are RSA keys over 4,096 bits, even exponents, and those over
//     31 bits, or over 65,537 with keys longer than 2,048 bits.
package dkim
