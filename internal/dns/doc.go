// Package dns does the DNS look-ups of the checks, by resolvers in the network or
// from memory (RFC 1034, 1035, 2181, 2308, 4343, 5452,
// 6891).
//
// # One kind of error
//
// A name that does not exist, and a name without records of the type, are not
// errors: the answer is empty and the error nil. Every error is temporary: a
// time-out, a server that refuses or fails, a CNAME loop, an answer beyond our
// limits. Only Exists tells "no such name" from "no such record".
//
// Error.Local marks a local failure (no slot, no descriptor, the caller's own time).
//
// Names are given as raw octets with dots between the labels, without escapes;
// case and a final dot do not matter. A string that cannot be a domain name (an
// empty label, a label over 63 octets, more than 253 in all) is a name that does
// not exist. Host names in answers are lower case and without the final dot; the
// host of a null MX (RFC 7505) is ".". Results are shared between
// callers and must not be changed.
//
// # Zone files
//
// A zone file is a master file (RFC 1035 §5) of names of any domains, with
// failures for tests and replays:
//
//	$TTL 1h                                ; for the records that follow
//	example.com      TXT "v=spf1 mx -all"  ; "example.com." is the same name
//	                 MX  10 mail.example.com
//	mail.example.com 300 IN A 192.0.2.1
//	mail.example.com AAAA 2001:db8::1
//	1.2.0.192.in-addr.arpa PTR mail.example.com
//	*.wild.example.com TXT "any name below that does not exist itself"
//	s1._domainkey.example.com TXT ( "v=DKIM1; k=rsa; "
//	                 "p=MIGfMA0GCSq..." )  ; strings of one record are joined
//	www.example.com  CNAME example.com
//	slow.example.com TIMEOUT               ; every type that has no records here
//	slow.example.net TXT TIMEOUT           ; this type only
//	sick.example.com SERVFAIL
//	gone.example.com NXDOMAIN
//
// Names without a final dot are absolute until $ORIGIN says otherwise; "@" is the
// origin, and a line that begins with a blank belongs to the name before it. Text
// with blanks or semicolons must be in quotation marks, on one line, with \" and
// \DDD as escapes; a string may be longer than 255 octets. A name that is not
// listed does not exist, unless there are names below it. Records of types other
// than A, AAAA, TXT, MX, PTR and CNAME are checked; only the
// existence of the name is kept. $INCLUDE and $GENERATE are refused.
package dns
