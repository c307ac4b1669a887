package daemon

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/control"
)

func TestARunningDaemonAnswersAtItsControlSocket(t *testing.T) {
	h := newHouse(t)
	run(t, h, time.Minute, nil)
	c, err := ReadControl(h.config)
	if err != nil {
		t.Fatal(err)
	}
	client, err := control.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var p Ping
	if err := client.Get(t.Context(), "/ping", &p); err != nil || p.PID != os.Getpid() || p.Version != "test" {
		t.Errorf("%+v, %v", p, err)
	}
}

// Mail goes first: a socket that cannot be opened stops nothing, and is told once.
func TestADaemonGoesOnWithoutItsControlSocket(t *testing.T) {
	h := newHouse(t)
	other, err := net.Listen("unix", filepath.Join(h.dir, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for listen, want := range map[string]string{
		"unix:" + filepath.Join(h.dir, "control.sock"): "another process listens there",
		"unix:" + filepath.Join(h.dir, "no", "x.sock"): "does not exist",
	} {
		t.Run(want, func(t *testing.T) {
			var log bytes.Buffer
			g, err := LoadForStart(h.config, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			g.Config.Control.Listen = listen
			s, err := New(g, h.config, "test", slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			if text := log.String(); strings.Count(text, "no control socket") != 1 || !strings.Contains(text, want) || !strings.Contains(text, "remedy=") {
				t.Errorf("%s", text)
			}
			s.Start()
			r := running{Service: s}
			if got := r.connect(t).message("alice@example.com"); got != "e2025,s2025" {
				t.Errorf("signed with %q", got)
			}
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			s.Close()
		})
	}
}

func TestAListenerWithoutAConnectionIsNoted(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, nil)
	r.noteSilence()
	if line := r.log.await(t, "no MTA has connected"); !strings.Contains(line, "unix:"+h.dir+"/m.sock 0660 ") || !strings.Contains(line, "signpost doctor") {
		t.Error(line)
	}
	r.connect(t).message("alice@example.com")
	r.noteSilence()
	select {
	case line := <-r.log:
		if strings.Contains(line, "no MTA") {
			t.Error(line)
		}
	default:
	}
}

func TestTheSectionControlIsReadFromAFileWithMistakes(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, listen, problem string }{
		"mistakes elsewhere": {"control: {listen: unix:/run/x/c.sock}\nsigner: {nonsense: 1}\n", "unix:/run/x/c.sock", ""},
		"no section":         {"log: {level: debug}\n", control.Defaults().Listen, ""},
		"off":                {"control: {listen: \"\"}\n", "", ""},
		"no YAML":            {"control: [\n", "", "mend the file"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadControl(path)
		if (err == nil) != (c.problem == "") || err == nil && got.Listen != c.listen || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := ReadControl(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there is no error")
	}
}
