// Package dmarc judges whether the use of an author domain is authorized: it
// finds the policy record that applies, compares the domains that SPF and DKIM
// have proved with the author domain, and says what the domain owner asks for
// when none of them is aligned (RFC 9989; discovery by a public suffix list as in
// RFC 7489 §3.2 on request; RFC 8616 for internationalized names).
//
// It is pure. The DNS it needs is the Resolver; it asks for no name twice for one
// message, and at most eight names for each domain whose tree it walks.
//
// Where RFC 9989 leaves a choice, or says two things:
//
//   - A record with neither a valid p= nor a valid rua= is of no use and the result
//     is none (§4.10.1; §4.7 alone would make it p=none). It still counts when the
//     organizational domain is looked for.
//   - An invalid sp= or np= makes the whole record p=none if it has a valid rua=, and
//     of no use otherwise (§4.10.1, which is more specific than §4.8). An absent or
//     invalid p= alone leaves a valid sp= or np= in force (§4.7: "as if it included
//     p=none").
//   - A tag that stands twice, known or not, makes the record invalid (RFC 6376
//     §3.2, whose syntax §4.7 imports): two programs must not be able to read two
//     policies out of one record. An invalid record is no record, and the search goes
//     on; if nothing else applies, the result is permerror and not none.
//   - Tag names are compared without regard to case (the ABNF's literals), white space
//     round a tag may include line ends (RFC 6376 §3.2), and may stand before v=.
//   - Everything else that is wrong with a tag loses that tag and nothing more (§4.8).
//     "v=DMARC1; p=reject; sp=reject; mailto:report@example.com" asks for reject and
//     for no reports; "v=DMARC1; p=quarantine;;; fo=1; adkim=r; aspf=r" is a valid
//     record, whose fo= means nothing without ruf=.
//   - psd=y is the mark of a public suffix unless it stands at the very domain whose
//     organizational domain is looked for, even if policy discovery started its walk
//     at the parent (§4.10.2). "One label below" is taken from that domain and not
//     from the name asked last, so it holds behind the shortcut for long names too.
//   - A record at a public suffix of the ICANN section of the built-in list
//     (golang.org/x/net/publicsuffix) counts as if it said psd=y, whatever it says, and
//     the organizational domain is never such a suffix, unless the name asked for is one.
//     §4.10.2 alone would make all names below a suffix that publishes a record without
//     psd=y one organization, in which strangers pass for each other. Suffixes of the
//     private section, and top-level domains that the list does not have, keep the result
//     of §4.10.2. A brand's own top-level domain loses relaxed alignment between the
//     names below it.
//   - An author domain of one label is looked up like any other: §4.10.1 makes no
//     exception, and an operator of a public suffix may write mail.
//   - The organizational domain is looked for only where the answer hangs on it
//     (§4.10.2). A failed look-up that could have changed nothing is no error.
//   - np= needs to know whether the author domain exists: NXDOMAIN and nothing else
//     says no (§3.2.13, Appendix A.4). It is asked only if np= would change the policy.
//
// With the suffix list only the discovery of RFC 7489 is used (§6.6.3: several records
// at the author domain end it); the tags keep the meaning of RFC 9989. RFC 9091, which
// looked for records of public suffixes beside that list, is left out.
package dmarc
