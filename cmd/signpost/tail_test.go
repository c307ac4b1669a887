package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode"

	"signpost/internal/daemon"
	"signpost/internal/message"
	"signpost/internal/tail"
)

// passed is a message as the daemon tells of it.
func passed(change func(*tail.Event)) *tail.Event {
	e := &tail.Event{
		Time: time.Date(2026, 11, 30, 9, 44, 44, 0, time.Local), Direction: tail.Inbound, QueueID: "4dKx5T2Lz9", Client: "203.0.113.66",
		FromDomains: []string{"example.com"}, Sender: "example.com", To: []string{"dest.example"}, Recipients: 1,
		Results:     []tail.Result{{Method: "spf", Value: "pass"}, {Method: "dkim", Value: "pass"}, {Method: "dmarc", Value: "pass"}},
		Disposition: message.Accept,
	}
	if change != nil {
		change(e)
	}
	return e
}

func TestTheLineOfAMessage(t *testing.T) {
	outbound := func(e *tail.Event) {
		e.Direction, e.Results = tail.Outbound, nil
		e.Signatures = []tail.Signature{{Domain: "example.com", Selector: "s1"}, {Domain: "example.com", Selector: "e1"}}
	}
	for want, e := range map[string]*tail.Event{
		"09:44:44 in  accept 4dKx5T2Lz9 example.com >dest.example spf,dkim,dmarc=pass": passed(nil),
		"09:44:44 out accept 4dKx5T2Lz9 example.com >dest.example signed s1,e1":        passed(outbound),
		"09:44:44 out accept 4dKx5T2Lz9 example.com >dest.example signed d=x.example s1": passed(func(e *tail.Event) {
			outbound(e)
			e.Signatures = []tail.Signature{{Domain: "x.example", Selector: "s1"}}
		}),
		"09:44:44 out accept 4dKx5T2Lz9 example.com >dest.example unsigned no entry": passed(func(e *tail.Event) {
			outbound(e)
			e.Signatures, e.Unsigned, e.Why = nil, true, "no entry"
		}),
		"09:44:44 in  reject 4dKx5T2Lz9 example.com bounce.example>dest.example+2 spf=softfail dkim=none dmarc=fail policy reject": passed(func(e *tail.Event) {
			e.Disposition, e.Why, e.Sender, e.To = message.Reject, "policy reject", "bounce.example", []string{"dest.example", "b.example", "c.example"}
			e.Results = []tail.Result{{Method: "spf", Value: "softfail"}, {Method: "dkim", Value: "none"}, {Method: "dmarc", Value: "fail"}}
		}),
		"09:44:44 in  accept 4dKx5T2Lz9 a.example,b.example <>>dest.example dkim=fail dkim,arc=pass would reject: rule": passed(func(e *tail.Event) {
			e.Would, e.Why, e.Sender, e.FromDomains = "reject", "rule", "<>", []string{"a.example", "b.example"}
			e.Results = []tail.Result{{Method: "dkim", Value: "fail"}, {Method: "dkim", Value: "fail"}, {Method: "dkim", Value: "pass"}, {Method: "arc", Value: "pass"}}
		}),
		"09:44:44 in  tempfail Q          (no From domain) >? unjudged header of more than 5 fields": passed(func(e *tail.Event) {
			e.Disposition, e.QueueID, e.FromDomains, e.To, e.Results, e.Sender, e.Why = message.Tempfail, "Q", nil, nil, nil, "", "header of more than 5 fields"
		}),
	} {
		var out bytes.Buffer
		s := newTailScreen(&out, tailOptions{})
		if got := s.line(e); got != want {
			t.Errorf("%s, want\n%s", got, want)
		}
	}
}

func TestALineIsCutAtTheWidthOfATerminal(t *testing.T) {
	e := passed(func(e *tail.Event) { e.Why = strings.Repeat("ü reason ", 40) })
	whole := len([]rune((&tailScreen{}).line(e)))
	for width, want := range map[int]int{0: whole, 80: 80, 120: 120, 20: whole} { // a terminal of 20 columns wraps
		s := &tailScreen{width: width}
		if got := len([]rune(s.line(e))); got != want {
			t.Errorf("at %d columns: %d", width, got)
		}
	}
	s := &tailScreen{palette: palette{on: true}, width: 80}
	plain := strings.NewReplacer("\x1b[32m", "", "\x1b[0m", "").Replace(s.line(e))
	if n := len([]rune(plain)); n != 80 {
		t.Errorf("in colour there are %d columns: %q", n, plain)
	}
}

// hostile is text that would do harm on a terminal.
const hostile = "\x1b]0;title\x07\x1b[2J\r\n\t\u009b31m\u202egpj.exe\x7f\xff"

func unsafe(text string) bool {
	return strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

func TestNoControlCharacterReachesTheTerminal(t *testing.T) {
	e := passed(func(e *tail.Event) {
		e.QueueID, e.Client, e.Helo, e.Sender, e.Why, e.Would, e.Ours, e.Reply, e.Rule = hostile, hostile, hostile, hostile, hostile, hostile, hostile, hostile, hostile
		e.FromDomains, e.To, e.Disposition = []string{hostile}, []string{hostile}, hostile
		e.Results = []tail.Result{{Method: hostile, Value: hostile, Domain: hostile, Selector: hostile}}
		e.Notes = []tail.Note{{Key: hostile, Value: hostile}}
		e.Steps = []message.Step{{Rule: hostile, Compared: hostile, Result: hostile}}
	})
	line, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []tailOptions{{}, {json: true}, {explain: true}} {
		var out bytes.Buffer
		if err := o.show(newTailScreen(&out, o), line, &out, &out); err != nil {
			t.Fatal(err)
		}
		if unsafe(out.String()) {
			t.Errorf("%+v: %q", o, out.String())
		}
	}
	var out bytes.Buffer
	printPast(&out, []tail.Event{*e})
	if unsafe(out.String()) || unsafe(title(e)) {
		t.Errorf("%q %q", out.String(), title(e))
	}
	var back struct {
		Messages []struct{ Message tail.Event }
	}
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Messages[0].Message.Helo != strings.ToValidUTF8(hostile, "\ufffd") {
		t.Errorf("%v, %v", err, back)
	}
}

func TestLostMessagesAreTold(t *testing.T) {
	for _, c := range []struct {
		o    tailOptions
		want string
	}{{tailOptions{}, "-- 3 messages lost: this reader is too slow\n"}, {tailOptions{json: true}, "{\"lost\":3}\n"}} {
		var out, notes bytes.Buffer
		if err := c.o.show(newTailScreen(&out, c.o), []byte(`{"lost":3}`), &out, &notes); err != nil || out.String() != c.want {
			t.Errorf("%q, %v", out.String(), err)
		}
		if err := c.o.show(newTailScreen(&out, c.o), []byte(`{"watching":true}`), &out, &notes); err != nil || out.String() != c.want || notes.Len() == 0 {
			t.Errorf("%q, %q, %v", out.String(), notes.String(), err)
		}
	}
	if err := (&tailOptions{}).show(newTailScreen(nil, tailOptions{}), []byte("no JSON"), nil, nil); err == nil {
		t.Error("a line that is no JSON is no error")
	}
}

func TestTailAndExplainLastRefuseWhatTheyCannotDo(t *testing.T) {
	for _, args := range []string{
		"tail --domain a_b@c", "tail --direction up", "tail --result strange", "tail --result spf=strange", "tail x", "tail --unsigned=maybe --nonsense",
		"explain --last 0", "explain --last x", "explain --last 1 --queue-id 2", "explain --last 1 file.eml", "explain --queue-id 4 --ip 192.0.2.1",
	} {
		r := execute(t, "", strings.Fields(args)...)
		if r.code != exitUsage || r.stderr == "" {
			t.Errorf("%s: exit %d, %q", args, r.code, r.stderr)
		}
	}
	config := writeFile(t, "c.yaml", "control: {listen: unix:"+t.TempDir()+"/none.sock}\n")
	for _, args := range []string{"tail", "explain --last 1", "explain --queue-id 4"} {
		r := execute(t, "", append(strings.Fields(args), "--config", config)...)
		if r.code != exitFailure || !strings.Contains(r.stderr, "there is no control socket") {
			t.Errorf("%s: exit %d, %q", args, r.code, r.stderr)
		}
	}
}

func TestAMessageIsExplainedAfterItIsGone(t *testing.T) {
	state := t.TempDir()
	config, err := prepareDemo(state, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := daemon.Load(config, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.Config.Control.Listen = "unix:" + state + "/control.sock"
	d, err := daemon.New(g, config, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	defer d.Close()
	defer d.Shutdown(t.Context())
	section := writeFile(t, "control.yaml", "control: {listen: "+g.Config.Control.Listen+"}\n")
	if r := execute(t, "", "explain", "--last", "3", "--config", section); r.code != exitFailure || !strings.Contains(r.stderr, "no message has passed") {
		t.Errorf("exit %d, %q", r.code, r.stderr)
	}
	if err := showThree(d, g, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	r := execute(t, "", "explain", "--queue-id", "DEMO3", "--config", section)
	for _, want := range []string{
		"DEMO3  arrived:\n    from example.com, envelope example.com>example.net, 1 recipient\n",
		"signer.ours\n      compared  client 203.0.113.66, HELO mail.example.com\n      result    not ours",
		"spf\n      compared  example.com\n      result    fail",
		"dmarc\n      compared  example.com\n      result    fail: neither",
		"result    reject (dmarc: policy reject of example.com, verifier.dmarc.on_reject)",
		"\ndisposition: reject\nreply: 550 5.7.",
	} {
		if r.code != exitOK || !strings.Contains(r.stdout, want) {
			t.Errorf("exit %d, %q is missing in\n%s%s", r.code, want, r.stdout, r.stderr)
		}
	}
	r = execute(t, "", "explain", "--last", "10", "--config", section, "--json")
	var all struct{ Messages []pastMessage }
	if err := json.Unmarshal([]byte(r.stdout), &all); err != nil || len(all.Messages) != 3 {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	first := all.Messages[0]
	if !first.Ours || len(first.Message.Signatures) != 2 || first.OursBecause != "logged in as ***" || first.Notes["entry"] != "signer.domains example.com" {
		t.Errorf("%+v", first)
	}
	if strings.Contains(r.stdout, "alice") || strings.Contains(r.stdout, "bob") {
		t.Error("a local part is kept:", r.stdout)
	}
}
