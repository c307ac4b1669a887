// Package dns answers the questions that the checks ask of the DNS, from a
// network of resolvers or from memory (RFC 1034, 1035, 2181, 2308, 6891).
//
// # One kind of error
//
// A name that does not exist, and a name without records of the type, are not
// errors: the answer is empty and the error nil. Every error is temporary: a
// time-out, a server that refuses or fails, a CNAME loop, an answer beyond our
// limits. Only Exists tells "no such name" from "no such record".
//
// Names are given as raw octets with dots between the labels, without escapes;
// case and a final dot do not matter. A string that cannot be a domain name (an
// empty label, a label over 63 octets, more than 253 in all) is a name that does
// not exist. Host names in answers are lower case and without the final dot; the
// host of a null MX (RFC 7505) is ".". What a look-up returns is shared between
// callers and must not be changed.
package dns
