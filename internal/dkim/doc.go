// Package dkim signs and verifies mail with DomainKeys Identified Mail: RFC 6376
// with its errata, as updated by RFC 8301 (algorithms), RFC 8463 (Ed25519) and
// RFC 8616 (internationalized mail). It is pure: the time is an argument, DNS is
// an interface, and the body streams through without being kept.
//
// # Where the standard leaves a choice
//
//   - Values are case-sensitive unless the description of the tag says otherwise
//     (§3.2). The ABNF is part of a description: its quoted strings (a=, c=, the
//     dns/txt of q=, and k=, h=, s=, t= of a key record) are compared without
//     regard to case, as RFC 5234 §2.3 defines such strings. Strings in %x form,
//     "1" in v= and "DKIM1", are compared exactly (§3.5, §3.6.1).
//   - A key record whose v= is not the first tag is not a key: §3.6.1 says "MUST be the
//     first tag", and §6.1.2 step 5 ignores records of another form. A record
//     without v= is a key.
//   - h= of a signature that ends in a colon, or has two in a row, is a permerror: the
//     ABNF has no empty name, and §6.1.1 forbids a liberal reading of this field.
//   - A signature dated in the future or expired, beyond the allowed skew, is a
//     permerror (§3.5 "MAY").
//   - d= needs two labels, as in the ABNF of domain-name.
//   - l= is applied exactly, but a body that continues after it makes the
//     result policy (§6.1.3, §8.2). l= beyond the body's end is a permerror.
//   - A second copy of a field that may occur only once does not change the result:
//     the signature is valid, and §8.15 leaves the judgement to its consumer.
//     Outcome.Uncovered names the fields with a copy that is not signed and differs
//     from the signed one under the signature's header canonicalization. An identical
//     copy shows a reader nothing new.
//   - Under a key with t=y, Testing is set and Outcome.Result is not changed;
//     Outcome.Effective returns none for every result but pass (§3.6.1).
//   - Signatures over the limit are neutral, not evaluated. Those that could align
//     with the author's domain are evaluated first, so that others above them cannot
//     displace them. Malformed signatures do not count.
//   - Several TXT records at a selector (§3.6.2.2 "undefined"): unusable records are
//     skipped, and up to two usable keys are tried.
//   - An Ed25519 key of small order is refused: anyone can sign under it. Neither
//     RFC 8032 nor RFC 8463 mentions such keys. Octets that RFC 8032 §5.1.3 does not
//     decode (y of 2^255-19 or more, or not a point of the curve) are refused too.
//
// # Known deviations
//
//   - Empty tags ("v=DKIM1;; p=…"), lone CR or LF between tokens, an empty t= and
//     missing base64 padding are accepted in key records, where they are common.
//     In signatures, empty tags are errors.
//   - Empty items in h=, s= and t= of a key record ("h=sha256:") are skipped. The
//     ABNF does not allow them, but unknown items must be ignored (§3.6.1), and all
//     readings of such a list agree on the other items.
//   - Tag names may contain hyphens.
//   - Domain names may contain underscores, and may begin or end a label with a hyphen.
//   - "=" without two hexadecimal digits in i= is a literal "=", since addresses
//     like prvs=0123=user@example.org are written that way.
//   - A DKIM-Signature field over 64 KiB, or one with over 64 tags or 1,024 names
//     in h=, is a permerror; so are RSA keys over 4,096 bits, even exponents, and those over
//     31 bits, or over 65,537 with keys longer than 2,048 bits.
package dkim
