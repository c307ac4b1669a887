package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"signpost/internal/config"
	"signpost/internal/daemon"
	"signpost/internal/display"
)

const checkConfigText = `Read a configuration and its keys as serve would, without starting anything,
and say what it means: which mail is ours, who is signed by what, and what is
refused. It prints a line for each mistake: file, line, column, key, what is
wrong and what to write. If the daemon knows that a listed key may not sign yet,
it says so; that is no mistake. Notes name what a start would stumble over
outside of the file: a folder that the daemon may not write to, an address that
is in use or that the machine does not have.

    signpost check-config [FILE]

Example:

    signpost check-config && systemctl reload signpost
`

type checkReport struct {
	File     string         `json:"file"`
	Valid    bool           `json:"valid"`
	Error    string         `json:"error,omitempty"` // of a file that is not valid: how many mistakes
	Remedy   string         `json:"remedy,omitempty"`
	Problems []checkProblem `json:"problems,omitempty"`
	Warnings []string       `json:"warnings,omitempty"`
	Notes    []string       `json:"notes,omitempty"`             // problems of a start outside of the file
	Signing  []string       `json:"signing_otherwise,omitempty"` // which listed keys do not sign yet
	Domains  int            `json:"domains"`
	Keys     int            `json:"keys"`
	Mode     string         `json:"mode,omitempty"`
	Meaning  *meaning       `json:"meaning,omitempty"`
}

// checkProblem is one mistake. Line and path are those of the file; a problem with
// what the file names (a key, a zone file) has none.
type checkProblem struct {
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Path   string `json:"path,omitempty"`
	Text   string `json:"text"`
}

func problems(err error) []checkProblem {
	var list []checkProblem
	var inFile *config.Error
	if errors.As(err, &inFile) {
		for _, p := range inFile.Problems {
			list = append(list, checkProblem{p.Line, p.Column, p.Path, p.Text})
		}
		return list
	}
	for line := range strings.Lines(err.Error()) {
		list = append(list, checkProblem{Text: strings.TrimSuffix(line, "\n")})
	}
	return list
}

func checkConfigCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	f := flags("check-config", checkConfigText, stderr)
	path := f.String("config", "", configHelp)
	asJSON := f.Bool("json", false, "print one JSON object")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	switch {
	case len(rest) > 1 || (len(rest) == 1 && *path != ""):
		return wrongUsage(stderr, "check-config", "one file at a time")
	case len(rest) == 1:
		*path = rest[0]
	}
	g, err := daemon.Load(*path, time.Now, nil)
	if *asJSON {
		return checkJSON(stdout, *path, g, err)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	name := g.Path
	if name == "" {
		name = "no file"
	}
	fmt.Fprintf(stdout, "%s: good: %s, %s, verifier in %s mode\n",
		name, display.Count(len(g.Config.Signer.Domains), "domain"), display.Count(len(g.Store.Keys()), "key"), g.Config.Verifier.Mode)
	meaningOf(g).print(stdout)
	if _, err := user.Lookup("signpost"); err == nil && os.Getuid() == 0 {
		sentence(stdout, "note: root may read every key; whether the daemon may: runuser -u signpost -- signpost check-config")
	}
	if note := g.DescriptorNote(); note != "" {
		sentence(stdout, "note: %s", note)
	}
	for _, w := range g.Warnings() {
		sentence(stdout, "warning: %s", w)
	}
	for _, n := range g.Config.StartProblems() {
		sentence(stdout, "note: %s", n)
	}
	const most = 20
	for i, line := range g.Spec.Active.Irregular() {
		if i == most {
			fmt.Fprintln(stdout, "and more; signpost keys list has them all")
			break
		}
		sentence(stdout, "as far as is known, %s", line)
	}
	return exitOK
}

func checkJSON(stdout io.Writer, path string, g *daemon.Generation, err error) int {
	if err != nil {
		list := problems(err)
		printJSON(stdout, checkReport{File: path, Problems: list, Error: display.Count(len(list), "mistake"), Remedy: "each of the problems says what to write"})
		return exitFailure
	}
	means := meaningOf(g)
	return printJSON(stdout, checkReport{
		File: g.Path, Valid: true, Meaning: &means, Warnings: g.Warnings(), Notes: g.Config.StartProblems(), Signing: g.Spec.Active.Irregular(), Domains: len(g.Config.Signer.Domains),
		Keys: len(g.Store.Keys()), Mode: string(g.Config.Verifier.Mode),
	})
}
