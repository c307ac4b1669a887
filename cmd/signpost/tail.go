package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os/signal"
	"strings"
	"syscall"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/display"
	"signpost/internal/tail"
	"signpost/verifier"
)

const tailText = `Show messages as they pass the running daemon, a line each.

    signpost tail [OPTIONS]

The columns are: the time; in (judged) or out (ours); the decision; the queue
id; the domains in From; the domains of the envelope, sender>recipients, where
the sender's is left out if it is the one in From; the results of the checks,
or the selectors that sign; why. A line is cut at the width of a terminal;
signpost explain --queue-id ID shows all of it later.

A reader that is too slow loses lines and is told how many; mail never waits
for it. Local parts are shown where control.local_parts says so. Ctrl-C ends.

An option that may be given more than once chooses messages with one of its
values; different options must all fit.

Example:

    signpost tail
    signpost tail --direction out --unsigned
    signpost tail --domain example.com --result reject --explain
    signpost tail --result dmarc=fail --json | jq .client
`

type tailOptions struct {
	config              string
	query               url.Values
	explain, json, wide bool
}

func tailFlags(o *tailOptions, stderr io.Writer) *flag.FlagSet {
	f := flags("tail", tailText, stderr)
	o.query = url.Values{}
	add := func(key string) func(string) error {
		return func(value string) error {
			q := url.Values{key: {value}}
			if _, err := tail.ParseFilter(q, verifier.Values()); err != nil {
				return err
			}
			o.query.Add(key, value)
			return nil
		}
	}
	yes := func(key string) func(string) error {
		return func(value string) error {
			o.query.Set(key, value)
			return nil
		}
	}
	f.StringVar(&o.config, "config", "", configHelp)
	f.Func("domain", "only this `DOMAIN` and those below it: in From, in the envelope, or signing; may be given more than once", add("domain"))
	f.Func("direction", "only mail that goes this `WAY`: in or out", add("direction"))
	f.Func("result", "only this `RESULT`: accept, reject, tempfail or quarantine, signed or unsigned, or one of a check, such as fail or spf=softfail; may be given more than once", add("result"))
	f.BoolFunc("unsigned", "only mail of ours that went on without a signature", yes("unsigned"))
	f.BoolFunc("would-refuse", "only mail that enforce mode would have refused, held or tagged", yes("would-refuse"))
	f.BoolVar(&o.explain, "explain", false, "show each decision rule by rule, as signpost explain does")
	f.BoolVar(&o.wide, "wide", false, "do not cut lines at the width of the terminal")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line; {\"lost\":N} where N messages were lost")
	return f
}

func tailCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	var o tailOptions
	f := tailFlags(&o, stderr)
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) > 0 {
		return wrongUsage(stderr, "tail", fmt.Sprintf("unexpected argument %q", rest[0]))
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	client, err := dialDaemon(ctx, o.config)
	if err != nil {
		return failure(stderr, "tail", err)
	}
	defer client.Close()
	if o.explain {
		o.query.Set("explain", "1")
	}
	screen := newTailScreen(stdout, o)
	err = client.Lines(ctx, "/tail?"+o.query.Encode(), func(line []byte) error { return o.show(screen, line, stdout, stderr) })
	if err != nil {
		return failure(stderr, "tail", err)
	}
	return exitOK
}

// dialDaemon connects to the daemon of a configuration.
func dialDaemon(ctx context.Context, config string) (*control.Client, error) {
	c, err := daemon.ReadControl(config)
	if err != nil {
		return nil, err
	}
	return control.Dial(ctx, c)
}

// show prints a line of the daemon.
func (o *tailOptions) show(screen *tailScreen, line []byte, stdout, stderr io.Writer) error {
	var e struct {
		tail.Event
		tail.Lost
		tail.Watching
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("the daemon sends %.80q, which is no message: %w; it may be of another version: systemctl restart signpost", line, err)
	}
	switch {
	case e.Watching.Watching:
		fmt.Fprintln(stderr, "signpost tail: connected; Ctrl-C ends")
		screen.head()
		return nil
	case o.json:
		_, err := fmt.Fprintf(stdout, "%s\n", asciiControls(line))
		return err
	case e.Lost.Lost > 0:
		_, err := fmt.Fprintf(stdout, "%s\n", screen.yellow(fmt.Sprintf("-- %s lost: this reader is too slow", display.Count(int(e.Lost.Lost), "message"))))
		return err
	}
	return screen.show(&e.Event)
}

// tailScreen writes messages as lines for people.
type tailScreen struct {
	palette
	to      io.Writer
	width   int // 0: lines are not cut
	explain bool
	json    bool
}

func newTailScreen(w io.Writer, o tailOptions) *tailScreen {
	s := &tailScreen{palette: emphasis(w), to: w, width: terminalWidth(w), explain: o.explain, json: o.json}
	if o.wide {
		s.width = 0
	}
	return s
}

// head writes the names of the columns on a terminal.
func (s *tailScreen) head() {
	if onTerminal(s.to) && !s.json {
		fmt.Fprintln(s.to, s.dim("TIME     DIR DECIS. QUEUE ID   FROM  SENDER>RECIPIENTS  RESULT  WHY"))
	}
}

func (s *tailScreen) show(e *tail.Event) error {
	if _, err := fmt.Fprintln(s.to, s.line(e)); err != nil || !s.explain {
		return err
	}
	return explanationOf(e).print(s.to)
}

// line is one message in one line.
func (s *tailScreen) line(e *tail.Event) string {
	direction := "in "
	if e.Direction == tail.Outbound {
		direction = "out"
	}
	decision := fmt.Sprintf("%-6s", printable(string(e.Disposition)))
	front := e.Time.Local().Format("15:04:05") + " " + direction + " "
	back := " " + strings.Join(words(fmt.Sprintf("%-10s", e.QueueID), fromWords(e), envelopeWords(e), resultWords(e), whyWords(e)), " ")
	back = strings.TrimRight(printable(back), " ")
	if used := len(front) + len(decision); s.width > used+3 && used+len([]rune(back)) > s.width {
		back = string([]rune(back)[:s.width-used-3]) + "..."
	}
	return front + s.decision(e, decision) + back
}

func words(all ...string) []string {
	var some []string
	for _, w := range all {
		if w != "" {
			some = append(some, w)
		}
	}
	return some
}

// decision colours the decision: green what was signed or passes, red what was refused.
func (s *tailScreen) decision(e *tail.Event, text string) string {
	switch {
	case e.Disposition == "reject":
		return s.red(text)
	case e.Disposition != "accept" || e.Would != "" || e.Unsigned:
		return s.yellow(text)
	case len(e.Signatures) > 0 || passes(e):
		return s.green(text)
	}
	return text
}

func passes(e *tail.Event) bool {
	for _, r := range e.Results {
		if r.Method == "dmarc" && r.Value == "pass" {
			return true
		}
	}
	return false
}

func fromWords(e *tail.Event) string {
	if len(e.FromDomains) == 0 {
		return "(no From domain)"
	}
	return strings.Join(e.FromDomains, ",")
}

func envelopeWords(e *tail.Event) string {
	sender := e.Sender
	if len(e.FromDomains) == 1 && sender == e.FromDomains[0] {
		sender = ""
	}
	to := "?"
	if len(e.To) > 0 {
		to = e.To[0]
	}
	if n := len(e.To) - 1; n > 0 {
		to = fmt.Sprintf("%s+%d", to, n)
	}
	return sender + ">" + to
}

// resultWords are the results by value, "spf,dmarc=fail dkim=none", or who signs.
func resultWords(e *tail.Event) string {
	if e.Direction == tail.Outbound {
		return signedWords(e)
	}
	var values []string
	methods := map[string][]string{}
	for _, r := range e.Results {
		known := methods[r.Value]
		if known == nil {
			values = append(values, r.Value)
		}
		if len(known) == 0 || known[len(known)-1] != r.Method {
			methods[r.Value] = append(known, r.Method)
		}
	}
	for i, v := range values {
		values[i] = strings.Join(methods[v], ",") + "=" + v
	}
	if len(values) == 0 {
		return "unjudged"
	}
	return strings.Join(values, " ")
}

func signedWords(e *tail.Event) string {
	if len(e.Signatures) == 0 {
		return "unsigned"
	}
	var selectors []string
	for _, one := range e.Signatures {
		selectors = append(selectors, one.Selector)
	}
	domain := e.Signatures[0].Domain
	if len(e.FromDomains) == 1 && domain == e.FromDomains[0] {
		domain = ""
	} else {
		domain = "d=" + domain + " "
	}
	return "signed " + domain + strings.Join(selectors, ",")
}

func whyWords(e *tail.Event) string {
	why := e.Why
	if e.Would != "" {
		why = "would " + e.Would + ": " + why
	}
	return why
}
