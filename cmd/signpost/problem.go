package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"signpost/internal/config"
	"signpost/internal/control"
)

// diagnostics is standard error. With --json, the error that ends a command goes to standard
// output instead, as one JSON object, unless the command has written its own answer there.
type diagnostics struct {
	to      io.Writer
	json    bool
	problem *control.Error // nil: none yet
}

func (d *diagnostics) Write(p []byte) (int, error) { return d.to.Write(p) }

// wantsJSON reports whether the arguments ask for JSON.
func wantsJSON(args []string) bool {
	before, _ := cutAt(args, "--")
	return slices.ContainsFunc(before, func(a string) bool {
		return strings.TrimLeft(a, "-") == "json" && strings.HasPrefix(a, "-") || a == "--json=true"
	})
}

// end writes the error that ended a command, in JSON if nothing else stands on standard output.
func (d *diagnostics) end(stdout *output) {
	if d.problem == nil {
		return
	}
	if !stdout.begun {
		printJSON(stdout, d.problem)
		return
	}
	fmt.Fprintln(d.to, "signpost: "+d.problem.Error())
}

// inJSON keeps an error for the end, if it is to be written as JSON.
func inJSON(stderr io.Writer, e *control.Error) bool {
	d, ok := stderr.(*diagnostics)
	if !ok || !d.json {
		return false
	}
	d.problem = e
	return true
}

// wrongUsage reports a mistake in the command line and names the help.
func wrongUsage(stderr io.Writer, name, problem string) int {
	e := &control.Error{Problem: problem, Remedy: "signpost " + name + " --help shows how"}
	if !inJSON(stderr, e) {
		fmt.Fprintf(stderr, "signpost %s: %s; %s\n", name, e.Problem, e.Remedy)
	}
	return exitUsage
}

// failure says why a command could not do its work.
func failure(stderr io.Writer, name string, err error) int {
	var told *control.Error
	if !errors.As(err, &told) || told.Remedy == "" {
		told = &control.Error{Problem: err.Error(), Remedy: remedyIn(err.Error(), name)}
	}
	if !inJSON(stderr, told) {
		fmt.Fprintf(stderr, "signpost %s: %v\n", name, err)
	}
	return exitFailure
}

// remedyIn is what an error text says last, behind a semicolon, since our texts end in what to
// do; else it names the help.
func remedyIn(problem, name string) string {
	if i := strings.LastIndex(problem, "; "); i >= 0 && !strings.Contains(problem[i:], "\n") {
		return problem[i+2:]
	}
	return "signpost " + name + " --help shows the options; signpost doctor looks for faults of the host"
}

// maybe names the word that was probably meant, with the prefix that such words have.
func maybe(prefix, word string, words []string) string {
	near, ok := config.Nearest(word, words)
	if !ok {
		return ""
	}
	return ": did you mean " + prefix + near + "?"
}

// optionProblem is an error of package flag in our words.
func optionProblem(f *flag.FlagSet, err error) string {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		var names []string
		f.VisitAll(func(o *flag.Flag) { names = append(names, o.Name) })
		return "there is no option --" + name + maybe("--", name, names)
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return "--" + name + " needs a value"
	}
	for _, form := range []string{"invalid value ", "invalid boolean value "} {
		rest, ok := strings.CutPrefix(text, form)
		if !ok {
			continue
		}
		value, rest, _ := strings.Cut(rest, " for flag -")
		if form != "invalid value " {
			value, rest, _ = strings.Cut(strings.TrimPrefix(text, form), " for -")
		}
		name, reason, _ := strings.Cut(rest, ": ")
		return fmt.Sprintf("--%s %s: %s", name, value, valueProblem(f, name, reason))
	}
	return text
}

// valueProblem says what kind of value an option wants.
func valueProblem(f *flag.FlagSet, name, reason string) string {
	o := f.Lookup(name)
	if o == nil {
		return reason
	}
	getter, ok := o.Value.(flag.Getter)
	if !ok {
		return reason
	}
	switch getter.Get().(type) {
	case time.Duration:
		return "give a time such as 30s or 5m"
	case int, int64, uint, uint64:
		return "give a whole number"
	case bool:
		return "the option takes no value"
	}
	return reason
}
