package main

import (
	"fmt"
	"io"
	"time"

	"signpost/internal/daemon"
)

const serveText = `Run the milter: sign the mail that is ours and judge all other mail.

    signpost serve [--config FILE]

Without --config, ` + defaultConfig + ` is read. If that file
is missing too, every message is judged in monitor mode and nothing is signed.

Signals: SIGHUP reads the configuration and the keys again (a bad configuration
leaves the old one in force and is logged); SIGTERM and SIGINT let running
messages finish, at most the grace time long, and end.

Example:

    signpost serve --config /etc/signpost/signpost.yaml
`

func serveCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	f := flags("serve", serveText, stderr)
	path := f.String("config", "", configHelp)
	grace := f.Duration("grace", 30*time.Second, "how long running messages may take to finish at the end")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) > 0 {
		return wrongUsage(stderr, "serve", fmt.Sprintf("unexpected argument %q", rest[0]))
	}
	if problem := timeProblem("grace", *grace, 0); problem != "" {
		return wrongUsage(stderr, "serve", problem)
	}
	if err := daemon.Serve(*path, currentVersion().Version, *grace, stderr); err != nil {
		return failure(stderr, "serve", err)
	}
	return exitOK
}
