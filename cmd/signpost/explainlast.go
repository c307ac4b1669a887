package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/display"
	"signpost/internal/message"
	"signpost/internal/shell"
	"signpost/internal/tail"
)

// past is the question about messages that have passed.
type past struct {
	config  string
	last    int
	queueID string
	json    bool
}

// pastMessage is a message and its explanation, for --json.
type pastMessage struct {
	Message tail.Event `json:"message"`
	explanation
}

// explain shows what the running daemon knows of messages that have passed.
func (p past) explain(stdout, stderr io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client, err := dialDaemon(ctx, p.config)
	if err != nil {
		return failure(stderr, "explain", err)
	}
	defer client.Close()
	var answer daemon.Messages
	if err := client.Get(ctx, "/messages?"+p.query().Encode(), &answer); err != nil {
		return failure(stderr, "explain", err)
	}
	if len(answer.Messages) == 0 {
		return failure(stderr, "explain", p.none(answer.Keeps))
	}
	if p.json {
		return printPast(stdout, answer.Messages)
	}
	for i := range answer.Messages {
		e := &answer.Messages[i]
		fmt.Fprintf(stdout, "%s%s\n", map[bool]string{true: "\n"}[i > 0], title(e))
		_ = explanationOf(e).print(stdout)
	}
	return exitOK
}

func (p past) query() url.Values {
	if p.queueID != "" {
		return url.Values{"queue_id": {p.queueID}}
	}
	return url.Values{"last": {strconv.Itoa(p.last)}}
}

// none says why nothing is known.
func (p past) none(keeps int) error {
	if p.queueID == "" {
		return &control.Error{Problem: "no message has passed since the daemon started", Remedy: "send one, or watch with signpost tail"}
	}
	return &control.Error{
		Problem: fmt.Sprintf("nothing is known of a message with queue id %q", p.queueID),
		Remedy:  fmt.Sprintf("only the last %d messages since the daemon's start are kept (control.recent); look into the log: journalctl -u signpost | grep %s", keeps, shell.Quote(p.queueID)),
	}
}

func printPast(stdout io.Writer, messages []tail.Event) int {
	list := []pastMessage{}
	for _, m := range messages {
		e := explanationOf(&m)
		m.Notes, m.Steps = nil, nil
		list = append(list, pastMessage{m, *e})
	}
	return printJSON(stdout, map[string][]pastMessage{"messages": list})
}

// title says which message it is, in lines of a terminal's width.
func title(e *tail.Event) string {
	way := "arrived"
	if e.Direction == tail.Outbound {
		way = "left"
	}
	head := printable(fmt.Sprintf("%s  %s  %s:", e.Time.Local().Format(time.DateTime), e.QueueID, way))
	parties := printable(fmt.Sprintf("from %s, envelope %s, %s", fromWords(e), e.Sender+">"+strings.Join(e.To, ","), display.Count(e.Recipients, "recipient")))
	if len(head)+1+len(parties) <= helpWidth {
		return head + " " + parties
	}
	return head + "\n    " + strings.Join(wrapped(parties, helpWidth-4), "\n    ")
}

// explanationOf is the explanation of a message that has passed: with the rules of its
// decision where they were recorded, else with what its facts say.
func explanationOf(e *tail.Event) *explanation {
	x := &explanation{
		Ours: e.Direction == tail.Outbound, OursBecause: e.Ours, Steps: e.Steps, Disposition: string(e.Disposition), Reply: e.Reply,
		Would: e.Would, Notes: map[string]string{},
	}
	if x.Steps == nil {
		x.Steps = factSteps(e)
	}
	for _, n := range e.Notes {
		x.Notes[n.Key] = n.Value
		x.order = append(x.order, message.Note{Key: n.Key, Value: n.Value})
	}
	if e.Cut {
		x.order = append(x.order, message.Note{Key: "cut", Value: "some facts of this message are missing, since it had too many"})
	}
	return x
}

// factSteps are the decisions of a message as its facts tell them: whose it is, what each
// check found, and which rule decided.
func factSteps(e *tail.Event) []message.Step {
	client := "client " + e.Client
	if e.Helo != "" {
		client += ", HELO " + e.Helo
	}
	ours := "not ours"
	if e.Direction == tail.Outbound {
		ours = "ours"
	}
	steps := []message.Step{{Rule: "signer.ours", Compared: client, Result: ours + ": " + e.Ours}}
	reasons := map[string]string{}
	for _, n := range e.Notes {
		reasons[n.Key] = n.Value
	}
	for _, r := range e.Results {
		s := message.Step{Rule: r.Method, Compared: checkedDomain(r), Result: r.Value}
		if reason := reasons[r.Method+"_reason"]; reason != "" {
			s.Result += ": " + reason
			delete(reasons, r.Method+"_reason") // it stands for all signatures
		}
		steps = append(steps, s)
	}
	return append(steps, decidingStep(e))
}

// decidingStep is the rule that decided.
func decidingStep(e *tail.Event) message.Step {
	from := "From " + fromWords(e)
	if e.Direction == tail.Outbound {
		s := message.Step{Rule: "signer.domains", Compared: from, Result: e.Why}
		if len(e.Signatures) > 0 {
			s.Result = e.Rule + ": " + signedWords(e)
		}
		return s
	}
	result := string(e.Disposition)
	if e.Would != "" {
		result = "would be " + e.Would + " in enforce mode; now " + result
	}
	if why := e.Rule; why != "" {
		result += " (" + why + ")"
	} else if e.Why != "" {
		result += " (" + e.Why + ")"
	}
	return message.Step{Rule: "policy", Compared: from, Result: result}
}

// checkedDomain says what a check was about.
func checkedDomain(r tail.Result) string {
	switch {
	case r.Domain == "":
		return "the message"
	case r.Selector == "":
		return r.Domain
	}
	return r.Domain + " selector " + r.Selector
}
