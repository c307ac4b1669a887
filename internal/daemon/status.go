package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"signpost/internal/config"
	"signpost/internal/dns"
	"signpost/internal/status"
	"signpost/keys/lifecycle"
)

const (
	// listedDomains and mostDomains are how many domains a report lists by itself, and on request.
	listedDomains, mostDomains = 20, 10_000
	// probeTime bounds the query by which a report learns whether a DNS server answers.
	probeTime = 3 * time.Second
)

// status answers with the report. domains=N in the request lists that many domains.
func (s *Service) status(r *http.Request) (any, error) {
	keep := listedDomains
	if n, err := strconv.Atoi(r.URL.Query().Get("domains")); err == nil {
		keep = min(max(n, 0), mostDomains)
	}
	report, err := s.report(r.Context(), keep)
	if err != nil {
		return nil, err
	}
	return report, nil
}

func (s *Service) report(ctx context.Context, domains int) (*status.Report, error) {
	current, reload := s.vitals.inForce()
	if current == nil {
		return nil, errNotRunning
	}
	r := &status.Report{
		Version: s.version, PID: os.Getpid(), Started: s.vitals.started, Now: time.Now(),
		Configuration: s.configuration(current), Reload: reload,
		Listeners: s.listeners(), Limits: s.limits(),
		Domains: s.domains(current.Generation, domains), Resolver: s.resolver(ctx, current),
		Errors: append([]status.LogLine{}, s.vitals.log.Lines()...),
	}
	r.Hour = s.vitals.counts.LastHour(r.Now)
	r.ReportsOut = s.reporting.status(ctx)
	r.Judge(s.vitals.counts.SinceStart(), s.unwritten(current)...)
	return r, nil
}

func (s *Service) configuration(g *inForce) status.Configuration {
	c := status.Configuration{
		Generation: g.number, Since: g.since, File: g.Path,
		Domains: len(g.Config.Signer.Domains), Keys: len(g.Store.Keys()), Mode: string(g.Config.Verifier.Mode),
		Backend: string(g.Config.Keys.Backend.Info().Backend), Warnings: g.warnings(), Restart: s.needRestart(g.Config),
	}
	c.OnDisk, c.Mistakes = s.vitals.onDisk(s.path, g.Config.sum)
	if c.File == "" && c.OnDisk != "" {
		c.File = DefaultPath
	}
	return c
}

// unwritten is about what cannot be written at present. Mail does not need it.
func (s *Service) unwritten(g *inForce) []status.Finding {
	var all []status.Finding
	add := func(what, problem, lost, remedy string) {
		if problem != "" {
			all = append(all, status.Finding{Severity: status.Warning, Subject: what, Finding: "cannot be written: " + problem + "; " + lost, Remedy: remedy})
		}
	}
	u, t := g.Tracker.Unsaved(), s.recorder.Trouble()
	add("keys.state", u.Problem, "a restart loses the state of the keys", u.Remedy)
	add("reports.database", strings.TrimPrefix(t.Problem, "reports.database "), "counters wait, and are lost if they become too many", t.Remedy)
	return all
}

// diskState remembers what was found about a text of the file, so that it is read as a
// configuration once.
type diskState struct {
	sum      string
	mistakes []string
}

// onDisk compares the configuration file with the one in force.
func (v *vitals) onDisk(path, running string) (state string, mistakes []string) {
	if path == "" {
		path = DefaultPath
	}
	sum, err := sumOf(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && running == "":
		return "", nil // there was none at the start either
	case errors.Is(err, fs.ErrNotExist):
		return status.Gone, nil
	case err != nil:
		return status.Unreadable, nil
	case sum == running:
		return status.Same, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.disk.sum != sum {
		v.disk = diskState{sum: sum}
		if _, _, err := Read(path); err != nil {
			v.disk.mistakes = strings.Split(err.Error(), "\n")
		}
	}
	if len(v.disk.mistakes) > 0 {
		return status.Mistaken, v.disk.mistakes
	}
	return status.Changed, nil
}

// sumOf is config.Source.Sum of a file.
func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, config.MaxFile+1)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (s *Service) listeners() []status.Listener {
	var all []status.Listener
	for _, l := range s.server.State().Listeners {
		one := status.Listener{Address: l.Address, Role: l.Role, Connections: l.Connections, Accepted: l.Accepted, Problem: l.Problem}
		if path, ok := strings.CutPrefix(l.Address, "unix:"); ok {
			one.File = describeFile(path)
		}
		all = append(all, one)
	}
	return all
}

// describeFile gives mode, owner and group of a file; "" where it is not there.
func describeFile(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	owner, group := strconv.Itoa(int(stat.Uid)), strconv.Itoa(int(stat.Gid))
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("%04o %s %s", info.Mode().Perm(), owner, group)
}

func (s *Service) limits() status.Limits {
	st := s.server.State()
	return status.Limits{
		Connections: st.Connections, MaxConnections: st.MaxConnections, SlotWaits: st.SlotWaits,
		HeaderMemory: st.HeaderMemory, MaxHeaderMemory: st.MaxHeaderMemory,
	}
}

// resolver has the counts of the DNS servers, and asks each of them now.
func (s *Service) resolver(ctx context.Context, g *inForce) status.Resolver {
	counts := g.lookups()
	r := status.Resolver{Source: "network", Servers: []status.Server{}, Lookups: counts.Lookups, CacheHits: counts.CacheHits, SlotWaits: counts.SlotWaits}
	if file := g.Config.DNS.ZoneFile; file != "" {
		r.Source = file
		return r
	}
	problems := probe(ctx, g.Spec.Servers, probeName(g.Generation))
	r.Servers = append(r.Servers, s.vitals.servers.LastHour(time.Now(), dns.Addresses(g.Resolver))...)
	for i := range r.Servers {
		r.Servers[i].Problem = problems[r.Servers[i].Address]
	}
	return r
}

// probeName is a name to ask the servers for: one of ours.
func probeName(g *Generation) string {
	for _, l := range g.Spec.Listed {
		if l.Domain != "*" {
			return l.RecordName()
		}
	}
	return "localhost" // RFC 6761 §6.3: every resolver answers
}

// probe asks every server for a name, and returns the problems by server.
func probe(ctx context.Context, servers []lifecycle.Server, name string) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var mu sync.Mutex
	problems := map[string]string{}
	var wg sync.WaitGroup
	for _, server := range servers {
		wg.Go(func() {
			done, err := server.Acquire(ctx)
			if err != nil {
				return // our own limit says nothing of the server
			}
			defer done()
			_, err = server.LookupTXT(ctx, name)
			var failed *dns.Error
			if err == nil || errors.As(err, &failed) && failed.Local() && ctx.Err() == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			problems[server.String()] = "asked just now for " + name + ": " + strings.TrimPrefix(reason(err), server.String()+": ")
		})
	}
	wg.Wait()
	return problems
}

// reason is the error of a look-up without the name.
func reason(err error) string {
	var failed *dns.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer"
	case errors.As(err, &failed):
		return failed.Unwrap().Error()
	}
	return err.Error()
}
