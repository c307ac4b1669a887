package setup

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"signpost/internal/mta"
)

// MTA is the mail server of the host and what it lacks.
type MTA struct {
	// Name is "postfix", "sendmail" or "".
	Name string `json:"name"`
	// Dir is the folder of its configuration.
	Dir string `json:"dir,omitempty"`
	// Unreadable says that the configuration cannot be read; a note says why.
	Unreadable bool `json:"unreadable,omitempty"`
	// Commands change its configuration, and Then puts the change in force.
	Commands [][]string `json:"commands,omitempty"`
	Then     [][]string `json:"then,omitempty"`
	// Lines are for a file that no command changes, Sendmail's .mc.
	Lines []string `json:"lines,omitempty"`
	// Notes are what an administrator has to know, or to do.
	Notes []string `json:"notes,omitempty"`

	postfix *mta.Postfix
}

// lookAtMTA finds the MTA and what it lacks.
func (p *Plan) lookAtMTA(ctx context.Context) MTA {
	dir := p.options.Postfix
	if dir == "" && p.options.Sendmail == "" && mta.Program("postconf") != "" {
		dir = "/etc/postfix"
	}
	if dir != "" {
		read, err := mta.ReadPostfix(ctx, dir)
		if err == nil {
			m := MTA{Name: "postfix", Dir: read.Dir, postfix: read}
			m.plan(p)
			return m
		}
		if p.options.Postfix != "" {
			return MTA{Name: "postfix", Dir: dir, Unreadable: true, Notes: []string{fmt.Sprintf("its configuration cannot be read: %v", err)}}
		}
	}
	found := "no Postfix and no Sendmail is installed here: apt-get install postfix, then run this again"
	if dir != "" {
		found = "Postfix is installed and has no configuration in " + dir + ": dpkg-reconfigure postfix, then run this again"
	}
	sendmail := p.options.Sendmail
	if sendmail == "" {
		sendmail = "/etc/mail"
	}
	if _, err := os.Stat(filepath.Join(sendmail, "sendmail.cf")); err == nil {
		return p.sendmail(sendmail)
	}
	return MTA{Notes: []string{found + "; for an MTA elsewhere, have it connect to " + p.postfixAddress(nil) + " (milter.listen and milter.peers)"}}
}

// sendmail has the lines for sendmail.mc.
func (p *Plan) sendmail(dir string) MTA {
	m := MTA{Name: "sendmail", Dir: dir}
	text, err := os.ReadFile(filepath.Join(dir, "sendmail.cf"))
	if err == nil && strings.Contains(string(text), p.sendmailAddress()) {
		return m
	}
	m.Lines = []string{"INPUT_MAIL_FILTER(`signpost', `S=" + p.sendmailAddress() + ", F=T, T=C:30s;S:30s;R:60s;E:5m')dnl"}
	m.Then = [][]string{{"make", "-C", dir}, {"systemctl", "restart", "sendmail"}}
	m.Notes = []string{"put the line into " + filepath.Join(dir, "sendmail.mc") + ", before the MAILER lines; docs/sendmail.md explains it"}
	return m
}

// sendmailAddress is our listener as Sendmail writes it.
func (p *Plan) sendmailAddress() string {
	if p.listen.Network == "unix" {
		return "unix:" + p.listen.Addr
	}
	host, port, _ := net.SplitHostPort(p.listen.Addr)
	return "inet:" + port + "@" + reachableHost(host)
}

// reachableHost is a host at which a listener for all addresses is reached from here.
func reachableHost(host string) string {
	switch host {
	case "", "0.0.0.0":
		return "127.0.0.1"
	case "::":
		return "::1"
	}
	return host
}

// postfixAddress is our listener as Postfix writes it. A socket in the queue directory is
// relative to it, which is right in a chroot and outside.
func (p *Plan) postfixAddress(of *mta.Postfix) string {
	if p.listen.Network != "unix" {
		host, port, _ := net.SplitHostPort(p.listen.Addr)
		if host = reachableHost(host); strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return "inet:" + host + ":" + port
	}
	if of != nil {
		if below, err := filepath.Rel(of.Value("queue_directory"), p.listen.Addr); err == nil && !strings.HasPrefix(below, "..") {
			return "unix:" + below
		}
	}
	return "unix:" + p.listen.Addr
}

// plan finds what Postfix' configuration lacks.
func (m *MTA) plan(p *Plan) {
	ours := p.postfixAddress(m.postfix)
	m.set(p, "smtpd_milters", ours)
	if !refersToMilters(m.postfix.Raw("non_smtpd_milters")) {
		m.set(p, "non_smtpd_milters", ours)
	}
	for _, s := range m.postfix.Services {
		m.planService(p, s, ours)
	}
	if classes := mta.List(m.postfix.Value("internal_mail_filter_classes")); !slices.Contains(classes, "bounce") {
		m.command("-e", "internal_mail_filter_classes="+strings.Join(append(classes, "bounce"), ", "))
	}
	if action := m.postfix.Value("milter_default_action"); action == "accept" {
		m.Notes = append(m.Notes, "milter_default_action is accept: while Signpost does not answer, mail goes out unsigned; tempfail has it wait: postconf -e milter_default_action=tempfail")
	}
	m.noteChroot(p)
	m.noteOpenDKIM(p)
	if len(m.Commands) > 0 {
		m.Then = [][]string{{"postfix", "reload"}}
		if m.Dir != defaultPostfix {
			m.Then = [][]string{{"postfix", "-c", m.Dir, "reload"}}
		}
	}
}

const defaultPostfix = "/etc/postfix"

// command adds a command of postconf(1), once.
func (m *MTA) command(option, assignment string) {
	words := []string{"postconf"}
	if m.Dir != defaultPostfix {
		words = append(words, "-c", m.Dir)
	}
	words = append(words, option, assignment)
	if !slices.ContainsFunc(m.Commands, func(c []string) bool { return slices.Equal(c, words) }) {
		m.Commands = append(m.Commands, words)
	}
}

// refersToMilters reports whether a value takes over smtpd_milters.
func refersToMilters(raw string) bool {
	return strings.Contains(raw, "$smtpd_milters") || strings.Contains(raw, "${smtpd_milters}") || strings.Contains(raw, "$(smtpd_milters)")
}

// set adds our address to a list of main.cf that lacks it. What is there stays: behind other
// milters, Signpost signs what they have changed.
func (m *MTA) set(p *Plan, name, ours string) {
	if p.listsUs(mta.View{Root: "/", Dir: m.postfix.Value("queue_directory")}, m.postfix.Value(name)) {
		return
	}
	m.command("-e", name+"="+appended(m.postfix.Raw(name), ours))
}

func appended(list, item string) string {
	if list = strings.TrimSpace(list); list == "" {
		return item
	}
	return list + ", " + item
}

// planService looks at a service with a list of its own.
func (m *MTA) planService(p *Plan, s mta.Service, ours string) {
	for _, name := range []string{"smtpd_milters", "non_smtpd_milters"} {
		raw, own := s.Overridden(name)
		if !own || (s.Command != "smtpd" && s.Command != "cleanup") {
			continue
		}
		value := m.postfix.For(s, name)
		switch {
		case p.listsUs(m.postfix.View(s), value) || refersToMilters(raw):
		case value != "":
			m.command("-P", s.Key()+"/"+name+"="+appended(raw, ours))
		case slices.Contains([]string{"submission", "submissions", "smtps", "587", "465"}, s.Port()):
			m.Notes = append(m.Notes, fmt.Sprintf("the service %s has -o %s= and asks no milter: mail of your users that comes in there leaves unsigned; take the line out of master.cf", s.Key(), name))
		}
	}
}

// listsUs reports whether a list of milters has our listener.
func (p *Plan) listsUs(view mta.View, list string) bool {
	return slices.ContainsFunc(mta.ParseMilters(list), func(m mta.Milter) bool { return p.isUs(view, m) })
}

func (p *Plan) isUs(view mta.View, m mta.Milter) bool {
	if (m.Network == "unix") != (p.listen.Network == "unix") || m.Network == "" {
		return false
	}
	if m.Network == "unix" {
		return seenFrom(view, m.Address) == filepath.Clean(p.listen.Addr)
	}
	host, port, err := net.SplitHostPort(p.listen.Addr)
	theirHost, theirPort, theirErr := net.SplitHostPort(m.Address)
	if err != nil || theirErr != nil || port != theirPort {
		return false
	}
	return reachableHost(host) == theirHost || (theirHost == "localhost" && slices.Contains([]string{"127.0.0.1", "::1"}, reachableHost(host)))
}

// seenFrom is the path that a process means, as it is outside of its chroot.
func seenFrom(view mta.View, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Join(view.Root, path)
	}
	return filepath.Join(view.Dir, path)
}

// noteChroot says what a unix socket needs.
func (m *MTA) noteChroot(p *Plan) {
	if p.listen.Network != "unix" {
		return
	}
	queue, folder := m.postfix.Value("queue_directory"), filepath.Dir(p.listen.Addr)
	if strings.HasPrefix(p.postfixAddress(m.postfix), "unix:/") {
		if i := slices.IndexFunc(m.postfix.Services, func(s mta.Service) bool { return s.Chroot && (s.Command == "smtpd" || s.Command == "cleanup") }); i >= 0 {
			m.Notes = append(m.Notes, fmt.Sprintf("%s runs in the chroot %s and sees no socket outside of it: take --listen unix:%s/signpost/milter.sock, or inet:127.0.0.1:8891", m.postfix.Services[i].Command, queue, queue))
		}
	}
	if _, err := os.Stat(folder); err != nil {
		m.Notes = append(m.Notes, fmt.Sprintf("the folder of the socket has to be Signpost's, with the MTA's group: install -d -o signpost -g postfix -m 2750 %s", folder))
	}
}

// noteOpenDKIM says what to do about a second signer.
func (m *MTA) noteOpenDKIM(p *Plan) {
	socket := opendkimSocket(p.below("/etc/opendkim.conf"))
	for _, name := range []string{"smtpd_milters", "non_smtpd_milters"} {
		for _, other := range mta.ParseMilters(m.postfix.Value(name)) {
			if strings.Contains(other.Text, "opendkim") || (socket != "" && sameSocket(other, socket)) {
				m.Notes = append(m.Notes, fmt.Sprintf("opendkim is connected (%s in %s) and signs too. To take over its keys and tables, stop here and type signpost keys import /etc/opendkim.conf; or else, when DNS has the records below, take it out of smtpd_milters and non_smtpd_milters", other.Text, name))
				return
			}
		}
	}
}

// opendkimSocket is where opendkim listens, or "".
func opendkimSocket(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && strings.EqualFold(words[0], "Socket") {
			return words[1]
		}
	}
	return ""
}

// sameSocket compares a milter of Postfix with a socket as libmilter writes it, by its port
// or its path.
func sameSocket(m mta.Milter, socket string) bool {
	kind, rest, _ := strings.Cut(socket, ":")
	if kind == "inet" || kind == "inet6" {
		port, _, _ := strings.Cut(rest, "@")
		return m.Network == "tcp" && strings.HasSuffix(m.Address, ":"+port)
	}
	return m.Network == "unix" && strings.HasSuffix(rest, strings.TrimPrefix(m.Address, "/"))
}

// notConnected says why the MTA does not reach us, as far as its configuration and the file
// system tell; "" if it does.
func (p *Plan) notConnected(ctx context.Context) string {
	switch p.MTA.Name {
	case "postfix":
		read, err := mta.ReadPostfix(ctx, p.MTA.Dir)
		if err != nil {
			return err.Error()
		}
		return p.postfixLacks(read)
	case "sendmail":
		if lines := p.sendmail(p.MTA.Dir).Lines; len(lines) > 0 {
			return "sendmail.cf does not have " + p.sendmailAddress()
		}
		return ""
	}
	return "there is no MTA on this host"
}

func (p *Plan) postfixLacks(read *mta.Postfix) string {
	if !p.listsUs(mta.View{Root: "/", Dir: read.Value("queue_directory")}, read.Value("non_smtpd_milters")) {
		return "non_smtpd_milters of main.cf does not have " + p.postfixAddress(read)
	}
	connected := false
	for _, s := range read.Services {
		if s.Command != "smtpd" {
			continue
		}
		value := read.For(s, "smtpd_milters")
		switch us := p.listsUs(read.View(s), value); {
		case us:
			connected = true
			if problem := p.cannotConnect(read, s); problem != "" {
				return problem
			}
		case value != "":
			return fmt.Sprintf("smtpd_milters of the service %s does not have %s", s.Key(), p.postfixAddress(read))
		}
	}
	if !connected {
		return "smtpd_milters of main.cf does not have " + p.postfixAddress(read)
	}
	return ""
}

// cannotConnect says what keeps a service of Postfix from our unix socket.
func (p *Plan) cannotConnect(read *mta.Postfix, s mta.Service) string {
	if p.listen.Network != "unix" {
		return ""
	}
	steps, err := mta.View{Root: "/", Dir: "/"}.Resolve(p.listen.Addr)
	if err != nil || len(steps) == 0 || steps[len(steps)-1].Info.Mode()&fs.ModeSocket == 0 {
		return "there is no socket " + p.listen.Addr + " yet"
	}
	account, err := mta.LookupAccount(read.Value("mail_owner"))
	if err != nil {
		return ""
	}
	if at, ok := account.Connects(steps); !ok {
		owner, group := at.Owner()
		return fmt.Sprintf("the user %s may not pass %s (owner %s, group %s, mode %o): it needs the group of the MTA", account.Name, at.Path, owner, group, at.Info.Mode().Perm())
	}
	return ""
}
