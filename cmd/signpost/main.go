// Signpost signs the mail that leaves and judges the mail that arrives, beside
// Postfix or Sendmail, as one milter. Each subcommand has a file of its own; the table
// below lists them.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"signpost/internal/control"
)

// Exit codes of every subcommand.
const (
	exitOK      = 0
	exitFailure = 1 // the command failed; standard error says why
	exitUsage   = 2 // the command line is wrong
)

// command is one subcommand. run gets the arguments after its name.
type command struct {
	name    string
	summary string
	run     func(args []string, stdin io.Reader, stdout, stderr io.Writer) int
}

func commands() []command {
	return []command{
		{"init", "set up a host, from nothing to its first signed message", initCommand},
		{"serve", "run the milter", serveCommand},
		{"check-config", "say what a configuration means, and list its mistakes", checkConfigCommand},
		{"keys", "make keys and show their DNS records", keysCommand},
		{"sign", "sign a message file as the daemon would", signCommand},
		{"verify", "judge a message file as the daemon would", verifyCommand},
		{"explain", "show how the daemon decides about a message, rule by rule", explainCommand},
		{"status", "ask the running daemon whether all is well", statusCommand},
		{"doctor", "find what keeps mail from being signed or accepted", doctorCommand},
		{"tail", "show messages as they pass the running daemon", tailCommand},
		{"probe", "send a message file through a running milter, show its changes", probeCommand},
		{"report", "show what was counted, and the DMARC reports of others", reportCommand},
		{"demo", "see it work: a daemon with keys and DNS of its own", demoCommand},
		{"config", "print the schema or the example of the configuration", configCommand},
		{"completion", "print the completion script of a shell", completionCommand},
		{"version", "print the version and what this build can do", versionCommand},
	}
}

// internalCommands are for the shells' completion and for the build; the help does not list them.
func internalCommands() []command {
	return []command{
		{"__complete", "what may stand at the cursor", completeCommand},
		{"__manual", "write the manual pages, the schema and the completions", manualCommand},
	}
}

// subcommands are the commands below a command, or none.
func subcommands(name string) []command {
	switch name {
	case "keys":
		return keysCommands()
	case "report":
		return reportCommands()
	case "config":
		return configCommands()
	}
	return nil
}

func main() {
	if err := forbidDumps(); err != nil {
		fmt.Fprintf(os.Stderr, "signpost: a core dump of this process would hold private keys: %v\n", err)
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs one command. It fails if standard output could not be written whole, even where
// the command itself succeeded.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &output{to: stdout}
	d := &diagnostics{to: stderr, json: wantsJSON(args)}
	code := dispatch(args, stdin, a, d)
	d.end(a)
	if a.err == nil {
		return code
	}
	fmt.Fprintf(stderr, "signpost: writing the answer: %v\n", a.err)
	return max(code, exitFailure)
}

// output is standard output with its first write error. It writes nothing after an error.
type output struct {
	to    io.Writer
	begun bool // something was written
	err   error
}

func (a *output) Write(p []byte) (n int, err error) {
	a.begun = true
	if a.err == nil {
		n, a.err = a.to.Write(p)
	}
	return n, a.err
}

func dispatch(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		if len(args) > 1 {
			return dispatch(append(args[1:], "--help"), stdin, stdout, stderr)
		}
		usage(stdout)
		return exitOK
	case "-v", "-version", "--version":
		args[0] = "version"
	}
	for _, c := range append(commands(), internalCommands()...) {
		if c.name == args[0] {
			return c.run(args[1:], stdin, stdout, stderr)
		}
	}
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	e := &control.Error{Problem: fmt.Sprintf("no command %q", args[0]) + maybe("", args[0], names), Remedy: "signpost help lists them"}
	if !inJSON(stderr, e) {
		fmt.Fprintf(stderr, "signpost: %s; %s\n", e.Problem, e.Remedy)
	}
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, `Signpost signs the mail that leaves and judges the mail that arrives, as a
milter beside Postfix or Sendmail.

    signpost COMMAND [OPTIONS] [ARGUMENTS]

`)
	for _, c := range commands() {
		fmt.Fprintf(w, "    %-14s%s\n", c.name, c.summary)
	}
	fmt.Fprint(w, `
signpost COMMAND --help shows a command's options and an example; man signpost
and man signpost.yaml have more. Exit codes: 0 done, and all is well; 1
findings, or it could not be done (standard error says why); 2 wrong usage.
`)
}

// flags is a flag set with a usage text that ends in an example. The list of options
// follows the text.
func flags(name, text string, stderr io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("signpost "+name, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(f.Output(), text)
		printOptions(f)
	}
	return f
}

// parse reads options and positional arguments in any order. stop says that the
// command ends here, with code: help was asked for, or the options are wrong.
func parse(f *flag.FlagSet, args []string, stdout io.Writer) (positional []string, code int, stop bool) {
	if sheet, ok := stdout.(*helpSheet); ok {
		sheet.options(f)
	}
	if wantsHelp(args) {
		f.SetOutput(stdout)
		f.Usage()
		return nil, exitOK, true
	}
	args, literal := cutAt(args, "--")
	stderr, usage := f.Output(), f.Usage
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	defer func() { f.SetOutput(stderr); f.Usage = usage }()
	for {
		if err := f.Parse(args); err != nil {
			return nil, wrongUsage(stderr, strings.TrimPrefix(f.Name(), "signpost "), optionProblem(f, err)), true
		}
		if args = f.Args(); len(args) == 0 {
			return append(positional, literal...), exitOK, false
		}
		positional = append(positional, args[0])
		args = args[1:]
	}
}

// cutAt splits arguments at a word, which belongs to neither part.
func cutAt(args []string, word string) (before, after []string) {
	if i := slices.Index(args, word); i >= 0 {
		return args[:i], args[i+1:]
	}
	return args, nil
}

func wantsHelp(args []string) bool {
	for _, a := range args {
		switch a {
		case "--":
			return false
		case "-h", "-help", "--help":
			return true
		}
	}
	return false
}
