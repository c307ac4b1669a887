package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"signpost/internal/display"
)

// QuietTime is how long after the start a listener without a connection is worth a note.
const QuietTime = 10 * time.Minute

// Thresholds of the notes: below them, silence means nothing.
const (
	// localAmong and localTime are how many messages of ours came by SMTP, and in how long, of which none
	// was submitted without.
	localAmong, localTime = 1000, 7 * 24 * time.Hour
	// slowQueries is how many queries of the last hour must have been unanswered, and how many of
	// a hundred.
	slowQueries, slowPercent = 20, 50
	// shownDomains is how many domains have a finding of their own.
	shownDomains = 5
)

// Judge fills Findings, Ready and NotReady from the rest of the report. sinceStart are the
// counts of all messages, and more are findings that the report does not show otherwise.
func (r *Report) Judge(sinceStart Hour, more ...Finding) {
	r.NotReady = NotReady(r.Listeners, r.Domains.Total, r.Domains.States)
	r.Ready = len(r.NotReady) == 0
	var all []Finding
	all = append(all, r.ofListeners()...)
	all = append(all, r.ofDomains()...)
	all = append(all, r.ofResolver()...)
	all = append(all, r.ofConfiguration()...)
	all = append(all, r.ofLoad()...)
	all = append(all, r.ofMail(sinceStart)...)
	all = append(all, more...)
	all = append(all, r.ReportsOut.findings()...)
	order := []Severity{Problem, Warning, Note}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return slices.Index(order, a.Severity) - slices.Index(order, b.Severity)
	})
	r.Findings = append([]Finding{}, all...)
}

// NotReady says why mail cannot be handled at all; nothing where it can: a listener is down, or
// none of the domains can sign. A domain about which DNS has not been asked yet may sign.
func NotReady(listeners []Listener, domains int, states map[string]int) []string {
	var why []string
	for _, l := range listeners {
		if l.Problem != "" {
			why = append(why, "listener "+l.Address+": "+l.Problem)
		}
	}
	if domains > 0 && states[Lost]+states[Unsigned] == domains {
		why = append(why, "none of the listed domains can sign: signpost status says why")
	}
	return why
}

// Compare notes that the running daemon is not of the version that is installed.
func (r *Report) Compare(installed string) {
	if r.Version != installed {
		r.Findings = append(r.Findings, Finding{Note, "version", fmt.Sprintf("version %s runs, and this command is of version %s", r.Version, installed), restart})
	}
}

const restart = "systemctl restart signpost"

func (r *Report) ofListeners() []Finding {
	var all []Finding
	accepted := uint64(0)
	for _, l := range r.Listeners {
		accepted += l.Accepted
		if l.Problem != "" {
			all = append(all, Finding{Problem, "listener " + l.Address, l.Problem + ": no MTA can connect there", restart + " (it makes the socket again)"})
		}
	}
	if len(all) > 0 || r.Now.Sub(r.Started) < QuietTime {
		return all
	}
	if accepted == 0 {
		return []Finding{{Note, "listeners", "no MTA has connected since the start" + r.sockets(),
			"if mail has passed: signpost doctor compares the addresses with the MTA's smtpd_milters (port, chroot, group of the socket)"}}
	}
	for _, l := range r.Listeners {
		if l.Accepted == 0 {
			all = append(all, Finding{Note, "listener " + l.Address, "no MTA has connected there since the start" + fileText(l),
				"if mail should come there: signpost doctor compares it with the MTA's configuration"})
		}
	}
	return all
}

// sockets says who may connect to the unix sockets.
func (r *Report) sockets() string {
	for _, l := range r.Listeners {
		if l.File != "" {
			return "; " + l.Address + " has" + fileText(l)
		}
	}
	return ""
}

func fileText(l Listener) string {
	if l.File == "" {
		return ""
	}
	return " (mode, owner and group: " + l.File + ")"
}

func (r *Report) ofDomains() []Finding {
	var all []Finding
	for i, d := range r.Domains.List {
		f := d.finding()
		if f.Severity == "" {
			break
		}
		if i == shownDomains {
			break
		}
		all = append(all, f)
	}
	if bad := r.Domains.States[Lost] + r.Domains.States[Unsigned] + r.Domains.States[Partial]; bad > len(all) {
		severity := Warning
		if r.Domains.States[Lost]+r.Domains.States[Unsigned] > len(all) {
			severity = Problem
		}
		all = append(all, Finding{severity, "domains", fmt.Sprintf("and %d more domains do not sign as listed", bad-len(all)), "signpost keys list has them all"})
	}
	return all
}

// finding is what needs a person about a domain; without a severity it is nothing.
func (d Domain) finding() Finding {
	what, remedy := splitWhy(d.Why)
	if remedy == "" {
		remedy = "signpost keys check " + d.Name
	}
	switch d.State {
	case Lost:
		return Finding{Problem, d.Name, "cannot be signed: " + what, remedy}
	case Unsigned:
		return Finding{Problem, d.Name, "mail leaves unsigned: " + what, remedy}
	case Partial:
		return Finding{Warning, d.Name, what, remedy}
	}
	return Finding{}
}

// splitWhy takes the first remedy out of the reason, so that it has a line of its own.
func splitWhy(why string) (what, remedy string) {
	for _, verb := range []string{"; publish ", "; look with "} {
		before, after, ok := strings.Cut(why, verb)
		if !ok {
			continue
		}
		remedy, rest, more := strings.Cut(after, "; ")
		if more {
			before += "; " + rest
		}
		return before, strings.TrimPrefix(verb, "; ") + remedy
	}
	return why, ""
}

func (r *Report) ofResolver() []Finding {
	var all []Finding
	down := 0
	for _, s := range r.Resolver.Servers {
		if s.Problem != "" {
			down++
			all = append(all, Finding{Warning, "DNS server " + s.Address, s.Problem, "dig @" + hostOf(s.Address) + " example.com; or name other servers in dns.servers"})
			continue
		}
		if s.Unanswered >= slowQueries && s.Unanswered*100 > s.Queries*slowPercent {
			all = append(all, Finding{Warning, "DNS server " + s.Address,
				fmt.Sprintf("%d of %d queries of the last hour had no answer in time (%s)", s.Unanswered, s.Queries, s.LastError),
				"look at its log; or name other servers in dns.servers"})
		}
	}
	if down > 0 && down == len(r.Resolver.Servers) {
		all[0].Severity = Problem
		all[0].Finding += "; no server is left, and mail is judged without DNS (verifier.on_temperror)"
	}
	return all
}

// hostOf is an address as dig takes it.
func hostOf(address string) string {
	host, port := address, ""
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		host, port = address[:i], address[i+1:]
	}
	host = strings.Trim(host, "[]")
	if port != "" && port != "53" {
		host += " -p " + port
	}
	return host
}

func (r *Report) ofConfiguration() []Finding {
	c := r.Configuration
	var all []Finding
	add := func(severity Severity, finding, remedy string) {
		all = append(all, Finding{severity, "configuration", finding, remedy})
	}
	switch c.OnDisk {
	case Changed:
		add(Warning, c.File+" has changed and is not in force", "systemctl reload signpost")
	case Mistaken:
		first := ""
		if len(c.Mistakes) > 0 {
			first = ": " + c.Mistakes[0]
		}
		add(Warning, c.File+" has changed, is not in force, and a reload would refuse it"+first, "signpost check-config "+c.File)
	case Gone:
		add(Warning, c.File+" is gone: the daemon could not start again", "put the file back")
	case Unreadable:
		add(Warning, c.File+" cannot be read by the daemon: it could not reload or start again", "let the group signpost read it: chgrp signpost "+c.File+" && chmod 640 "+c.File)
	}
	if !r.Reload.At.IsZero() && !r.Reload.OK && c.OnDisk != Mistaken {
		first := ""
		if len(r.Reload.Problems) > 0 {
			first = ": " + r.Reload.Problems[0]
		}
		add(Warning, "the last reload was refused, the configuration before it is in force"+first, "mend that, then systemctl reload signpost")
	}
	if len(c.Restart) > 0 {
		add(Warning, "changes of section "+strings.Join(c.Restart, ", ")+" wait for a restart", restart)
	}
	return all
}

func (r *Report) ofLoad() []Finding {
	var all []Finding
	if l := r.Limits; l.MaxConnections > 0 && l.Connections >= l.MaxConnections {
		all = append(all, Finding{Warning, "connections", fmt.Sprintf("all %d are in use, further ones wait", l.MaxConnections),
			"raise milter.max_connections and LimitNOFILE"})
	}
	// A tenth is left for the next header.
	if l := r.Limits; l.MaxHeaderMemory > 0 && l.HeaderMemory >= l.MaxHeaderMemory/10*9 {
		all = append(all, Finding{Warning, "header memory", "nearly all is in use; messages beyond it get 451", "raise milter.max_header_memory"})
	}
	return all
}

func (r *Report) ofMail(since Hour) []Finding {
	var all []Finding
	if n := r.Hour.Inbound.Failures + r.Hour.Outbound.Failures; n > 0 {
		all = append(all, Finding{Warning, "mail", fmt.Sprintf("%s of the last hour could not be handled for a failure of this daemon", display.Count(n, "message")),
			"journalctl -u signpost | grep error= names the cause"})
	}
	if n := r.Hour.Outbound.Unsigned; n > 0 {
		all = append(all, Finding{Note, "mail", fmt.Sprintf("%s of ours left unsigned in the last hour", display.Count(n, "message")),
			"signpost tail --unsigned, or unsigned= in the log, says why"})
	}
	if o := since.Outbound; o.SMTP >= localAmong && o.Local+since.Inbound.Local == 0 && r.Now.Sub(r.Started) >= localTime {
		all = append(all, Finding{Note, "mail", fmt.Sprintf("beside %d messages of ours by SMTP none was submitted on this host without SMTP (cron, web programs, bounces)", o.SMTP),
			"if this host sends such mail: non_smtpd_milters in main.cf names Signpost too"})
	}
	return all
}
