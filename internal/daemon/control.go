package daemon

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"signpost/internal/config"
	"signpost/internal/control"
)

// openControl opens the control socket. Mail does not depend on it: without one, the daemon
// says why, once, and goes on.
func (s *Service) openControl() {
	c := s.started.Control
	if c.Path() == "" {
		return
	}
	m := s.controlMux()
	s.openFeed(m)
	opened, err := control.Serve(c, m, s.log)
	if err != nil {
		s.feed = nil
		s.log.Warn("no control socket: signpost status cannot ask this daemon; mail is handled as ever", "problem", err.Error(),
			"remedy", `mend this and restart, or write control: {listen: ""}`)
		return
	}
	s.control = opened
	s.startFeed()
	s.log.Info("control", "address", opened.Addr().String())
	for _, note := range opened.Notes() {
		s.log.Info(note)
	}
}

// controlMux has all that the daemon answers to a command.
func (s *Service) controlMux() *control.Mux {
	m := control.NewMux()
	m.Answer("GET /ping", func(*http.Request) (any, error) { return Ping{Version: s.version, PID: os.Getpid()}, nil })
	m.Answer("GET /status", s.status)
	m.Answer("GET /ready", s.ready)
	return m
}

// noteSilence says where no MTA has connected for a while after the start, which may be as it
// should, or a wrong address.
func (s *Service) noteSilence() {
	var quiet []string
	for _, l := range s.listeners() {
		if l.Accepted == 0 {
			quiet = append(quiet, strings.TrimSpace(l.Address+" "+l.File))
		}
	}
	if len(quiet) > 0 {
		s.log.Info("no MTA has connected since the start", "listeners", strings.Join(quiet, "; "),
			"remedy", "if mail has passed: signpost doctor compares the address with the MTA's smtpd_milters (port, chroot, group of the socket)")
	}
}

// Ping is the answer to /ping.
type Ping struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
}

// ReadControl reads the section "control" for a command, also from a file with mistakes
// elsewhere, which a running daemon may have refused. path is as for Read. Where the user may not read
// the default file, it is the default section.
func ReadControl(path string) (control.Config, error) {
	explicit := path != ""
	if !explicit {
		path = DefaultPath
	}
	c := Defaults()
	src, err := config.Read(path, &c)
	switch {
	case err != nil && !explicit && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)):
		return control.Defaults(), nil
	case err != nil:
		return c.Control, &control.Error{Problem: err.Error(), Remedy: "name a file that this user may read, with --config FILE"}
	case explicit && !src.Has("") && src.Err() != nil:
		return c.Control, &control.Error{Problem: src.Err().Error(), Remedy: "mend the file: which control socket it names cannot be read"}
	}
	return c.Control, nil
}
