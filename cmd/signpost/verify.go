package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"signpost/internal/daemon"
	"signpost/internal/dns"
	"signpost/internal/message"
	"signpost/verifier"
)

const verifyText = `Judge a message file with the daemon's own code: SPF, every DKIM signature,
DMARC, the ARC chain.

    signpost verify FILE --ip ADDRESS --helo NAME --from ADDRESS [OPTIONS]

FILE is a message as it was received, with LF or CRLF line ends; - is standard
input. DNS is asked as the configuration says, or a zone file answers. Without
--json the output ends with the Authentication-Results field that the daemon
would put on top of the message. The exit code is 0 when the message could be
judged, with any result.

Example:

    signpost verify mail.eml --ip 192.0.2.10 --helo mx.example.com \
        --from user@example.com
    signpost verify mail.eml --ip 192.0.2.10 --from '<>' --helo mx.example.com \
        --zone dns.zone --at 2026-11-21T12:00:00Z
`

type verifyOptions struct {
	file, config, zone, at string
	ip, helo, from, mta    string
	login, method          string
	json, second           bool
}

// judged is the result for one file.
type judged struct {
	*verifier.Result
	opinions []opinion // of go-msgauth, with --second-opinion
}

// declare adds the options for the SMTP session, the time, DNS and the output.
func (o *verifyOptions) declare(f *flag.FlagSet) {
	f.StringVar(&o.ip, "ip", "", "the client's `ADDRESS`; without one SPF has nothing to compare")
	f.StringVar(&o.helo, "helo", "", "the `NAME` in HELO or EHLO")
	f.StringVar(&o.from, "from", "", "the `ADDRESS` in MAIL FROM; empty or <> is the null sender")
	f.StringVar(&o.login, "login", "", "the `NAME` the client logged in with (SMTP AUTH)")
	f.StringVar(&o.method, "auth-type", "", "the SASL `MECHANISM` of the login (default PLAIN with --login)")
	f.StringVar(&o.config, "config", "", configHelp)
	f.StringVar(&o.zone, "zone", "", "answer DNS from this zone `FILE` instead of the network")
	f.StringVar(&o.at, "at", "", "decide as of this `TIME`: RFC 3339, or seconds since 1970 (default: now)")
	f.StringVar(&o.mta, "mta", "", "the MTA's host `NAME`; the authserv-id where the configuration has none")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
}

func verifyCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o verifyOptions
	f := flags("verify", verifyText, stderr)
	o.declare(f)
	f.BoolVar(&o.second, "second-opinion", false, "verify the signatures with go-msgauth too")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) != 1 {
		return wrongUsage(stderr, "verify", "give one message file, or - for standard input")
	}
	o.file = rest[0]
	env, err := o.envelope()
	if err != nil {
		return wrongUsage(stderr, "verify", err.Error())
	}
	now, err := parseMoment(o.at)
	if err != nil {
		return wrongUsage(stderr, "verify", err.Error())
	}
	if o.from == "" {
		fmt.Fprintln(stderr, "signpost verify: no --from: judged as the null sender; --from '<>' says so on purpose")
	}
	j, err := o.judge(env, now, stdin)
	if err != nil {
		return failure(stderr, "verify", err)
	}
	if o.json {
		return printJSON(stdout, reportJSON(j))
	}
	printResult(stdout, j)
	return exitOK
}

// envelope is the SMTP session that the options describe.
func (o verifyOptions) envelope() (message.Envelope, error) {
	env := message.Envelope{Helo: o.helo, Sender: trimPath(o.from), MTAName: o.mta, Role: message.RoleVerify, AuthAuthen: o.login, AuthType: o.method}
	if env.AuthAuthen != "" && env.AuthType == "" {
		env.AuthType = "PLAIN"
	}
	if o.ip != "" {
		addr, err := netip.ParseAddr(strings.TrimPrefix(o.ip, "IPv6:"))
		if err != nil {
			return env, fmt.Errorf("--ip %q is not an address: write one such as 192.0.2.10 or 2001:db8::1", o.ip)
		}
		env.ClientAddr = addr.Unmap()
	}
	return env, nil
}

// parseMoment reads --at.
func parseMoment(at string) (func() time.Time, error) {
	if at == "" {
		return time.Now, nil
	}
	if seconds, err := strconv.ParseInt(at, 10, 64); err == nil {
		return func() time.Time { return time.Unix(seconds, 0) }, nil
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return time.Now, fmt.Errorf("--at %q is not a time: write one such as 2026-11-21T12:00:00Z, or seconds since 1970", at)
	}
	return func() time.Time { return t }, nil
}

func trimPath(path string) string {
	return strings.TrimSuffix(strings.TrimPrefix(path, "<"), ">")
}

// judge runs the file through the verifier as the milter does a message.
func (o verifyOptions) judge(env message.Envelope, now func() time.Time, stdin io.Reader) (judged, error) {
	c, resolver, err := o.configured()
	if err != nil {
		return judged{}, err
	}
	in, err := openMessage(o.file, stdin)
	if err != nil {
		return judged{}, err
	}
	defer in.Close()
	var copied bytes.Buffer
	var r io.Reader = in
	if o.second {
		r = io.TeeReader(in, &copied)
	}
	header, body, err := message.Split(r, message.Limits{})
	if err != nil {
		return judged{}, fmt.Errorf("reading %s: %w", o.file, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.Milter.MessageTimeout)
	defer cancel()
	host, _ := os.Hostname() // used only without --mta and verifier.authserv_id
	own := c.Signer.Index().Names
	t := verifier.New(c.Verifier, resolver, host, now).WithOwnDomains(own).Explain(ctx, env, nil)
	if err := feed(t, env, header, body); err != nil {
		return judged{}, fmt.Errorf("reading %s: %w", o.file, err)
	}
	j, err := t.Judge()
	if err != nil || !o.second {
		return judged{Result: j}, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // the part that the verifier did not read
		return judged{}, fmt.Errorf("reading %s: %w", o.file, err)
	}
	opinions, err := secondOpinion(copied.Bytes(), resolver, c.Verifier.DKIM.MaxSignatures)
	return judged{j, opinions}, err
}

// configured loads the configuration without its keys: verification needs none, and the user
// may not be allowed to read them. The entries of signer.tables count only for
// own_domains and forwarders.
func (o verifyOptions) configured() (daemon.Config, dns.Source, error) {
	c, _, err := daemon.Read(o.config)
	if err == nil && c.Verifier.ReadsOwnDomains() {
		c, _, err = daemon.ReadWhole(o.config)
	}
	if err != nil {
		return c, nil, err
	}
	if o.zone != "" {
		c.DNS.ZoneFile = o.zone
	}
	resolver, err := dns.Open(c.DNS)
	return c, resolver, err
}

// printResult writes the result as text. The Authentication-Results field comes last.
func printResult(w io.Writer, j judged) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	if j.Unjudged != "" {
		fmt.Fprintf(out, "unjudged: %s\n", j.Unjudged)
		return
	}
	line := func(name, result, about, reason string) {
		fmt.Fprintf(out, "%-6s %-10s", name, result)
		if about != "" {
			fmt.Fprintf(out, " %s", printable(about))
		}
		if reason != "" {
			fmt.Fprintf(out, " (%s)", printable(reason))
		}
		fmt.Fprintln(out)
	}
	for i, f := range j.Findings {
		about := f.Domain
		if about != "" && f.Selector != "" {
			about += " selector " + f.Selector
		}
		line(f.Method, f.Value, about, f.Reason)
		if f.Method == "dkim" && (i+1 == len(j.Findings) || j.Findings[i+1].Method != "dkim") {
			printOpinions(out, j.opinions)
		}
	}
	line("policy", string(j.Decision.Action), "", j.Decision.Rule)
	if d := j.Decision; d.Disposition() == message.Reject || d.Disposition() == message.Tempfail {
		fmt.Fprintf(out, "reply  %d %s %s\n", d.Reply.Code, d.Reply.Enhanced, printable(d.Reply.Text))
	}
	fmt.Fprintln(out)
	writeField(out, j.Field())
}
