package daemon

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"signpost/keys/lifecycle"
)

func TestTwoDaemonsDoNotShareAStateFile(t *testing.T) {
	h := newHouse(t)
	h.replace(`["unix:`+h.dir+`/m.sock"]`, "[inet:127.0.0.1:0]")
	start := func() (*Service, *bytes.Buffer, error) {
		g, err := LoadForStart(h.config, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		log := &bytes.Buffer{}
		s, err := New(g, h.config, "", slog.New(slog.NewTextHandler(log, nil)))
		return s, log, err
	}
	first, log, err := start()
	if err != nil {
		t.Fatal(err)
	}
	defer first.watchKeys()()
	if _, _, err := start(); err == nil || !strings.Contains(err.Error(), "each daemon needs a keys.state of its own") {
		t.Errorf("a second daemon on the same state: %v", err)
	}
	if _, _, err := ReadWhole(h.config); err != nil { // takes no lock
		t.Error(err)
	}
	good := h.read(h.config)
	h.write(h.config, strings.Replace(good, "state/keys.json", "state/second.json", 1))
	second, _, err := start()
	if err != nil {
		t.Fatalf("a second daemon with a state of its own: %v", err)
	}
	log.Reset()
	first.reload() // to the state of the second
	if !strings.Contains(log.String(), "reload refused") || first.current.Config.Keys.State != h.dir+"/state/keys.json" {
		t.Errorf("a reload to another daemon's state:\n%s", log)
	}
	second.lock.Close()
	first.reload()
	if first.current.Config.Keys.State != h.dir+"/state/second.json" || lifecycle.StateLocked(h.dir+"/state/keys.json") || !lifecycle.StateLocked(h.dir+"/state/second.json") {
		t.Errorf("after a reload to a free state:\n%s", log)
	}
	first.reload() // keeps the lock that it has
	if !lifecycle.StateLocked(h.dir + "/state/second.json") {
		t.Error("a reload lost the lock")
	}
	first.lock.Close()
}
