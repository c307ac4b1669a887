package main

import (
	"fmt"
	"io"
)

// reportCommands are the subcommands of report, in the order of the help.
func reportCommands() []command {
	return []command{
		{"show", "who sends as a domain; may it be stricter", reportShowCommand},
		{"list", "the stored reports of others", reportListCommand},
		{"import", "store reports of others from files", reportImportCommand},
		{"page", "write the reports as web pages into a folder", reportPageCommand},
		{"would-refuse", "what enforce mode would refuse", wouldRefuseCommand},
		{"preview", "what a report tells a domain, and who gets it", reportPreviewCommand},
		{"suppressed", "addresses whose reports came back", reportSuppressedCommand},
	}
}

func reportText() string {
	text := `Show what the daemon has counted, and the DMARC reports of others.

    signpost report COMMAND [OPTIONS] [ARGUMENTS]

`
	for _, c := range reportCommands() {
		text += fmt.Sprintf("    signpost report %-14s%s\n", c.name, c.summary)
	}
	return text + `
They read the database that reports.database names, beside the running daemon.
Each has --help with its options and an example:
signpost report would-refuse --help.
`
}

func reportCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return group{"report", reportText(), reportCommands()}.run(args, stdin, stdout, stderr)
}
