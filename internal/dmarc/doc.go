// Package dmarc decides whether the use of an author domain is authorized: it
// finds the policy record that applies, compares the domains that SPF and DKIM
// have authenticated with the author domain, and returns the domain owner's policy
// if none of them is aligned (RFC 9989; discovery by a public suffix list as in
// RFC 7489 §3.2 on request; RFC 8616 for internationalized names).
//
// It is pure. It queries DNS through the Resolver: no name twice for one message, and
// at most eight names for each domain whose tree it walks.
//
// Where RFC 9989 leaves a choice or contradicts itself:
//
//   - A record with neither a valid p= nor a valid rua= is unusable, and the result
//     is none (§4.10.1; §4.7 alone would make it p=none). It still counts in the
//     search for the organizational domain.
//   - An invalid sp= or np= makes the whole record p=none if it has a valid rua=, and
//     unusable otherwise (§4.10.1, which is more specific than §4.8). An absent or
//     invalid p= alone leaves a valid sp= or np= in force (§4.7: "as if it included
//     p=none").
//   - A tag that occurs twice, known or not, makes the record invalid (RFC 6376
//     §3.2, whose syntax §4.7 imports): two programs must not read two different
//     policies from one record. An invalid record does not count, and the search
//     continues; if no other record applies, the result is permerror and not none.
//   - Tag names are compared without regard to case (the ABNF's literals), white space
//     around a tag may include line ends (RFC 6376 §3.2), and may precede v=.
//   - Any other mistake in a tag discards that tag only (§4.8).
//     "v=DMARC1; p=reject; sp=reject; mailto:report@example.com" asks for reject and
//     for no reports; "v=DMARC1; p=quarantine;;; fo=1; adkim=r; aspf=r" is a valid
//     record, whose fo= means nothing without ruf=.
//   - psd=y marks a public suffix, except at the domain whose organizational domain is
//     searched for, even if policy discovery started its walk at the parent
//     (§4.10.2). "One label below" is taken from that domain and not from the name
//     queried last, so it is correct after the shortcut for long names too.
//   - A record without psd= (or with psd=u) at a public suffix of the ICANN section of
//     the built-in list (golang.org/x/net/publicsuffix) counts as if it said psd=y. Such
//     a suffix is an organizational domain only if its record says psd=n (§4.10.2
//     rule 1 has no exception) or if the name itself is one.
//     §4.10.2 alone would make all names below a suffix that publishes a record without
//     psd=y one organization, so that unrelated domains would align. Suffixes of the
//     private section, and top-level domains that are not on the list, keep the result
//     of §4.10.2. A brand's own top-level domain keeps relaxed alignment between the
//     names below it by psd=n.
//   - An author domain of one label is looked up like any other: §4.10.1 makes no
//     exception, and an operator of a public suffix may write mail.
//   - The organizational domain is looked up only if the result depends on it
//     (§4.10.2). A failed look-up that could not change the result is not an error.
//   - np= needs to know whether the author domain exists: only NXDOMAIN
//     says that it does not (§3.2.13, Appendix A.4). The query is made only if np= would
//     change the policy.
//
// With the suffix list, only the discovery of RFC 7489 is used (§6.6.3: several records
// at the author domain end it); the tags keep the meaning of RFC 9989. RFC 9091, which
// adds records of public suffixes to that list, is not implemented.
package dmarc
