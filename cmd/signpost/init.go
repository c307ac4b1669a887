package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"signpost/internal/setup"
	"signpost/milter"
)

const initText = `Set up a host from nothing to its first signed message.

    signpost init [OPTIONS] DOMAIN [DOMAIN …]

It looks at the host, makes an RSA-2048 and an Ed25519 key for each domain,
writes a configuration with comments, and shows the DNS records and the
commands for Postfix (or the lines for Sendmail), which fit its configuration.
Then it waits until DNS has the records, the daemon answers, the MTA is
connected to it, and a message was signed; each step ticks off. Ctrl-C ends it
at any time. Run again, it goes on where it was. It overwrites nothing.

No file of the MTA is changed, unless --apply says so: then the change is
shown, a copy of each file is kept beside it, and Postfix is reloaded.

Exit code 0: all steps are done, or with --no-wait what can be made is made;
1: it ended before, or could not be done.

Example:

    signpost init example.com
    signpost init --yes --apply --no-wait example.com example.org
`

type initOptions struct {
	setup.Options
	yes, apply, noWait, dryRun, json bool
}

func initFlags(o *initOptions, stderr io.Writer) *flag.FlagSet {
	f := flags("init", initText, stderr)
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	f.BoolVar(&o.apply, "apply", false, "change Postfix' configuration too")
	f.BoolVar(&o.noWait, "no-wait", false, "look at each step once, and end")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be made, and make nothing")
	f.BoolVar(&o.RSAOnly, "rsa-only", false, "make no Ed25519 keys")
	f.StringVar(&o.Config, "config", "", configHelp)
	f.StringVar(&o.Listen, "listen", "", "the `ADDRESS` of the milter, for a new configuration (default: inet:127.0.0.1:8891, or the next free port)")
	f.StringVar(&o.Postfix, "postfix", "", "the `FOLDER` of Postfix' main.cf (default: /etc/postfix)")
	f.StringVar(&o.Sendmail, "sendmail", "", "the `FOLDER` of sendmail.cf (default: /etc/mail)")
	f.StringVar(&o.Root, "root", "", "put all files below this `FOLDER`: for a trial, or a container")
	f.StringVar(&o.Zone, "zone", "", "take DNS from this zone `FILE`, for a trial")
	f.BoolVar(&o.json, "json", false, "print one JSON object, and do not wait; needs --yes or --dry-run")
	return f
}

// problem returns the mistake in options and domains, or "".
func (o *initOptions) problem(domains []string) string {
	for _, d := range domains {
		if _, problem := domainArgument(d); problem != "" {
			return problem
		}
	}
	if o.Listen != "" {
		if _, err := milter.ParseAddress(o.Listen); err != nil {
			return "--listen: " + err.Error()
		}
	}
	switch {
	case o.Postfix != "" && o.Sendmail != "":
		return "--postfix and --sendmail exclude each other"
	case o.json && !o.yes && !o.dryRun:
		return "--json does not ask: give --yes too, or --dry-run to make nothing"
	}
	return ""
}

// initRun is one run of the command.
type initRun struct {
	initOptions
	plan   *setup.Plan
	in     *bufio.Reader
	out    io.Writer
	errors io.Writer
	style  palette
	every  time.Duration // between two looks at the steps
}

func initCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o initOptions
	f := initFlags(&o, stderr)
	domains, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(domains) == 0 {
		return wrongUsage(stderr, "init", "give the domains whose mail is to be signed, such as example.com")
	}
	if problem := o.problem(domains); problem != "" {
		return wrongUsage(stderr, "init", problem)
	}
	o.noWait = o.noWait || o.json
	o.Domains, o.Now = domains, time.Now()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	plan, err := setup.Look(ctx, o.Options)
	if err != nil {
		return failure(stderr, "init", err)
	}
	r := &initRun{initOptions: o, plan: plan, in: bufio.NewReader(stdin), out: stdout, errors: stderr, style: emphasis(stdout), every: 2 * time.Second}
	return r.run(ctx)
}

func (r *initRun) run(ctx context.Context) int {
	if !r.json {
		r.printPlan()
	}
	if r.dryRun {
		return r.end(nil)
	}
	if err := r.plan.MayMake(os.Geteuid()); err != nil {
		return failure(r.errors, "init", err)
	}
	if r.plan.Makes() && !r.yes && !r.ask(ctx, "Make what is new?") {
		fmt.Fprintln(r.out, "Nothing was made.")
		return exitFailure
	}
	if err := r.plan.Make(); err != nil {
		return failure(r.errors, "init", err)
	}
	if !r.json {
		r.printRecords()
		r.printMTA()
	}
	if r.apply {
		if err := r.change(ctx); err != nil {
			return failure(r.errors, "init", err)
		}
	}
	if r.noWait {
		return r.end(r.plan.Check(ctx))
	}
	return r.watch(ctx)
}

// end shows the steps and ends. It is no failure if some are still to be done.
func (r *initRun) end(steps []setup.Step) int {
	if r.json {
		return printJSON(r.out, struct {
			*setup.Plan
			Steps []setup.Step `json:"steps,omitempty"`
		}{r.plan, steps})
	}
	if steps != nil {
		fmt.Fprintln(r.out)
	}
	for _, s := range steps {
		r.printStep(s)
	}
	return exitOK
}

// ask asks a question whose answer is yes unless it begins with n. Without an answer, and after
// Ctrl-C, it is no.
func (r *initRun) ask(ctx context.Context, question string) bool {
	fmt.Fprintf(r.out, "\n%s [Y/n] ", question)
	answers := make(chan string, 1)
	go func() { // it may read for ever: a terminal cannot be interrupted
		if answer, err := r.in.ReadString('\n'); err == nil {
			answers <- answer
		}
		close(answers)
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(r.out)
		return false
	case answer, given := <-answers:
		if !given {
			fmt.Fprintln(r.out, "\nThere is no answer: --yes goes on without asking.")
			return false
		}
		answer = strings.ToLower(strings.TrimSpace(answer))
		return answer == "" || answer == "y" || answer == "yes"
	}
}

func (r *initRun) printPlan() {
	newOr := func(is bool) string {
		if is {
			return r.style.bold("new")
		}
		return "is there"
	}
	fmt.Fprintln(r.out, r.style.bold("What this host has, and what it lacks"))
	fmt.Fprintf(r.out, "  configuration %s: %s\n", printable(r.plan.Config), newOr(r.plan.New))
	for _, k := range r.plan.Keys {
		fmt.Fprintf(r.out, "  %s: %s\n", printable(k.Text()), newOr(!k.There))
	}
	switch {
	case r.plan.MTA.Name == "":
		fmt.Fprintln(r.out, "  MTA: none")
	case r.plan.MTA.Unreadable:
		fmt.Fprintf(r.out, "  %s in %s: cannot be read\n", r.plan.MTA.Name, printable(r.plan.MTA.Dir))
	case len(r.plan.MTALines()) == 0:
		fmt.Fprintf(r.out, "  %s in %s: connected\n", r.plan.MTA.Name, printable(r.plan.MTA.Dir))
	default:
		fmt.Fprintf(r.out, "  %s in %s: to be connected\n", r.plan.MTA.Name, printable(r.plan.MTA.Dir))
	}
	for _, note := range append(append([]string{}, r.plan.Notes...), r.plan.MTA.Notes...) {
		r.printNote(note)
	}
	if len(r.plan.Unlisted) > 0 {
		fmt.Fprintf(r.out, "\nAdd to %s, under signer: domains: (init changes no configuration):\n\n%s\n", printable(r.plan.Config), printableText(r.plan.Unlisted))
	}
}

// printableText is lines as they may be shown, with their indentation.
func printableText(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(printable(l) + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (r *initRun) printNote(text string) {
	for i, line := range wrapped("note: "+printable(text), helpWidth-4) {
		indent := "  "
		if i > 0 {
			indent = "    "
		}
		if i == 0 {
			line = r.style.yellow("note:") + strings.TrimPrefix(line, "note:")
		}
		fmt.Fprintln(r.out, indent+line)
	}
}

func (r *initRun) printRecords() {
	fmt.Fprintf(r.out, "\n%s, as a line of a zone file or as name and value\n", r.style.bold("Publish these records"))
	for _, k := range r.plan.Keys {
		if k.Name == "" {
			continue
		}
		fmt.Fprintf(r.out, "\n%s\n    Name   %s\n    Type   TXT\n    Value  %s\n", k.Zone, k.Name, k.Value)
	}
	fmt.Fprintln(r.out, "\nOther forms: signpost keys record DOMAIN SELECTOR")
}

func (r *initRun) printMTA() {
	lines := r.plan.MTALines()
	if len(lines) == 0 || r.apply && r.plan.MTA.Name == "postfix" {
		return
	}
	fmt.Fprintf(r.out, "\n%s to Signpost\n\n", r.style.bold("Connect the MTA"))
	for _, line := range lines {
		fmt.Fprintln(r.out, "    "+printable(line))
	}
	if r.plan.MTA.Name == "postfix" {
		fmt.Fprintln(r.out, "\nsignpost init --apply does that, and keeps a copy of each file.")
	}
}

// change changes the MTA's configuration, after it has shown the difference.
func (r *initRun) change(ctx context.Context) error {
	if r.plan.MTA.Name != "postfix" {
		if !r.json {
			fmt.Fprintln(r.out, "\n--apply changes Postfix' configuration alone: nothing was changed.")
		}
		return nil
	}
	change, err := r.plan.Preview(ctx)
	if err != nil || change == nil {
		return err
	}
	if !r.json {
		fmt.Fprintf(r.out, "\n%s\n\n%s", r.style.bold("The change of Postfix' configuration"), r.coloured(change.Diff))
	}
	if !r.yes && !r.ask(ctx, "Change it?") {
		fmt.Fprintln(r.out, "Postfix was not changed.")
		return nil
	}
	copies, err := change.Do(ctx)
	if !r.json {
		for _, c := range copies {
			fmt.Fprintf(r.out, "The old file is kept as %s\n", c)
		}
		if len(copies) > 0 && !r.plan.DaemonAnswers(ctx) {
			fmt.Fprintf(r.out, "\n%s Until the daemon runs, Postfix tells clients to come\nagain later. Start it now, in another terminal:\n\n    %s\n", r.style.yellow("Mail waits."), r.plan.StartCommand())
		}
	}
	return err
}

// coloured is a diff with its lines in colour.
func (r *initRun) coloured(diff string) string {
	var b strings.Builder
	for line := range strings.Lines(diff) {
		text := printable(strings.TrimSuffix(line, "\n"))
		switch {
		case strings.HasPrefix(line, "+"):
			text = r.style.green(text)
		case strings.HasPrefix(line, "-"):
			text = r.style.red(text)
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}

// watch looks at the steps until all are done, and shows what has changed.
func (r *initRun) watch(ctx context.Context) int {
	fmt.Fprintln(r.out, "\nWaiting for each step; Ctrl-C ends, and the same command goes on later.")
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	shown := map[string]string{}
	for {
		steps := r.plan.Check(ctx)
		if ctx.Err() != nil {
			fmt.Fprintf(r.out, "\nEnded. To go on: %s\n", setup.Command(append([]string{"signpost"}, os.Args[1:]...)))
			return exitFailure
		}
		if r.printChanged(steps, shown) {
			fmt.Fprintf(r.out, "\n%s Watch it with signpost tail, and look for faults with\nsignpost doctor.\n", r.style.bold("Mail is signed."))
			return exitOK
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// printChanged shows the steps that have changed, and reports whether all are done.
func (r *initRun) printChanged(steps []setup.Step, shown map[string]string) (all bool) {
	all = true
	for _, s := range steps {
		all = all && s.Done
		state := s.Waiting
		if s.Done {
			state = "done"
		}
		if shown[s.Name] != state {
			shown[s.Name] = state
			r.printStep(s)
		}
	}
	return all
}

func (r *initRun) printStep(s setup.Step) {
	if s.Done {
		fmt.Fprintf(r.out, "%s %s\n", r.style.green("[x]"), s.Title)
		return
	}
	fmt.Fprintf(r.out, "[ ] %s\n", s.Title)
	for _, line := range wrapped(printable(s.Waiting), helpWidth-8) {
		fmt.Fprintln(r.out, "    "+line)
	}
	if s.Name == "mta" && s.Hint != "" {
		s.Hint = "see above"
	}
	for line := range strings.Lines(s.Hint) {
		fmt.Fprintln(r.out, "        "+printable(strings.TrimSuffix(line, "\n")))
	}
}
