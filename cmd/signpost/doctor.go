package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"signpost/internal/control"
	"signpost/internal/doctor"
)

const doctorText = `Look for what keeps mail from being signed, judged or accepted elsewhere: in
our configuration and key files, the running daemon, DNS, the configuration of
Postfix or Sendmail, and the MTA's log.

    signpost doctor [OPTIONS]

Each finding names the fault, its effect on mail, the exact line or command that
mends it, and a reference; the most harmful one is first. doctor changes
nothing. Without root it looks at what it can, and says what it could not see.
docs/doctor.md explains each finding.

DNS is asked at the servers of each domain and at the resolver of dns.servers;
a finding says which of them has the fault.

Exit code 0: nothing above low; 1: findings; 2: wrong usage, or something could
not be looked at and nothing else was found.

Example:

    signpost doctor
    signpost doctor --json | jq '.findings[].id'
    signpost doctor --fix > mend.sh
`

// doctorOptions are the command's own options, and those of the checks.
type doctorOptions struct {
	doctor.Options
	json, fix                      bool
	keyAge, testing, retired, wait int // days
	addresses, timeServers         string
}

func doctorFlags(o *doctorOptions, stderr io.Writer) *flag.FlagSet {
	f := flags("doctor", doctorText, stderr)
	d := doctor.Defaults()
	o.Options = d
	days := func(t time.Duration) int { return int(t / (24 * time.Hour)) }
	f.StringVar(&o.Config, "config", "", configHelp)
	f.StringVar(&o.Postfix, "postfix", "", "Postfix' configuration `FOLDER`, with main.cf and master.cf (default: the one of postconf)")
	f.StringVar(&o.Sendmail, "sendmail", "", "the `FOLDER` of sendmail.cf and its .mc (default: /etc/mail)")
	f.StringVar(&o.MTALog, "mta-log", "", "the MTA's log `FILE` (default: /var/log/mail.log or maillog, else the journal)")
	f.StringVar(&o.Zone, "zone", "", "take DNS from this zone `FILE`")
	f.StringVar(&o.addresses, "address", "", "the `ADDRESSES` that mail leaves from, as others see them, with commas between (default: those of this host; behind NAT, give the outer one)")
	f.StringVar(&o.timeServers, "ntp", "", "time `SERVERS` to compare the clock with, with commas between (default: those of chrony, ntp or systemd-timesyncd)")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	f.BoolVar(&o.fix, "fix", false, "print a shell script with the commands that mend; it is not run")
	f.BoolVar(&o.All, "all", false, fmt.Sprintf("look at all domains, not only the first %d", doctor.DomainLimit))
	f.IntVar(&o.LogDays, "log-days", d.LogDays, "how many `DAYS` of the MTA's log are read")
	f.IntVar(&o.keyAge, "key-age", days(d.KeyAge), "from how many `DAYS` on a key is old")
	f.IntVar(&o.testing, "testing-days", days(d.TestingFor), "how many `DAYS` a key may be published with t=y")
	f.IntVar(&o.retired, "retired-days", days(d.RetiredFor), "how many `DAYS` the record of a retired key may stay")
	f.IntVar(&o.wait, "pending-days", days(d.PendingFor), "how many `DAYS` a new key may wait for its record while another one signs")
	f.DurationVar(&o.SlowDNS, "slow-dns", d.SlowDNS, "from which `TIME` of an answer on a resolver is slow")
	f.DurationVar(&o.Skew, "skew", d.Skew, "how much the clock may be wrong: a `TIME`")
	f.DurationVar(&o.Limit, "timeout", d.Limit, "how long all of it may take: a `TIME` (with --all: for each 100 domains)")
	return f
}

func doctorCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	var o doctorOptions
	f := doctorFlags(&o, stderr)
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) > 0 {
		return wrongUsage(stderr, "doctor", fmt.Sprintf("unexpected argument %q", rest[0]))
	}
	if o.json && o.fix {
		return wrongUsage(stderr, "doctor", "--json and --fix exclude each other")
	}
	if err := o.complete(); err != nil {
		return wrongUsage(stderr, "doctor", err.Error())
	}
	if onTerminal(stderr) {
		o.Progress = func(done, all int) { fmt.Fprintf(stderr, "\rLooking: %d of %d checks\x1b[K", done, all) }
		defer fmt.Fprint(stderr, "\r\x1b[K")
	}
	o.Send = sendProbe
	report, err := doctor.Run(context.Background(), o.Options)
	if err != nil {
		return cannotLook(stderr, err)
	}
	o.print(stdout, report)
	return report.ExitCode()
}

// doctorLetter is the message of a probe.
const doctorLetter = "From: <%s>\r\nTo: <postmaster@localhost>\r\nSubject: signpost doctor\r\nDate: %s\r\nMessage-ID: <doctor@localhost>\r\n\r\nA probe of signpost doctor; it is delivered nowhere.\r\n"

// sendProbe sends a message of the doctor through a milter.
func sendProbe(_ context.Context, p doctor.Probe) (doctor.ProbeResult, error) {
	o := probeOptions{ip: p.IP, helo: "localhost", from: p.From, rcpt: "postmaster@localhost", login: p.Login, daemon: p.Daemon, mta: "localhost", queue: "DOCTOR"}
	letter := fmt.Sprintf(doctorLetter, p.From, time.Now().Format(time.RFC1123Z))
	r, err := o.probe(p.Address, "-", strings.NewReader(letter))
	out := doctor.ProbeResult{Verdict: r.Verdict, Reply: r.Reply}
	for _, f := range r.Inserted {
		out.Inserted = append(out.Inserted, f.Name)
	}
	return out, err
}

// complete computes the options of the checks from those of the command line.
func (o *doctorOptions) complete() error {
	for _, d := range []struct {
		name string
		days int
		to   *time.Duration
	}{
		{"key-age", o.keyAge, &o.KeyAge}, {"testing-days", o.testing, &o.TestingFor},
		{"retired-days", o.retired, &o.RetiredFor}, {"pending-days", o.wait, &o.PendingFor},
	} {
		if d.days < 0 || d.days > 36500 {
			return fmt.Errorf("--%s %d: give a number of days from 0 to 36500", d.name, d.days)
		}
		*d.to = time.Duration(d.days) * 24 * time.Hour
	}
	if o.LogDays < 0 {
		return fmt.Errorf("--log-days %d: give a number of days from 0", o.LogDays)
	}
	if problem := cmp.Or(timeProblem("timeout", o.Limit, 1), timeProblem("slow-dns", o.SlowDNS, 1), timeProblem("skew", o.Skew, 1)); problem != "" {
		return errors.New(problem)
	}
	if o.timeServers != "" {
		o.TimeServers = strings.Split(o.timeServers, ",")
	}
	for word := range strings.SplitSeq(o.addresses, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		addr, err := netip.ParseAddr(word)
		if err != nil {
			return fmt.Errorf("--address: %q is not an IP address", word)
		}
		o.Addresses = append(o.Addresses, addr.Unmap())
	}
	return nil
}

// cannotLook says why nothing could be looked at.
func cannotLook(stderr io.Writer, err error) int {
	e := &control.Error{Problem: err.Error(), Remedy: "signpost check-config says what to write; --config FILE names another file"}
	if !inJSON(stderr, e) {
		fmt.Fprintf(stderr, "signpost doctor: %s\n%s\n", e.Problem, e.Remedy)
	}
	return exitUsage
}

func (o *doctorOptions) print(stdout io.Writer, report doctor.Report) {
	switch {
	case o.json:
		printJSON(stdout, report)
	case o.fix:
		report.PrintFix(stdout)
	default:
		report.Print(stdout, emphasis(stdout).on)
	}
}
