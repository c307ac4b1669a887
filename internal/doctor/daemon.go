package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/message"
	"signpost/keys"
	"signpost/keys/lifecycle"
	"signpost/milter"
	"signpost/signer"
)

// running is what the daemon tells at its control socket: the answer to /status, or to /ping of
// an older one.
type running struct {
	PID           int `json:"pid"`
	Configuration struct {
		Since    time.Time `json:"since"`
		File     string    `json:"file"`
		OnDisk   string    `json:"on_disk"`
		Mistakes []string  `json:"mistakes"`
		Restart  []string  `json:"needs_restart"`
	} `json:"configuration"`
	Listeners []struct {
		Address string `json:"address"`
		Problem string `json:"problem"`
	} `json:"listeners"`
	Limits struct {
		MaxConnections int `json:"max_connections"`
	} `json:"limits"`
	Hour struct {
		Inbound struct {
			Messages int `json:"messages"`
			Forged   int `json:"forged"`
		} `json:"inbound"`
	} `json:"last_hour"`
}

// knock says whether something listens at an address.
type knock int

const (
	answers knock = iota
	silent        // nothing listens there
	unknown       // this process may not connect, or the host has to be reached otherwise
)

// knockAt connects to an address and closes the connection.
func knockAt(ctx context.Context, network, addr string) (knock, error) {
	ctx, cancel := context.WithTimeout(ctx, patience.daemon)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	switch {
	case err == nil:
		conn.Close()
		return answers, nil
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return silent, err
	}
	return unknown, err
}

// reachable is the address to connect to for one to listen at.
func reachable(a milter.Address) string {
	host, port, err := net.SplitHostPort(a.Addr)
	if a.Network == "unix" || err != nil {
		return a.Addr
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// lookAtDaemon checks that the daemon runs as configured.
func lookAtDaemon(ctx context.Context, h *Host) {
	open, closed := h.knockAtListeners(ctx)
	path := h.Config.Control.Path()
	if path == "" {
		h.absent("the running daemon", "control.listen is empty, so that its configuration, limits and counters cannot be asked for")
		h.lookAtListeners(ctx, open, closed, false)
		return
	}
	switch at, err := knockAt(ctx, "unix", path); {
	case at == answers:
		if r, ok := h.lookAtRunning(ctx); ok {
			closed = slices.DeleteFunc(closed, r.lacks) // new ones: the configuration is not in force
		}
		h.lookAtListeners(ctx, open, closed, true)
	case at == silent && len(open) == 0:
		h.daemonDown(fmt.Sprintf("nothing listens at the control socket %s%s", path, alsoAt(closed)))
	case at == silent:
		h.unseen("the running daemon", fmt.Sprintf("something answers at %s, and nothing at the control socket %s: restart the daemon, or see its log", open[0].Address, path))
		h.lookAtListeners(ctx, open, closed, false)
	default:
		h.unseen("the running daemon", fmt.Sprintf("the control socket %s: %v; run this as root or as a member of its group", path, bare(err)))
		h.lookAtListeners(ctx, open, closed, len(open) > 0)
	}
}

// bare is a network error without the addresses, which stand before it.
func bare(err error) error {
	var system syscall.Errno
	if errors.As(err, &system) {
		return system
	}
	return err
}

func alsoAt(closed []milter.Listen) string {
	var names []string
	for _, l := range closed {
		names = append(names, l.Address.String())
	}
	if len(names) == 0 {
		return ""
	}
	return " or at " + strings.Join(names, ", ")
}

// knockAtListeners sorts the milter's addresses by whether something listens there. One that
// cannot be tried is in neither list.
func (h *Host) knockAtListeners(ctx context.Context) (open, closed []milter.Listen) {
	for _, l := range h.Config.Milter.Listen {
		switch at, err := knockAt(ctx, l.Address.Network, reachable(l.Address)); at {
		case answers:
			open = append(open, l)
		case silent:
			closed = append(closed, l)
		case unknown:
			h.unseen("the listener "+l.Address.String(), bare(err).Error())
		}
	}
	return open, closed
}

func (h *Host) daemonDown(text string) {
	remedy := do("Start it, and see why it ended:", []string{"systemctl", "restart", "signpost"}, []string{"systemctl", "--no-pager", "status", "signpost"})
	if h.ConfigPath != "" && h.ConfigPath != defaultConfigPath {
		remedy = Remedy{Text: "Start it:", Lines: []string{command([]string{"signpost", "serve", "--config", h.ConfigPath})}}
	}
	if lifecycle.StateLocked(h.Config.Keys.State) {
		h.add(Finding{ID: "daemon.state-shared", Subject: h.Config.Keys.State,
			Finding:     fmt.Sprintf("a process that listens at none of our addresses has locked %s: the daemon of this configuration does not start, and %s", h.Config.Keys.State, text),
			Consequence: "mail is not signed and not judged; what the MTA does with it is milter_default_action",
			Remedy:      Remedy{Text: "See which process has it, and give each daemon a keys.state of its own, and start it:", Lines: []string{command([]string{"fuser", "-v", h.Config.Keys.State + ".lock"})}}})
		return
	}
	h.find("daemon.down", h.configName(), text, remedy)
}

// lookAtListeners reports listeners where nothing listens, and sends a probe through the others.
func (h *Host) lookAtListeners(ctx context.Context, open, closed []milter.Listen, up bool) {
	if len(open) == 0 && len(closed) > 0 && !up {
		h.daemonDown("nothing listens at" + strings.TrimPrefix(alsoAt(closed), " or at"))
		return
	}
	for _, l := range closed {
		h.find("daemon.probe-failed", l.Address.String(), fmt.Sprintf("the daemon runs, and nothing listens at %s, which milter.listen has", l.Address), h.restartRemedy())
	}
	for _, l := range open {
		h.probe(ctx, l)
	}
}

func (h *Host) restartRemedy() Remedy {
	return do("A new address in milter.listen needs a restart; the log says what else is wrong:", []string{"systemctl", "restart", "signpost"}, []string{"journalctl", "--no-pager", "-u", "signpost", "-n", "20"})
}

// lacks reports whether a listener is not one of the running daemon.
func (r running) lacks(l milter.Listen) bool {
	for _, has := range r.Listeners {
		if has.Address == l.Address.String() {
			return false
		}
	}
	return len(r.Listeners) > 0
}

// lookAtRunning judges what the daemon tells of itself.
func (h *Host) lookAtRunning(ctx context.Context) (r running, ok bool) {
	client, err := control.Dial(ctx, h.Config.Control)
	if err != nil {
		h.unseen("the running daemon", err.Error())
		return r, false
	}
	defer client.Close()
	if err := client.Get(ctx, "/status", &r); err != nil {
		if err := client.Get(ctx, "/ping", &r); err != nil {
			h.unseen("the running daemon", err.Error())
			return r, false
		}
		h.absent("the state of the running daemon", "it is of an older version, and tells only that it runs")
	}
	h.lookAtGeneration(r)
	h.lookAtDescriptors(ctx, r)
	h.lookAtForged(r)
	return r, true
}

// lookAtGeneration compares what runs with the file on disk.
func (h *Host) lookAtGeneration(r running) {
	c := r.Configuration
	reload := do("Check the file, and put it in force:", []string{"signpost", "check-config", h.configPath()}, []string{"systemctl", "reload", "signpost"})
	since := c.Since.UTC().Format("2006-01-02 15:04 MST")
	switch c.OnDisk {
	case "changed":
		h.find("daemon.stale-config", c.File, fmt.Sprintf("%s has changed since the daemon read it (%s)", c.File, since), reload)
	case "mistakes":
		h.add(Finding{ID: "daemon.stale-config", Severity: High, Subject: c.File, Finding: fmt.Sprintf("%s has changed since the daemon read it (%s), and has mistakes: %s", c.File, since, strings.Join(c.Mistakes, "; ")),
			Consequence: "the daemon runs with the configuration before it, and would not start with this one", Remedy: reload})
	case "gone", "unreadable":
		h.add(Finding{ID: "daemon.stale-config", Severity: High, Subject: c.File, Finding: fmt.Sprintf("the daemon cannot read %s any more: %s", c.File, c.OnDisk),
			Consequence: "the daemon goes on with what it has read, and would not start again", Remedy: reload})
	}
	if len(c.Restart) > 0 {
		h.find("daemon.stale-config", c.File, "these sections have changed since the start: "+strings.Join(c.Restart, ", "),
			do("They are read at the start only:", []string{"systemctl", "restart", "signpost"}))
	}
}

// whileItRuns asks the daemon about a configuration that cannot be read because of why. Where it runs with an
// older one, that is a finding, else why is the error.
func whileItRuns(ctx context.Context, o Options, why error) (Report, error) {
	c, err := daemon.ReadControl(o.Config)
	if err != nil {
		return Report{}, why
	}
	ctx, cancel := context.WithTimeout(ctx, patience.daemon)
	defer cancel()
	client, err := control.Dial(ctx, c)
	if err != nil {
		return Report{}, why
	}
	defer client.Close()
	var r running
	h := emptyHost(o)
	h.ConfigPath = o.Config
	if client.Get(ctx, "/status", &r) == nil && slices.Contains([]string{"mistakes", "gone", "unreadable"}, r.Configuration.OnDisk) {
		h.lookAtGeneration(r)
	}
	if len(h.report.Findings) == 0 {
		return Report{}, why
	}
	h.unseen("all else", "the configuration has mistakes")
	return h.report, nil
}

// lookAtDescriptors compares the daemon's limit of open files with the MTA's processes.
func (h *Host) lookAtDescriptors(ctx context.Context, r running) {
	limit, ok := openFiles(r.PID)
	if !ok {
		return
	}
	needed := 2 * min(h.smtpProcesses(ctx), h.Config.Milter.MaxConnections) // beyond that, they wait: postfix.process-limit
	used, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.PID))
	text := ""
	switch {
	case len(used) > limit*4/5:
		text = fmt.Sprintf("the daemon has %d of %d files and connections open", len(used), limit)
	case needed > limit:
		text = fmt.Sprintf("the daemon may open %d files and connections; the MTA's processes may open %d connections", limit, needed)
	default:
		return
	}
	h.find("daemon.descriptors", "process "+strconv.Itoa(r.PID), text, Remedy{Text: "Run systemctl edit signpost, write these lines, and restart it:",
		Lines: []string{"[Service]", fmt.Sprintf("LimitNOFILE=%d", max(4096, 4*needed))}})
}

// smtpProcesses is how many processes of Postfix may have a connection to a milter.
func (h *Host) smtpProcesses(ctx context.Context) int {
	n := 0
	if m := h.readMTA(ctx); m != nil {
		for _, s := range m.Services {
			if s.Command == "smtpd" || s.Command == "cleanup" {
				n += s.MaxProcesses
			}
		}
	}
	return n
}

// openFiles is the limit of open files of a process of this host.
func openFiles(pid int) (int, bool) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "Max open files"); ok {
			words := strings.Fields(rest)
			n, err := strconv.Atoi(words[0])
			return n, err == nil
		}
	}
	return 0, false
}

// lookAtForged finds hosts whose results carry our name: some forged ones are normal, many come
// from a host of one's own.
func (h *Host) lookAtForged(r running) {
	const least = 10
	if in := r.Hour.Inbound; in.Forged >= least && in.Forged*5 >= in.Messages {
		h.find("authserv.foreign-claims", h.authservID(), fmt.Sprintf("of %d messages of the last hour, results in the name %s were removed %d times", in.Messages, h.authservID(), in.Forged),
			Remedy{Text: "If a relay of yours writes them, give it a name of its own, or list its address; in " + h.configName() + ":", Lines: []string{"verifier: {trusted: {networks: [ADDRESS/32]}}"}})
	}
}

// authservID is the name of our results in sentences.
func (h *Host) authservID() string {
	if id := h.Config.Verifier.AuthservID; id != "" {
		return id
	}
	return "the MTA's host name"
}

// Probe is a message to send through a listener, and what to expect.
type Probe struct {
	Address string
	// IP, Login and Daemon are the client's address, login and the MTA's listener; From is the
	// sender and the author.
	IP, Login, Daemon, From string
}

// ProbeResult is what a listener answered to a Probe.
type ProbeResult struct {
	Verdict, Reply string
	// Inserted are the names of the fields that it would insert.
	Inserted []string
}

// probe sends a message through a listener, if the caller gave a way to do so.
func (h *Host) probe(ctx context.Context, l milter.Listen) {
	if h.Send == nil {
		return
	}
	if p, ok := h.ourProbe(l); ok {
		h.expect(ctx, l, p, "DKIM-Signature", "a message of ours, from "+p.From)
	}
	if p, ok := h.strangersProbe(l); ok {
		h.expect(ctx, l, p, "Authentication-Results", "a message of a stranger")
	}
}

// strangersIP is an address that no host has (RFC 5737).
const strangersIP = "192.0.2.1"

// strangersProbe is a message that this listener has to judge; ok is false if that is not
// certain.
func (h *Host) strangersProbe(l milter.Listen) (p Probe, ok bool) {
	p = Probe{Address: l.Address.String(), IP: strangersIP, Daemon: "signpost-doctor", From: "doctor@probe.invalid"}
	known := slices.ContainsFunc(slices.Concat(h.Config.Signer.Outbound.Networks, h.Config.Verifier.Trusted.Networks), func(n netip.Prefix) bool {
		return n.Contains(netip.MustParseAddr(strangersIP))
	})
	return p, !known && roleIs(l, message.RoleVerify)
}

// roleIs reports whether a listener has a role or all of them.
func roleIs(l milter.Listen, role message.Role) bool {
	return l.Role == role || l.Role == message.RoleAuto || l.Role == ""
}

// ourProbe is a message that this listener has to sign; ok is false if that is not certain.
func (h *Host) ourProbe(l milter.Listen) (p Probe, ok bool) {
	p = Probe{Address: l.Address.String(), IP: strangersIP, Daemon: "signpost-doctor"}
	ours := h.Config.Signer.Outbound
	switch {
	case !roleIs(l, message.RoleSign) || h.Config.Signer.Senders.Mode != signer.SendersOff:
		return p, false
	case ours.Authenticated:
		p.Login = "signpost-doctor"
	case len(ours.DaemonNames) > 0:
		p.Daemon = ours.DaemonNames[0]
	case l.Role != message.RoleSign:
		return p, false
	}
	for _, k := range h.Keys {
		if k.Listed && k.Ref.Domain != keys.AnyDomain && k.Fact.State == lifecycle.Active && h.looksAt(k.Ref.Domain) {
			p.From = "postmaster@" + k.Ref.Domain
			return p, true
		}
	}
	return p, false
}

// expect sends a probe and reports an answer without the field that should be there.
func (h *Host) expect(ctx context.Context, l milter.Listen, p Probe, field, what string) {
	r, err := h.Send(ctx, p)
	text := ""
	switch {
	case err != nil:
		text = fmt.Sprintf("%s: %v", what, err)
	case r.Verdict == "tempfail":
		text = fmt.Sprintf("%s gets %s", what, r.Reply)
	case r.Verdict == "accept" && !hasField(r.Inserted, field):
		text = fmt.Sprintf("%s gets no %s", what, field)
	default:
		return
	}
	h.find("daemon.probe-failed", l.Address.String(), fmt.Sprintf("a probe through %s: %s", l.Address, text),
		Remedy{Text: "See which rule decides:", Lines: []string{h.explainCommand(p)}})
}

func hasField(names []string, want string) bool {
	for _, n := range names {
		if strings.EqualFold(n, want) {
			return true
		}
	}
	return false
}

// explainCommand shows the rules for a probe; FILE is any message.
func (h *Host) explainCommand(p Probe) string {
	words := []string{"explain", "FILE", "--ip", p.IP, "--from", p.From}
	if p.Login != "" {
		words = append(words, "--login", p.Login)
	}
	return h.signpost(words...)
}
