package doctor

import "slices"

// mtaKinds are the ids about the MTA's configuration and log.
func mtaKinds() []kind {
	return slices.Concat(postfixKinds(), sendmailKinds(), []kind{
		{"delivery.refused", High, "a receiver refuses, or puts off, mail that it does not find authenticated", "RFC 7372 §3; RFC 9989 §8"},
		{"opendkim.still-there", Medium, "two programs sign, or judge, the same mail; after the next start of the host the old one may take the address of ours", "docs/postfix.md, Other milters beside it"},
	})
}

func postfixKinds() []kind {
	const beside = "docs/postfix.md, The four lines"
	return []kind{
		{"postfix.not-connected", Critical, "no mail passes through Signpost: all of it leaves unsigned and comes in unjudged", beside},
		{"postfix.local-mail-unsigned", Critical, "mail of programs on this host (cron, PHP, sendmail(1)) leaves unsigned", beside},
		{"postfix.bounces-unsigned", High, "bounces leave unsigned, and fail DMARC at their destination", beside},
		{"postfix.service-without-milter", High, "mail through this service is not seen by Signpost", "docs/postfix.md, Submission"},
		{"postfix.wrong-role", Critical, "mail of this service is handled the wrong way round", "docs/postfix.md, Other milters beside it"},
		{"postfix.wrong-address", Critical, "Postfix does not reach Signpost there: mail is deferred or, with milter_default_action = accept, leaves unsigned", "docs/postfix.md, A unix socket instead of TCP"},
		{"postfix.default-action", High, "", "docs/postfix.md, When Signpost does not answer"},
		{"postfix.old-protocol", Medium, "Postfix hides the blanks in header fields, and waits for an answer at every step: each message takes longer", "postconf(5), milter_protocol"},
		{"postfix.macros-overridden", Low, "Signpost asks for its own macros, so that no mail is harmed; other milters may miss them", "docs/postfix.md, The four lines"},
		{"postfix.daemon-name-mismatch", Medium, "mail that signer.ours.daemon_names is meant for is judged in place of signed", "docs/postfix.md, Submission"},
		{"postfix.chroot-socket", Critical, "Postfix does not find the socket: mail is deferred or, with milter_default_action = accept, leaves unsigned", "docs/postfix.md, A unix socket instead of TCP"},
		{"postfix.socket-permission", Critical, "Postfix may not open the socket: mail is deferred or, with milter_default_action = accept, leaves unsigned", "docs/postfix.md, A unix socket instead of TCP"},
		{"postfix.second-signer", High, "mail carries two programs' signatures, and what the later one changes breaks the earlier one's", "docs/postfix.md, Other milters beside it"},
		{"postfix.reinjection", Critical, "mail that the filter hands back comes from 127.0.0.1: that of strangers is taken for ours and signed", "docs/postfix.md, Content filters"},
		{"postfix.proxy-filter", High, "Postfix shows milters no content before this filter: mail is not signed and not judged, and forged results stay in it", "docs/postfix.md, smtpd_proxy_filter"},
		{"postfix.timeouts", Medium, "Postfix gives up on Signpost while it still works: mail is deferred, again and again", "postconf(5), milter_command_timeout, milter_content_timeout"},
		{"postfix.message-size", Low, "the signatures of such large messages are not verified", "config.example.yaml, milter.max_message_bytes"},
		{"postfix.mime-conversion", Medium, "8-bit mail is turned into quoted-printable after it was signed, and its signature fails", "docs/postfix.md, 8-bit mail"},
		{"postfix.process-limit", Medium, "when all of Postfix' processes are busy, further ones wait for Signpost, and mail is deferred", "config.example.yaml, milter.max_connections"},
	}
}

func sendmailKinds() []kind {
	return []kind{
		{"sendmail.not-connected", Critical, "mail does not pass through Signpost: it leaves unsigned and comes in unjudged", "docs/sendmail.md, The line"},
		{"sendmail.default-action", High, "", "docs/sendmail.md, When Signpost does not answer"},
		{"sendmail.timeouts", Medium, "Sendmail gives up on Signpost while it still works: mail is deferred, again and again", "docs/sendmail.md, Timeouts"},
		{"sendmail.socket-permission", Critical, "Sendmail does not connect: mail is deferred or, without F=T, leaves unsigned", "docs/sendmail.md, A unix socket instead of TCP"},
		{"sendmail.macros", Low, "Signpost asks for its own macros, so that no mail is harmed; other milters may miss them", "docs/sendmail.md, Which mail is yours"},
		{"sendmail.rewrites", Medium, "what is changed after signing breaks the signature", "docs/sendmail.md, What breaks signatures"},
	}
}

// mtaChecks look at the MTA's configuration and log.
func mtaChecks() []check {
	return []check{
		{"the MTA's configuration", lookAtMTA},
		{"the MTA's log", lookAtDeliveries},
	}
}
