package main

import (
	"context"
	"io"
)

const wouldRefuseText = `Show which mail enforce mode would refuse, by author domain and by host.

    signpost report would-refuse [OPTIONS]

Example:

    signpost report would-refuse --since 14d
`

func wouldRefuseCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	const name = "report would-refuse"
	f := flags(name, wouldRefuseText, stderr)
	place := newReportPlace(name, f, stdout, stderr)
	newSince(f, "14d")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) > 0 {
		return place.usage("it takes no arguments")
	}
	_, db, err := place.open(context.Background())
	if err != nil {
		return place.fail(err)
	}
	defer db.Close()
	return exitOK
}
