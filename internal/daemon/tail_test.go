package daemon

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"runtime"
	"signpost/milter"
	"strings"
	"syscall"
	"testing"
	"time"

	"signpost/internal/control"
	"signpost/internal/message"
	"signpost/internal/tail"
)

// reading is a client of /tail whose lines a test waits for.
func reading(t *testing.T, r *running, query string) <-chan map[string]any {
	t.Helper()
	client, err := control.Dial(t.Context(), r.started.Control)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan map[string]any, 100)
	go func() {
		_ = client.Lines(t.Context(), "/tail?"+query, func(line []byte) error {
			var e map[string]any
			if err := json.Unmarshal(line, &e); err != nil {
				t.Error(err)
			}
			got <- e
			return nil
		})
	}()
	if e := next(t, got); e["watching"] != true {
		t.Fatalf("the first line is %v", e)
	}
	return got
}

func next(t *testing.T, got <-chan map[string]any) map[string]any {
	t.Helper()
	select {
	case e := <-got:
		return e
	case <-time.After(time.Minute):
		t.Fatal("no message comes")
	}
	return nil
}

func TestMessagesAreSeenAsTheyPassAndExplainedLater(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, nil)
	all, curious := reading(t, r, ""), reading(t, r, "explain=1&domain=example.com")
	c := r.connect(t)
	c.message("alice@example.com")
	c.message("carol@strange.example")
	for i, want := range []string{"example.com", "strange.example"} {
		e := next(t, all)
		if from := e["from_domains"].([]any); len(from) != 1 || from[0] != want || e["direction"] != "outbound" || e["steps"] != nil {
			t.Errorf("message %d is %v", i, e)
		}
	}
	e := next(t, curious)
	if steps, _ := e["steps"].([]any); len(steps) < 5 || !strings.Contains(steps[0].(map[string]any)["rule"].(string), "role") {
		t.Errorf("the rules are %v", e["steps"])
	}
	h.replace("selectors: [s2025, e2025]", "selectors: [e2025]")
	r.reload <- syscall.SIGHUP
	r.log.await(t, "reloaded")
	c.message("alice@example.com")
	if e := next(t, curious); e["steps"] == nil || len(e["signatures"].([]any)) != 1 {
		t.Errorf("after a reload: %v", e)
	}
	var kept Messages
	client, err := control.Dial(t.Context(), r.started.Control)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Get(t.Context(), "/messages?last=2", &kept); err != nil || len(kept.Messages) != 2 || !kept.Messages[0].Unsigned || kept.Messages[1].Signatures == nil {
		t.Errorf("kept are %+v, %v", kept, err)
	}
	text, _ := json.Marshal(kept)
	for _, local := range []string{"alice", "carol", "bob"} {
		if strings.Contains(string(text), local) {
			t.Errorf("the local part %s is kept: %s", local, text)
		}
	}
	for query, want := range map[string]string{"/tail?result=strange": "none: write one such as", "/messages?last=0": "not a number from 1", "/messages": "not a number from 1"} {
		if err := client.Get(t.Context(), query, new(any)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestReadersThatGoAwayAreForgotten(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, nil)
	client, err := control.Dial(t.Context(), r.started.Control)
	if err != nil {
		t.Fatal(err)
	}
	errEnough := &control.Error{Problem: "enough"}
	if err := client.Lines(t.Context(), "/tail?explain=1", func([]byte) error { return errEnough }); err != errEnough {
		t.Fatal(err)
	}
	client.Close()
	for r.feed.Explains() {
		runtime.Gosched()
	}
	r.connect(t).message("alice@example.com")
}

func TestNothingIsKeptWhereTheConfigurationSaysSo(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, func(c *Config) { c.Control.Recent = 0 })
	client, err := control.Dial(t.Context(), r.started.Control)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Get(t.Context(), "/messages?last=1", new(any)); err == nil || !strings.Contains(err.Error(), "control.recent is 0") {
		t.Errorf("%v", err)
	}
	g, err := Load(newHouse(t).config, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.Config.Control.Listen = ""
	s, err := New(g, "", "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.lock.Close()
	if all, _ := s.processors.observer.(observers); s.feed != nil || len(all) != 2 || all[0] != milter.Observer(&s.vitals) || all[1] != milter.Observer(s.recorder) {
		t.Error("without a control socket there is a feed")
	}
	s.recorder.Close()
	_ = s.server.Shutdown(t.Context())
}

// What the handlers cost while no reader wants rules, beside the signer's own.
func TestWithoutAReaderNoRuleIsRecorded(t *testing.T) {
	g, err := Load(setUp(t), time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	feed := tail.New(10, false)
	h := (&Service{feed: feed}).handlers(g)
	env := message.Envelope{ClientAddr: netip.MustParseAddr("127.0.0.1"), Role: message.RoleSign}
	plainly := g.Handlers()
	plain := testing.AllocsPerRun(100, func() { plainly.Signer.Sign(t.Context(), env) })
	if watched := testing.AllocsPerRun(100, func() { h.Signer.Sign(t.Context(), env) }); watched > plain {
		t.Errorf("%v allocations, %v without a feed", watched, plain)
	}
	header := message.Header{{Name: "From", Value: " a@example.com"}}
	if out := decide(h.Signer.Sign(t.Context(), env), env, header, "x\r\n"); out.Trace != nil {
		t.Error("rules are recorded without a reader")
	}
	reader := feed.Subscribe(tail.Filter{}, true)
	defer reader.Close()
	if out := decide(h.Signer.Sign(t.Context(), env), env, header, "x\r\n"); out.Trace == nil || len(out.Trace.Steps) < 4 {
		t.Errorf("with a reader: %+v", out.Trace)
	}
}
