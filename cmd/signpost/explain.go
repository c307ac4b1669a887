package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"signpost/internal/daemon"
	"signpost/internal/message"
)

const explainText = `Show how the daemon decides about a message, rule by rule: the rule, what it
compared, what came out. Nothing is sent and nothing is changed.

    signpost explain FILE --ip ADDRESS [--helo NAME] [--from ADDRESS] [OPTIONS]
    signpost explain --outbound FILE [--login NAME] [--ip ADDRESS] [OPTIONS]
    signpost explain --last N | --queue-id ID [--config FILE] [--json]

The first is for any message: the options say how it came, and the rules say
whether it is signed or judged. --outbound is for one that should have been
signed: where it is not ours, the output goes on with what would have become
of it if it were. FILE - is standard input. The exit code is 0 when there was
any decision.

The third asks the running daemon about messages that have passed, also those
that were refused: it keeps the facts of the last ones (control.recent) in
memory. They say whose mail it was, what the checks found, which rule decided,
what enforce mode would have done, and which entry signed. A message that is
not known any more, or not yet, is exit code 1.

Example:

    signpost explain --outbound mail.eml --login alice --ip 203.0.113.7
    signpost explain mail.eml --ip 192.0.2.10 --helo mx.example.com \
        --from user@example.com
    signpost explain --last 1
    signpost explain --queue-id 4dKx5T2Lz9z1X
`

type explainOptions struct {
	verifyOptions
	outbound bool
	daemon   string
	body     string
	role     string
	listener string
	rcpts    []string
	past     past
}

// explanation is a decision with its rules; also the output of --json.
type explanation struct {
	Ours        bool           `json:"ours"`
	OursBecause string         `json:"ours_because"`
	Assumed     bool           `json:"assumed_ours,omitempty"`
	Steps       []message.Step `json:"steps"`
	Disposition string         `json:"disposition"`
	// Would is the action that enforce mode takes, of a message that has passed.
	Would    string            `json:"would,omitempty"`
	Reply    string            `json:"reply,omitempty"`
	Inserted []string          `json:"inserted,omitempty"`
	Notes    map[string]string `json:"notes"`

	order []message.Note
}

func explainCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o explainOptions
	f := flags("explain", explainText, stderr)
	f.BoolVar(&o.outbound, "outbound", false, "the message should have been signed")
	f.StringVar(&o.daemon, "daemon", "", "the MTA's `NAME` for the service (macro {daemon_name})")
	f.StringVar(&o.body, "body", "", "the `TYPE` in MAIL FROM's BODY=, as 8BITMIME")
	f.StringVar(&o.listener, "listener", "", "the `ADDRESS` of our listener, as in milter.listen")
	f.StringVar(&o.role, "role", "auto", "the `ROLE` of our listener: auto, sign, verify or seal")
	f.Func("rcpt", "the `ADDRESS` of a recipient; may be given more than once", func(address string) error {
		o.rcpts = append(o.rcpts, strings.Trim(address, "<>"))
		return nil
	})
	o.declare(f)
	f.Func("last", "explain the last `N` messages that the running daemon decided", func(n string) (err error) {
		if o.past.last, err = strconv.Atoi(n); err != nil || o.past.last < 1 {
			return fmt.Errorf("give a number from 1")
		}
		return nil
	})
	f.StringVar(&o.past.queueID, "queue-id", "", "explain the message to which the MTA gave this `ID`")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if o.past.queueID == "" && isGiven(f, "queue-id") {
		return wrongUsage(stderr, "explain", "--queue-id needs an ID")
	}
	if o.past.last > 0 || o.past.queueID != "" {
		if problem := pastProblem(f, rest); problem != "" {
			return wrongUsage(stderr, "explain", problem)
		}
		o.past.config, o.past.json = o.config, o.json
		return o.past.explain(stdout, stderr)
	}
	if len(rest) != 1 {
		return wrongUsage(stderr, "explain", "give one message file, or - for standard input")
	}
	o.file = rest[0]
	env, err := o.envelope()
	if err != nil {
		return wrongUsage(stderr, "explain", err.Error())
	}
	now, err := parseMoment(o.at)
	if err != nil {
		return wrongUsage(stderr, "explain", err.Error())
	}
	e, err := o.explain(env, now, stdin)
	if err != nil {
		return failure(stderr, "explain", err)
	}
	if o.json {
		return printJSON(stdout, e)
	}
	_ = e.print(stdout) // standard output keeps its error
	return exitOK
}

// envelope is the SMTP session that the options describe.
func (o explainOptions) envelope() (message.Envelope, error) {
	env, err := o.verifyOptions.envelope()
	if err != nil {
		return env, err
	}
	env.DaemonName = o.daemon
	if o.listener != "" {
		env.Listener = daemon.ListenerName(o.listener)
	}
	switch strings.ToUpper(o.body) {
	case "", "7BIT", "8BITMIME", "BINARYMIME": // RFC 6152 §3, RFC 3030 §3
	default:
		return env, fmt.Errorf("--body %q is none: write 7BIT, 8BITMIME or BINARYMIME", o.body)
	}
	env.EightBit = strings.EqualFold(o.body, "8BITMIME") || strings.EqualFold(o.body, "BINARYMIME")
	env.Role, env.Recipients = message.Role(o.role), o.rcpts
	switch env.Role {
	case message.RoleAuto, message.RoleSign, message.RoleVerify, message.RoleSeal:
		return env, nil
	}
	return env, fmt.Errorf("--role %q is none: write auto, sign, verify or seal", o.role)
}

// explain handles the message as the daemon would.
func (o explainOptions) explain(env message.Envelope, now func() time.Time, stdin io.Reader) (*explanation, error) {
	c, path, err := daemon.Read(o.config)
	if err != nil {
		return nil, err
	}
	if o.zone != "" {
		c.DNS.ZoneFile = o.zone
	}
	g, err := daemon.BuildForStart(c, path, now)
	if err != nil {
		return nil, err
	}
	in, err := openMessage(o.file, stdin)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	header, body, err := message.Split(in, message.Limits{})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.file, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	var trace message.Trace
	e := &explanation{}
	e.Ours, e.OursBecause = g.Signer.ExplainOutbound(env, &trace)
	e.Assumed = o.outbound && !e.Ours
	var t message.Transaction
	if e.Ours || e.Assumed {
		t = g.Signer.Explain(ctx, env, &trace)
	} else {
		t = g.Verifier.Explain(ctx, env, &trace)
	}
	if err := feed(t, env, header, body); err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.file, err)
	}
	e.conclude(t.End(), trace)
	return e, nil
}

func (e *explanation) conclude(out message.Outcome, trace message.Trace) {
	e.Steps, e.Disposition, e.order = trace.Steps, string(out.Disposition), out.Log
	if out.Reply.Code != 0 {
		e.Reply = fmt.Sprintf("%d %s %s", out.Reply.Code, out.Reply.Enhanced, out.Reply.Text)
	}
	for _, f := range out.Insert {
		e.Inserted = append(e.Inserted, f.Name+": "+strings.ReplaceAll(f.Value, "\r\n", "\n"))
	}
	e.Notes = map[string]string{}
	for _, n := range out.Log {
		e.Notes[n.Key] = n.Value
	}
}

// print writes the explanation as text: the rules, then the conclusion. On a terminal, it is
// broken at its width.
func (e *explanation) print(w io.Writer) error {
	out, width := bufio.NewWriter(w), terminalWidth(w)
	const column = len("      compared  ")
	for i, s := range e.Steps {
		fmt.Fprintf(out, "%2d  %s\n", i+1, printable(s.Rule))
		writeFolded(out, width, "      compared  ", printable(s.Compared), column)
		writeFolded(out, width, "      result    ", printable(s.Result), column)
	}
	fmt.Fprintln(out)
	say := func(name, value string) { writeFolded(out, width, "", name+": "+printable(value), 2) }
	switch {
	case e.Assumed:
		say("NOT OURS, and so not signed but judged", e.OursBecause+".")
		say("To make it ours", "log the client in, or put its network into signer.ours.networks or its service into signer.ours.daemon_names.")
		fmt.Fprintln(out, "If it were ours:")
	case e.Ours:
		say("ours", e.OursBecause)
	default:
		say("not ours, judged", e.OursBecause)
	}
	say("disposition", e.Disposition)
	if e.Reply != "" {
		say("reply", e.Reply)
	}
	for _, n := range e.order {
		say(printable(n.Key), n.Value)
	}
	return out.Flush()
}

// isGiven reports whether an option is on the command line.
func isGiven(f *flag.FlagSet, name string) (is bool) {
	f.Visit(func(o *flag.Flag) { is = is || o.Name == name })
	return is
}

// pastProblem returns what does not go with --last and --queue-id, or "".
func pastProblem(f *flag.FlagSet, rest []string) (problem string) {
	if len(rest) > 0 {
		return "--last and --queue-id take no message file"
	}
	asked := 0
	f.Visit(func(o *flag.Flag) {
		switch o.Name {
		case "last", "queue-id":
			asked++
		case "config", "json":
		default:
			problem = "--" + o.Name + " is for a message file, and does not go with --last and --queue-id"
		}
	})
	if asked > 1 {
		return "--last and --queue-id exclude each other"
	}
	return problem
}
