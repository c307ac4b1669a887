package main

import (
	"context"
	"fmt"
	"io"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/status"
)

const statusText = `Ask the running daemon what it does: the configuration in force, listeners,
what signs for each domain, DNS, the last hour and the last errors.

    signpost status [--json] [--ready]

It asks through control.listen of the configuration, as root, as the daemon's
user or as a member of control.group. docs/status.md describes the JSON.

Exit codes: 0 all well, 1 something needs a person (or the daemon could not be
asked), 2 wrong usage. With --ready: 0 mail can be handled, 1 it cannot: a
listener is down, or none of the domains can sign.

Example:

    signpost status
    signpost status --json | jq .findings
`

type statusOptions struct {
	config      string
	json, ready bool
	domains     int
	stdout      io.Writer
	stderr      io.Writer
}

func statusCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	o := statusOptions{stdout: stdout, stderr: stderr}
	f := flags("status", statusText, stderr)
	f.StringVar(&o.config, "config", "", configHelp)
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	f.BoolVar(&o.ready, "ready", false, "say only whether mail can be handled, for probes")
	f.IntVar(&o.domains, "domains", 20, "list this many domains in the JSON, the worst first (at most 10000)")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) > 0 {
		return wrongUsage(stderr, "status", fmt.Sprintf("unexpected argument %q", rest[0]))
	}
	if o.domains < 0 || o.domains > 10000 {
		return wrongUsage(stderr, "status", fmt.Sprintf("--domains %d: give a number from 0 to 10000", o.domains))
	}
	client, err := dialDaemon(context.Background(), o.config)
	if err != nil {
		return failure(o.stderr, "status", err)
	}
	defer client.Close()
	if o.ready {
		return o.printReady(client)
	}
	return o.printReport(client)
}

func (o *statusOptions) printReady(client *control.Client) int {
	var r daemon.Readiness
	if err := client.Get(context.Background(), "/ready", &r); err != nil {
		return failure(o.stderr, "status", err)
	}
	switch {
	case o.json:
		printJSON(o.stdout, r)
	case r.Ready:
		fmt.Fprintln(o.stdout, "ready")
	}
	if r.Ready {
		return exitOK
	}
	if !o.json {
		for _, why := range r.Reasons {
			fmt.Fprintln(o.stdout, "not ready: "+printable(why))
		}
	}
	return exitFailure
}

func (o *statusOptions) printReport(client *control.Client) int {
	var r status.Report
	if err := client.Get(context.Background(), fmt.Sprintf("/status?domains=%d", o.domains), &r); err != nil {
		return failure(o.stderr, "status", err)
	}
	r.Compare(currentVersion().Version)
	if o.json {
		printJSON(o.stdout, r)
	} else {
		r.Print(o.stdout, emphasis(o.stdout).on)
	}
	if r.NeedsAPerson() {
		return exitFailure
	}
	return exitOK
}
