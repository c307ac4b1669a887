package doctor

import "context"

// check is one function that looks at something and calls Host.find, or Host.unseen where it
// could not look.
type check struct {
	// name says what is looked at, in the words of the administrator.
	name string
	look func(ctx context.Context, h *Host)
}

// checks is the table of all checks. They run at the same time.
func checks() []check {
	return append([]check{
		{"signing domains", lookAtDomains},
		{"trusted networks", lookAtTrusted},
		{"what is refused", lookAtEnforce},
		{"key files", lookAtKeyFiles},
		{"the records of keys", lookAtKeyRecords},
		{"the strength of keys", lookAtKeyStrength},
		{"shared keys", lookAtSharedKeys},
		{"DMARC records", lookAtDMARC},
		{"the alignment of signatures", lookAtAlignment},
		{"SPF records", lookAtSPF},
		{"names of addresses", lookAtNames},
		{"the records of retired keys", lookAtRetired},
		{"the DNS servers", lookAtResolvers},
		{"the clock", lookAtClock},
		{"the running daemon", lookAtDaemon},
		{"the name of the results", lookAtAuthserv},
		{"reports", lookAtReports},
	}, mtaChecks()...)
}

// lookAtDomains notes what a host without signing domains cannot have.
func lookAtDomains(_ context.Context, h *Host) {
	if len(h.Domains) == 0 {
		h.absent("signing domains", "signer.domains lists none: this host judges mail and signs none")
	}
}
