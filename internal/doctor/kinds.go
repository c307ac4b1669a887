package doctor

// kind is what all findings of one id have in common.
type kind struct {
	id          string
	severity    Severity
	consequence string // what it does to mail; a finding may replace it
	reference   string // the document, with its section
}

// kinds has a row for each id. docs/doctor.md has a section for each.
func kinds() []kind {
	return append(ownKinds(), mtaKinds()...)
}

func ownKinds() []kind {
	return []kind{
		{"key.unreadable", Critical, "mail of the domain leaves unsigned, or is deferred (signer.on_error)", "docs/signing.md, Key files"},
		{"key.permissions", Critical, "who can read the private key can sign mail as the domain; Signpost refuses to load such a key", "RFC 6376 §8.3"},
		{"key.weak", High, "verifiers refuse RSA keys below 1024 bits and distrust those below 2048", "RFC 8301 §3.2"},
		{"key.testing-flag", Medium, "receivers may treat the domain's signed mail as unsigned", "RFC 6376 §3.6.1, t="},
		{"key.old", Medium, "the longer a key is used, the likelier somebody else has it", "RFC 6376 §8.3; M3AAWG key rotation"},
		{"key.ed25519-alone", Medium, "receivers that do not know Ed25519, and these are many, see the mail as unsigned", "RFC 8463 §5"},
		{"key.not-published", Critical, "the key cannot sign: receivers would find no key for its signatures", "RFC 6376 §3.6.2"},
		{"key.differs", Critical, "signatures of this key fail at every receiver that asks there", "RFC 6376 §3.6.1"},
		{"key.several-records", High, "a receiver may take either record, so that signatures fail at some of them", "RFC 6376 §3.6.2.2"},
		{"key.wrong-name", Critical, "no receiver looks there: to them the key is not published", "RFC 6376 §3.6.2.1"},
		{"key.damaged", Critical, "receivers cannot read the key, and signatures of it fail", "RFC 6376 §3.6.1, §3.6.2.2"},
		{"key.retired-published", Medium, "who gets hold of the retired key can go on signing as the domain", "RFC 6376 §3.6.1, p="},
		{"key.shared", Medium, "who gets the key signs as all of these domains, and one cannot be moved without the others", "RFC 6376 §8.3"},

		{"dmarc.missing", High, "receivers do not know what to do with forged mail of the domain, and bulk mail without DMARC is refused", "RFC 9989 §4.7"},
		{"dmarc.several", High, "receivers use none of the records", "RFC 9989 §4.10"},
		{"dmarc.syntax", High, "receivers ignore the record, or a part of it", "RFC 9989 §4.7, §4.8"},
		{"dmarc.weaker-subdomains", Medium, "forgers take a name below the domain, for which the policy is weaker", "RFC 9989 §4.7, sp="},
		{"dmarc.no-reports", Low, "nobody tells you who sends as the domain, and which of your mail fails", "RFC 9989 §4.7, rua="},
		{"dmarc.external-unauthorized", Medium, "receivers send no reports to this address", "RFC 9990 §4"},

		{"spf.missing", High, "receivers cannot tell your servers from others; large ones refuse mail without SPF", "RFC 7208 §3"},
		{"spf.several", High, "SPF is permerror: no server is authorized", "RFC 7208 §4.5"},
		{"spf.syntax", High, "SPF is permerror: no server is authorized", "RFC 7208 §4.6"},
		{"spf.lookups", High, "SPF is permerror at receivers: no server is authorized", "RFC 7208 §4.6.4"},
		{"spf.too-open", High, "every host on the Internet passes SPF as the domain, and DMARC with it", "RFC 7208 §5.1"},
		{"spf.not-covering", High, "mail from this address fails SPF, and depends on its signature alone", "RFC 7208 §5"},

		{"ptr.missing", High, "Gmail, Yahoo and others refuse mail from an address without a name", "RFC 1912 §2.1"},
		{"ptr.mismatch", High, "receivers take the client's name for forged: mail is refused or counted as spam", "RFC 1912 §2.1; RFC 8601 §2.7.3"},
		{"signature.not-aligned", High, "DKIM passes but does not count for DMARC", "RFC 9989 §4.4.1"},

		{"resolver.down", Critical, "no key, SPF or DMARC record can be looked up: incoming mail is not judged, new keys do not sign", "RFC 1034 §5.3.1"},
		{"resolver.fails", High, "receivers whose resolver validates cannot look the record up either: signatures, SPF or DMARC fail there", "RFC 4035 §5.5"},
		{"resolver.slow", Medium, "each message waits for DNS", "RFC 1034 §5.3.1"},
		{"resolver.rewrites", High, "names that do not exist seem to exist: checks of incoming mail give wrong results", "RFC 8020 §2"},
		{"resolver.no-tcp", Medium, "records that do not fit into a UDP reply, such as long keys, cannot be looked up", "RFC 7766 §5"},

		{"authserv.default", Medium, "programs behind Signpost cannot tell its results from those of others", "RFC 8601 §2.5"},
		{"authserv.foreign-claims", Medium, "results that others write under this name are taken for ours", "RFC 8601 §5"},
		{"trusted.too-wide", Critical, "mail from these addresses is not judged, and forged results in it are believed", "RFC 8601 §5"},
		{"enforce.unwatched", Medium, "mail is refused, and no report or metric shows which", "RFC 9989 §7.4"},
		{"clients.private", High, "Signpost sees the proxy in place of the client: mail of strangers is signed as ours or SPF fails for all", "RFC 7208 §4.1"},

		{"reports.no-mta", High, "no report to others leaves; each is given up after two days", "docs/reports.md, What you report to others"},
		{"reports.unsigned", High, "no report to others leaves, since they are not sent unsigned", "docs/reports.md, What you report to others"},
		{"reports.no-return", Medium, "many receivers refuse mail from such a domain, and reports that come back are not seen", "RFC 5321 §5.1; RFC 7505"},
		{"reports.database", High, "nothing is counted, no report is made, and those that others send are not kept", "docs/reports.md, The database"},
		{"reports.space", High, "with a full disk, counters and reports are lost, and the state of the keys is not saved", "docs/reports.md, The database"},
		{"reports.waiting", Medium, "reports are given up after two days", "docs/reports.md, What you report to others"},

		{"daemon.down", Critical, "mail is not signed and not judged; what the MTA does with it is milter_default_action", "docs/status.md"},
		{"daemon.stale-config", Medium, "the daemon runs with an older configuration than the one on disk", "docs/status.md"},
		{"daemon.probe-failed", Critical, "mail through this listener is not handled as configured", "docs/status.md"},
		{"daemon.descriptors", Medium, "at the limit, connections of the MTA wait and look-ups fail", "getrlimit(2)"},
		{"daemon.state-shared", Critical, "two daemons would write the same file, so one of them does not start or loses what is known of keys", "config.example.yaml, keys.state"},
		{"clock.skew", High, "signatures carry a wrong time: receivers refuse those from the future", "RFC 6376 §3.5, t="},
		{"host.name", High, "HELO and Authentication-Results carry a name that leads nowhere: mail is refused", "RFC 5321 §4.1.4"},
	}
}
