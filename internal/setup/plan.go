package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/message"
	"signpost/keys"
	"signpost/milter"
)

// Options say what to set up, and where.
type Options struct {
	Domains []string
	// Root is a folder in place of "/" for all that is written; "" is "/".
	Root string
	// Config is the configuration file; "" is the default one below Root.
	Config string
	// Zone is a zone file in place of DNS, for a new configuration.
	Zone string
	// Listen is the address of a new milter; "" is port 8891 on loopback, or the next free one.
	Listen string
	// RSAOnly makes no Ed25519 key.
	RSAOnly bool
	// Postfix and Sendmail are the folders of their configuration; "" are the usual ones.
	Postfix, Sendmail string
	// Now is the time, for the names of selectors.
	Now time.Time
}

// Plan is what a host has and what it lacks. Look makes it; Make does what is missing.
type Plan struct {
	// Config is the configuration file. New says that it is to be written, and Text is
	// what it will contain.
	Config string `json:"config"`
	New    bool   `json:"config_is_new"`
	Text   string `json:"-"`
	Keys   []Key  `json:"keys"`
	// Unlisted are lines for a configuration that is there and does not list a domain.
	Unlisted []string `json:"config_lines_to_add,omitempty"`
	MTA      MTA      `json:"mta"`
	// Notes are what an administrator has to know, or to do first.
	Notes []string `json:"notes,omitempty"`

	options Options
	domains []string // in A-labels
	running daemon.Config
	listen  milter.Address

	asked   time.Time // when DNS was asked last, and what came out; see checkDNS
	answers Step
}

// Key is one key of a domain.
type Key struct {
	Domain    string         `json:"domain"`
	Selector  string         `json:"selector"`
	Algorithm keys.Algorithm `json:"algorithm"`
	Path      string         `json:"path"`
	// There says that the key is not new.
	There bool   `json:"exists"`
	Name  string `json:"record_name,omitempty"`
	Value string `json:"record_value,omitempty"`
	Zone  string `json:"zone_line,omitempty"`
}

// Look finds out what the host has. It changes nothing. An error says what to do.
func Look(ctx context.Context, o Options) (*Plan, error) {
	p := &Plan{options: o}
	if err := p.readDomains(); err != nil {
		return nil, err
	}
	if err := p.readConfig(); err != nil {
		return nil, err
	}
	if err := p.chooseListen(); err != nil {
		return nil, err
	}
	if err := p.findKeys(); err != nil {
		return nil, err
	}
	p.MTA = p.lookAtMTA(ctx)
	p.noteUser()
	if p.New {
		p.Text = p.configText()
	}
	return p, nil
}

func (p *Plan) readDomains() error {
	for _, name := range p.options.Domains {
		ascii, ok := message.DomainToASCII(name)
		if !ok || filepath.Base(ascii) != ascii || !hasDot(ascii) {
			return &control.Error{Problem: fmt.Sprintf("%q is not a domain", name), Remedy: "write one such as example.com"}
		}
		if !slices.Contains(p.domains, ascii) {
			p.domains = append(p.domains, ascii)
		}
	}
	return nil
}

func hasDot(name string) bool { return slices.Contains([]byte(name), '.') }

// below is a path in the root folder.
func (p *Plan) below(path string) string { return filepath.Join("/", p.options.Root, path) }

// readConfig reads the configuration that is there, or makes the one that will be.
func (p *Plan) readConfig() error {
	if p.options.Root != "" {
		root, err := filepath.Abs(p.options.Root)
		if err != nil {
			return err
		}
		p.options.Root = root
	}
	if p.Config = p.options.Config; p.Config == "" {
		p.Config = p.below(daemon.DefaultPath)
	}
	switch _, err := os.Stat(p.Config); {
	case errors.Is(err, fs.ErrNotExist):
		p.New = true
		p.running = daemon.Defaults()
		if p.options.Root != "" {
			p.moveBelow(&p.running)
		}
		p.running.DNS.ZoneFile = p.options.Zone
		return nil
	case err != nil:
		return p.unreadable(os.Geteuid(), err)
	}
	var err error
	if p.running, _, err = daemon.ReadWhole(p.Config); err != nil {
		return &control.Error{Problem: err.Error(), Remedy: "mend the configuration first; signpost check-config shows every mistake"}
	}
	return nil
}

// moveBelow puts the folders of a configuration below the root folder.
func (p *Plan) moveBelow(c *daemon.Config) {
	c.Keys.Dir, c.Keys.State = p.below(c.Keys.Dir), p.below(c.Keys.State)
	c.Control.Listen = "unix:" + p.below(c.Control.Path())
}

// ports are those that are tried for the milter.
const firstPort, lastPort = 8891, 8990

// chooseListen finds the address at which the milter listens, or will listen.
func (p *Plan) chooseListen() error {
	if !p.New {
		for _, l := range p.running.Milter.Listen {
			if l.Role == "" || l.Role == message.RoleAuto {
				p.listen = l.Address
				return nil
			}
		}
		if len(p.running.Milter.Listen) > 0 {
			p.listen = p.running.Milter.Listen[0].Address
		}
		return nil
	}
	if p.options.Listen != "" {
		a, err := milter.ParseAddress(p.options.Listen)
		if err != nil {
			return &control.Error{Problem: err.Error(), Remedy: "signpost init --help shows an example"}
		}
		p.listen = a
		return nil
	}
	for port := firstPort; port <= lastPort; port++ {
		address := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		l.Close()
		if port != firstPort {
			p.Notes = append(p.Notes, fmt.Sprintf("port %d is in use by another program: Signpost takes %d", firstPort, port))
		}
		p.listen, err = milter.ParseAddress("inet:" + address)
		return err
	}
	return &control.Error{Problem: fmt.Sprintf("every port from %d to %d on 127.0.0.1 is in use", firstPort, lastPort), Remedy: "choose an address with --listen"}
}

// noteUser says what is missing for the daemon's user.
func (p *Plan) noteUser() {
	if p.options.Root == "" && os.Geteuid() == 0 && !hasUser("signpost") {
		p.Notes = append(p.Notes, "there is no user signpost, as whom the daemon runs: systemd-sysusers && systemd-tmpfiles --create, then run this again")
	}
}

// Makes reports whether there is anything to make.
func (p *Plan) Makes() bool {
	return p.New || slices.ContainsFunc(p.Keys, func(k Key) bool { return !k.There })
}

// MayMake reports whether a user may write where the plan does: anybody below a folder or
// with a configuration of its own, and root.
func (p *Plan) MayMake(uid int) error {
	if uid == 0 || !p.Makes() || p.options.Root != "" || p.options.Config != "" {
		return nil
	}
	return p.rootNeeded("write")
}

// unreadable says why keys or configuration cannot be read. A user who is not root is told that
// alone: the rights are as they are meant to be.
func (p *Plan) unreadable(uid int, err error) error {
	if uid == 0 || p.options.Root != "" || p.options.Config != "" {
		return &control.Error{Problem: err.Error(), Remedy: "run it as root"}
	}
	return p.rootNeeded("read")
}

func (p *Plan) rootNeeded(verb string) error {
	return &control.Error{
		Problem: fmt.Sprintf("this user may not %s %s and %s, which are root's", verb, p.Config, p.running.Keys.Dir),
		Remedy:  "run it as root: sudo signpost init " + strings.Join(p.domains, " ") + "; for a trial, choose a folder with --root",
	}
}

// Make makes the keys and the configuration that are missing.
func (p *Plan) Make() error {
	for i := range p.Keys {
		if err := p.makeKey(&p.Keys[i]); err != nil {
			return err
		}
	}
	if !p.New {
		return nil
	}
	folders := []string{filepath.Dir(p.Config)}
	if p.options.Root != "" { // elsewhere the package, or the unit, makes them
		folders = append(folders, filepath.Dir(p.running.Control.Path()), filepath.Dir(p.running.Keys.State))
	}
	for _, folder := range folders {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return &control.Error{Problem: err.Error(), Remedy: "run it as root"}
		}
	}
	f, err := os.OpenFile(p.Config, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return &control.Error{Problem: err.Error(), Remedy: "run it as root"}
	}
	_, err = f.WriteString(p.Text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(p.Config) // half of a configuration would be in the way of the next run
		return err
	}
	p.running, _, err = daemon.ReadWhole(p.Config)
	return err
}
