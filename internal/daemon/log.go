package daemon

import (
	"io"
	"log/slog"
	"strings"
)

// LogConfig is the section `log`: one line a message, on standard error.
type LogConfig struct {
	Format string `yaml:"format"` // text | json
	Level  string `yaml:"level"`  // debug | info | warn | error
}

func (l LogConfig) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // validated: one of the four names
	opts := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// logStart logs the addresses and the configuration in force.
func (s *Service) logStart() {
	var listening []string
	for _, a := range s.server.Addrs() {
		listening = append(listening, a.Network()+":"+a.String())
	}
	s.log.Info("signpost is ready", "version", s.version, "listen", strings.Join(listening, " "))
	s.logGeneration("configuration in force")
}

// logGeneration logs the generation in force, with its lost keys and its warnings.
func (s *Service) logGeneration(what string) {
	g := s.current
	from := g.Path
	if from == "" {
		from = "none"
	}
	s.log.Info(what, "file", from, "domains", len(g.Config.Signer.Domains), "keys", len(g.Store.Keys()),
		"mode", string(g.Config.Verifier.Mode), "signing_backend", g.Config.Keys.Backend.Info().String())
	for _, loss := range g.Store.Losses() {
		s.log.Error("a listed key cannot be used, and its entry cannot sign with it; signer.on_error decides where no other key signs", "problem", loss)
	}
	for _, w := range g.Warnings() {
		s.log.Warn(w)
	}
}
