package manual

// overview is signpost(8): what no command's help says.
func overview(commands []Command, date string) Page {
	p := newPage("signpost", 8, date, "sign and verify mail beside Postfix or Sendmail")
	p.section("Synopsis")
	p.WriteString(bold("signpost") + " " + italic("COMMAND") + " [" + italic("OPTIONS") + "] [" + italic("ARGUMENTS") + "]\n")
	p.section("Description")
	p.blocks(blocks(overviewText))
	p.section("Commands")
	for _, c := range commands {
		p.item(bold(c.Name), c.Summary+", see")
		p.WriteString(".BR " + escape(pageName(c.Name)) + " (8)\n")
	}
	p.section("Signals")
	for _, s := range signals {
		p.item(bold(s[0]), s[1])
	}
	p.section("Environment")
	p.item(bold("NO_COLOR"), "If it is set, output to a terminal has no emphasis. Output to a pipe or a file never has.")
	p.section("Exit status")
	for _, s := range exits {
		p.item(bold(s[0]), s[1])
	}
	p.section("Files")
	for _, s := range files {
		p.item(italic(s[0]), s[1])
	}
	p.section("Examples")
	p.blocks(blocks(overviewExamples))
	p.section("Standards")
	p.text("RFC 6376, 8301, 8463 and 8616 (DKIM), 7208 (SPF), 9989 and 9990 (DMARC and its reports), 8601 (Authentication-Results), 8617 (ARC).")
	p.section("See also")
	p.WriteString(".BR signpost.yaml (5),\n.BR postconf (5),\n.BR systemctl (1)\n")
	return Page{"signpost.8", p.String()}
}

const overviewText = `Signpost is a milter. It signs mail that leaves with DKIM, and judges mail that
arrives by SPF, DKIM and DMARC. What it finds it writes into one
Authentication-Results field; it removes such fields that claim to be this
host's and are not. In its default mode it refuses nothing.

Which mail is signed is decided by the connection alone: the client's network,
its login, or the name of the MTA's listener. No header field decides.

signpost COMMAND --help shows the options of a command and an example.`

const overviewExamples = `Set up a host for its first signed message:

    signpost init example.com

Judge a message file:

    signpost verify mail.eml --ip 192.0.2.10 --helo mx.example.net \
        --from bob@example.net`

var signals = [][2]string{
	{"SIGHUP", "Read the configuration and the keys again. If they have mistakes the old ones stay in force, and the log says so. " +
		"Changes in the sections milter, control and log take a restart."},
	{"SIGTERM", "Take no new connections, let running messages finish for the time of --grace (30 s), and end. " +
		"A second signal ends at once; the MTA offers what was unfinished again. SIGINT does the same."},
}

var exits = [][2]string{
	{"0", "Done, and all is well."},
	{"1", "There are findings, or it could not be done: standard error says why, with --json standard output."},
	{"2", "The command line is wrong."},
}

var files = [][2]string{
	{"/etc/signpost/signpost.yaml", "The configuration. Without it the daemon judges all mail in monitor mode and signs nothing."},
	{"/var/lib/signpost/keys/DOMAIN/SELECTOR.pem", "Signing keys. They and all folders above them belong to root; " +
		"the daemon reads them through its group signpost, and no other user belongs in that group."},
	{"/var/lib/signpost/state", "What is known of the life of the keys, and the counters of reports. The daemon writes here alone."},
	{"/run/signpost/control.sock", "The control socket, for signpost status, tail and explain --last."},
	{"/usr/share/signpost/signpost.schema.json", "The JSON Schema of the configuration, for editors."},
}
