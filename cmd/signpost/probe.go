package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
	"signpost/milter"
)

const probeText = `Send a message file through a running milter, as an MTA would, and show what
it would change. The client is go-milter's, not our own: a second opinion on
the protocol.

    signpost probe ADDRESS FILE [OPTIONS]

ADDRESS is the milter's, as in main.cf or in milter.listen:
inet:127.0.0.1:8891, unix:/run/signpost/signpost.sock. Nothing is delivered
anywhere.

Example:

    signpost probe inet:127.0.0.1:8891 mail.eml \
        --login alice --from alice@example.com
    signpost probe inet:127.0.0.1:8891 mail.eml \
        --ip 192.0.2.10 --helo mx.example.net --from bob@example.net
`

type probeOptions struct {
	ip, helo, from, rcpt, login, daemon, mta, queue string
	json                                            bool
	timeout                                         time.Duration
}

func probeCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o probeOptions
	f := flags("probe", probeText, stderr)
	f.StringVar(&o.ip, "ip", "127.0.0.1", "the client's `ADDRESS` to claim")
	f.StringVar(&o.helo, "helo", "localhost", "the `NAME` in HELO")
	f.StringVar(&o.from, "from", "", "the `ADDRESS` in MAIL FROM; empty or <> is the null sender")
	f.StringVar(&o.rcpt, "rcpt", "postmaster@localhost", "the `ADDRESS` in RCPT TO")
	f.StringVar(&o.login, "login", "", "the SMTP AUTH login `NAME` (macro {auth_authen})")
	f.StringVar(&o.daemon, "daemon", "signpost-probe", "the MTA's listener `NAME` (macro {daemon_name})")
	f.StringVar(&o.mta, "mta", "localhost", "the MTA's host `NAME` (macro j)")
	f.StringVar(&o.queue, "queue-id", "PROBE", "the MTA's `ID` of the message (macro i)")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long each answer of the milter may take: a `TIME`")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) != 2 {
		return wrongUsage(stderr, "probe", "give the milter's address and one message file")
	}
	_, err := milter.ParseAddress(rest[0])
	if err == nil {
		_, err = verifyOptions{ip: o.ip}.envelope()
	}
	if err != nil {
		return wrongUsage(stderr, "probe", err.Error())
	}
	if problem := timeProblem("timeout", o.timeout, 1); problem != "" {
		return wrongUsage(stderr, "probe", problem)
	}
	r, err := o.probe(rest[0], rest[1], stdin)
	if err != nil {
		return failure(stderr, "probe", err)
	}
	if o.json {
		return printJSON(stdout, r)
	}
	r.print(stdout)
	return exitOK
}

// probeReport is the reply of a milter to a message. Values are as on the wire to the MTA,
// with LF in folds.
type probeReport struct {
	Verdict    string       `json:"verdict"` // accept, reject, tempfail, discard
	Reply      string       `json:"reply,omitempty"`
	Quarantine string       `json:"quarantine,omitempty"`
	Inserted   []probeField `json:"inserted"`
	Removed    []probeField `json:"removed"`
	Other      []string     `json:"other,omitempty"`
}

// probeField is one header field. Index is the position for inserted fields, and
// the occurrence among those of the same name for removed ones.
type probeField struct {
	Index uint32 `json:"index"`
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

func (o probeOptions) probe(address, file string, stdin io.Reader) (probeReport, error) {
	var at milter.Address
	if err := at.UnmarshalText([]byte(address)); err != nil {
		return probeReport{}, err
	}
	in, err := openMessage(file, stdin)
	if err != nil {
		return probeReport{}, err
	}
	defer in.Close()
	text, err := io.ReadAll(in)
	if err != nil {
		return probeReport{}, fmt.Errorf("reading %s: %w", file, err)
	}
	c := gomilter.NewClientWithOptions(at.Network, at.Addr, gomilter.ClientOptions{
		Dialer:       &net.Dialer{Timeout: o.timeout},
		ReadTimeout:  o.timeout,
		WriteTimeout: o.timeout,
		ActionMask:   gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptQuarantine | gomilter.OptChangeFrom | gomilter.OptAddRcpt | gomilter.OptRemoveRcpt | gomilter.OptChangeBody,
		ProtocolMask: probeProtocol,
	})
	defer c.Close()
	s, err := c.Session()
	if isTimeout(err) {
		return probeReport{}, o.silent(address)
	}
	if err != nil {
		return probeReport{}, fmt.Errorf("connecting to the milter at %s: %w; is it running and listening there?", address, err)
	}
	defer s.Close()
	r, err := o.converse(s, text)
	if isTimeout(err) {
		err = o.silent(address)
	}
	return r, err
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// silent is the error for a milter that does not answer in time.
func (o probeOptions) silent(address string) error {
	return fmt.Errorf("no answer from %s in %s; if Signpost listens there: signpost status; --timeout waits longer", address, o.timeout)
}

// probeProtocol has all options that Postfix offers, except SKIP, which this client does not
// support.
const probeProtocol = gomilter.OptNoConnect | gomilter.OptNoHelo | gomilter.OptNoMailFrom | gomilter.OptNoRcptTo |
	gomilter.OptNoBody | gomilter.OptNoHeaders | gomilter.OptNoEOH | gomilter.OptNoUnknown | gomilter.OptNoData |
	gomilter.OptNoHeaderReply | gomilter.OptNoConnReply | gomilter.OptNoHeloReply | gomilter.OptNoMailReply |
	gomilter.OptNoRcptReply | gomilter.OptNoDataReply | gomilter.OptNoUnknownReply | gomilter.OptNoEOHReply |
	gomilter.OptNoBodyReply | gomilter.OptHeaderLeadingSpace

// converse is one message of one connection.
func (o probeOptions) converse(s *gomilter.ClientSession, text []byte) (probeReport, error) {
	header, body, err := message.Split(bytes.NewReader(text), message.Limits{})
	if err != nil {
		return probeReport{}, err
	}
	c := &conversation{session: s, leadingSpace: s.ProtocolOption(gomilter.OptHeaderLeadingSpace)}
	o.envelope(c)
	for _, f := range header {
		c.field(f)
	}
	c.step(s.HeaderEnd)
	if c.err != nil || c.final != nil {
		return c.report(header), c.err
	}
	c.changes, c.final, c.err = s.BodyReadFrom(body)
	return c.report(header), c.err
}

// conversation keeps the first error and the first final answer of a session, so
// that the steps can be written one below the other.
type conversation struct {
	session      *gomilter.ClientSession
	leadingSpace bool
	changes      []gomilter.ModifyAction
	final        *gomilter.Action
	err          error
}

// step takes one step unless the conversation is over.
func (c *conversation) step(f func() (*gomilter.Action, error)) {
	if c.err != nil || c.final != nil {
		return
	}
	a, err := f()
	switch {
	case err != nil:
		c.err = err
	case a != nil && a.Code != gomilter.ActContinue && a.Code != gomilter.ActSkip:
		c.final = a
	}
}

func (c *conversation) macros(stage gomilter.Code, kv ...string) {
	c.step(func() (*gomilter.Action, error) { return nil, c.session.Macros(stage, kv...) })
}

// field sends a header field in the form the milter asked for: the value with
// its leading space, or without the first one; folds are LF.
func (c *conversation) field(f message.Field) {
	value := strings.ReplaceAll(f.Value, "\r\n", "\n")
	if !c.leadingSpace {
		value = strings.TrimPrefix(value, " ")
	}
	c.step(func() (*gomilter.Action, error) { return c.session.HeaderField(f.Name, value) })
}

// envelope sends the commands before the header, with the macros of Postfix.
func (o probeOptions) envelope(c *conversation) {
	s := c.session
	family, host := gomilter.FamilyInet, "["+o.ip+"]"
	switch addr, err := netip.ParseAddr(o.ip); {
	case o.ip == "": // as Postfix without a client
		family, host = gomilter.FamilyUnknown, "unknown"
	case err == nil && addr.Is6():
		family = gomilter.FamilyInet6
	}
	c.macros(gomilter.CodeConn, "j", o.mta, "{daemon_name}", o.daemon, "{client_addr}", o.ip, "v", "signpost probe")
	c.step(func() (*gomilter.Action, error) { return s.Conn(host, family, 25, o.ip) })
	c.step(func() (*gomilter.Action, error) { return s.Helo(o.helo) })
	mail := []string{"i", o.queue, "{mail_addr}", trimPath(o.from)}
	if o.login != "" {
		mail = append(mail, "{auth_type}", "PLAIN", "{auth_authen}", o.login)
	}
	c.macros(gomilter.CodeMail, mail...)
	c.step(func() (*gomilter.Action, error) { return s.Mail(trimPath(o.from), nil) }) // it puts the brackets itself
	c.macros(gomilter.CodeRcpt, "i", o.queue, "{rcpt_addr}", trimPath(o.rcpt))
	c.step(func() (*gomilter.Action, error) { return s.Rcpt(trimPath(o.rcpt), nil) })
	c.macros(gomilter.CodeEOB, "i", o.queue)
}

func (c *conversation) report(h message.Header) probeReport {
	r := probeReport{Verdict: "accept", Inserted: []probeField{}, Removed: []probeField{}}
	if c.final != nil {
		r.Verdict, r.Reply = verdictOf(c.final)
	}
	left := slices.Clone(h)
	for _, a := range c.changes {
		left = r.add(a, left)
	}
	return r
}

func verdictOf(a *gomilter.Action) (verdict, reply string) {
	switch a.Code {
	case gomilter.ActReject:
		return "reject", ""
	case gomilter.ActTempFail:
		return "tempfail", ""
	case gomilter.ActDiscard:
		return "discard", ""
	case gomilter.ActReplyCode:
		verdict = "reject"
		if a.SMTPCode < 500 {
			verdict = "tempfail"
		}
		return verdict, fmt.Sprintf("%d %s", a.SMTPCode, strings.ReplaceAll(a.SMTPText, "\r\n", "\n"))
	}
	return "accept", ""
}

// add notes a change, and returns the fields of the message that are left after it.
func (r *probeReport) add(a gomilter.ModifyAction, left message.Header) message.Header {
	switch a.Code {
	case gomilter.ActInsertHeader, gomilter.ActAddHeader:
		r.Inserted = append(r.Inserted, probeField{a.HeaderIndex, a.HeaderName, a.HeaderValue})
	case gomilter.ActChangeHeader:
		if a.HeaderValue == "" {
			return r.remove(a, left)
		}
		r.Other = append(r.Other, fmt.Sprintf("changes field %d named %s to:%s", a.HeaderIndex, a.HeaderName, a.HeaderValue))
	case gomilter.ActQuarantine:
		r.Quarantine = a.Reason
	default:
		r.Other = append(r.Other, fmt.Sprintf("asks for action %q", rune(a.Code)))
	}
	return left
}

// remove notes a deletion, and returns the fields that are left after it.
func (r *probeReport) remove(a gomilter.ModifyAction, left message.Header) message.Header {
	i := occurrence(left, a.HeaderName, a.HeaderIndex)
	if i < 0 {
		r.Other = append(r.Other, fmt.Sprintf("deletes field %d named %s, which the message does not have", a.HeaderIndex, a.HeaderName))
		return left
	}
	r.Removed = append(r.Removed, probeField{a.HeaderIndex, left[i].Name, strings.ReplaceAll(left[i].Value, "\r\n", "\n")})
	return slices.Delete(left, i, i+1)
}

// occurrence is the index of the n-th field of a name; -1: there is none. It counts as
// Postfix does (cleanup_find_header_start): from 1, over the fields that are left after
// the deletions before, without regard to case or to blanks before the colon.
func occurrence(h message.Header, name string, n uint32) int {
	n = max(n, 1)
	for i, f := range h {
		if message.EqualFold(strings.TrimRight(f.Name, " \t"), strings.TrimRight(name, " \t")) {
			if n--; n == 0 {
				return i
			}
		}
	}
	return -1
}

func (r probeReport) print(w io.Writer) {
	fmt.Fprintf(w, "verdict: %s\n", r.Verdict)
	if r.Reply != "" {
		fmt.Fprintf(w, "reply:   %s\n", printableLines(r.Reply))
	}
	if r.Quarantine != "" {
		fmt.Fprintf(w, "held in the queue: %s\n", printable(r.Quarantine))
	}
	for _, f := range r.Removed {
		fmt.Fprintf(w, "- %s\n", f.line())
	}
	// Each insertion goes above those before it.
	for i := len(r.Inserted) - 1; i >= 0; i-- {
		fmt.Fprintf(w, "+ %s\n", r.Inserted[i].line())
	}
	for _, line := range r.Other {
		fmt.Fprintln(w, printableLines(line))
	}
	if len(r.Inserted)+len(r.Removed)+len(r.Other) == 0 {
		fmt.Fprintln(w, "no change to the header")
	}
}

// line is the field for a terminal; the leading space is there or not, as the
// protocol's step says, and means nothing here.
func (f probeField) line() string {
	return f.Name + ": " + printableLines(strings.TrimPrefix(f.Value, " "))
}

// printableLines is printable with its line breaks kept, each indented below the
// first.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = printable(strings.ReplaceAll(l, "\t", "    "))
	}
	return strings.Join(lines, "\n ")
}
