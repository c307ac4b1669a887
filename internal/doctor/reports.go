package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"signpost/internal/control"
	"signpost/internal/message"
	"signpost/keys/lifecycle"
	"signpost/signer"
)

// lookAtReports checks that what is counted can be kept, and that reports to others can leave.
func lookAtReports(ctx context.Context, h *Host) {
	c := h.Config.Reports
	if c.Database == "" {
		h.absent("reports", `reports.database is "": nothing is counted, and no reports are sent`)
		return
	}
	r, known := h.reporting(ctx)
	found := h.lookAtSpace()
	found = h.lookAtDatabase(ctx, r) || found
	if !c.Out.On() {
		return
	}
	found = h.lookAtReportsMTA(ctx) || found
	found = h.lookAtReportsAuthor(ctx, c.Out.Author()) || found
	if known && !found {
		h.lookAtWaiting(r)
	}
}

// reporting is what the running daemon tells of the reports to others. known is false if it
// cannot be asked, which lookAtDaemon says.
func (h *Host) reporting(ctx context.Context) (r reportingState, known bool) {
	if h.Config.Control.Path() == "" {
		return r, false
	}
	client, err := control.Dial(ctx, h.Config.Control)
	if err != nil {
		return r, false
	}
	defer client.Close()
	return r, client.Get(ctx, "/status", &r) == nil
}

// reportingState is a part of the answer to /status.
type reportingState struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Out     *struct {
		Waiting int    `json:"waiting"`
		Sent    int    `json:"sent"`
		Failed  int    `json:"failed"`
		Problem string `json:"problem"`
		Remedy  string `json:"remedy"`
	} `json:"reports_out"`
}

// manyFailed is how many reports of a day may fail, while none is sent, before that is a fault.
// Some domains ask for reports at addresses that do not exist.
const manyFailed = 10

// lookAtWaiting tells what the daemon says of reports that do not leave.
func (h *Host) lookAtWaiting(r reportingState) {
	const beginning = 2 * time.Minute // until the database is open, and the first reports are tried
	o := r.Out
	switch {
	case o == nil, h.now().Sub(r.Started) < beginning:
	case o.Problem != "":
		h.find("reports.waiting", h.configName(), fmt.Sprintf("reports to others wait (%d): %s", o.Waiting, o.Problem), Remedy{Text: sentence(o.Remedy)})
	case o.Sent == 0 && o.Failed >= manyFailed:
		h.find("reports.waiting", h.configName(), fmt.Sprintf("of the reports to others of the last 24 hours, %d failed and none was sent", o.Failed),
			Remedy{Text: "See why each one failed:", Lines: []string{h.signpost("report", "preview")}})
	}
}

// sentence begins with a capital letter and ends in a full stop.
func sentence(text string) string {
	if text == "" {
		return "See the log of the daemon."
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

// lookAtReportsMTA talks to the MTA that takes the reports, up to MAIL.
func (h *Host) lookAtReportsMTA(ctx context.Context) bool {
	out := h.Config.Reports.Out
	for _, l := range h.Config.Milter.Listen {
		if l.Address.Network != "unix" && h.tcpMeets(out.SMTP, l.Address) {
			h.find("reports.no-mta", out.SMTP, fmt.Sprintf("%s (reports.out.smtp) is the milter's own listener, and no MTA", out.SMTP), smtpRemedy(h, "Name a loopback address where the MTA listens"))
			return true
		}
	}
	err := greetMTA(ctx, out.SMTP, out.From)
	reply, replied := errors.AsType[*textproto.Error](err)
	if replied && reply.Code >= 500 {
		h.find("reports.no-mta", out.SMTP, fmt.Sprintf("the MTA at %s (reports.out.smtp) does not take mail from %s: %d %s", out.SMTP, out.From, reply.Code, reply.Msg),
			smtpRemedy(h, "Name a listener of the MTA that takes mail from this host without TLS and without a login"))
		return true
	}
	refused := errors.Is(err, syscall.ECONNREFUSED)
	switch {
	case err == nil:
		return false
	case replied: // it cannot take mail now
		err = fmt.Errorf("%d %s", reply.Code, reply.Msg)
	case refused, errors.Is(err, io.EOF), errors.Is(err, errNoSMTP):
		text := fmt.Sprintf("nothing listens at %s (reports.out.smtp)", out.SMTP)
		if !refused {
			text = fmt.Sprintf("what listens at %s (reports.out.smtp) is no MTA: %v", out.SMTP, err)
		}
		h.find("reports.no-mta", out.SMTP, text, smtpRemedy(h, "Start the MTA, or name a loopback address where it listens (Postfix: inet_interfaces)"))
		return true
	}
	h.unseen("the MTA at "+out.SMTP+" (reports.out.smtp)", err.Error())
	return false
}

func smtpRemedy(h *Host, text string) Remedy {
	return Remedy{Text: text + ". In " + h.configName() + ", below reports.out, usually:", Lines: []string{"smtp: 127.0.0.1:25"}}
}

var errNoSMTP = errors.New("it does not talk SMTP")

// greetMTA begins a message from an address and gives it up. An error with a reply is a
// *textproto.Error.
func greetMTA(ctx context.Context, address, from string) error {
	ctx, cancel := context.WithTimeout(ctx, patience.greeting)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	host, _, _ := net.SplitHostPort(address)
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return noSMTP(err)
	}
	if err := client.Hello(literal(host)); err != nil {
		return noSMTP(err)
	}
	if err := client.Mail(from); err != nil {
		return noSMTP(err)
	}
	_ = client.Reset()
	_ = client.Quit()
	return nil
}

// literal is a loopback address in EHLO (RFC 5321 §4.1.3).
func literal(host string) string {
	if strings.Contains(host, ":") {
		return "[IPv6:" + host + "]"
	}
	return "[" + host + "]"
}

// noSMTP tells a reply that is none from a reply of an MTA.
func noSMTP(err error) error {
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		return errNoSMTP
	}
	return err
}

// lookAtReportsAuthor checks that receivers take mail of the address that reports come from:
// with a signature of its domain, SPF, and a way for bounces.
func (h *Host) lookAtReportsAuthor(ctx context.Context, from message.Address) bool {
	found := false
	entry := Remedy{Text: fmt.Sprintf("Make a key (signpost keys generate --help), publish its record, and list the domain in %s, below signer.domains:", h.configName()),
		Lines: []string{fmt.Sprintf("- {domain: %s, selectors: [SELECTOR]}", from.Domain)}}
	if other := h.signsAs(from); other != "" {
		h.find("reports.unsigned", from.Domain, fmt.Sprintf("mail from %s (reports.out.from) is signed with d=%s, which is not its domain or one above it", h.Config.Reports.Out.From, other), entry)
		found = true
	} else if !signer.New(h.Config.Signer, h.Config.Signer.Index(), &lifecycle.ActiveKeys{}, h.now).SignsFor(from) {
		h.find("reports.unsigned", from.Domain, fmt.Sprintf("no entry of signer.domains signs mail from %s (reports.out.from)", h.Config.Reports.Out.From), entry)
		found = true
	}
	if !h.looksAt(from.Domain) && h.lookAtSPFRecord(ctx, from.Domain) {
		h.lookAtCoverage(ctx, from.Domain, h.sendingAddresses(ctx))
	}
	return h.lookAtReturnWay(ctx, from.Domain) || found
}

// signsAs is the d= of an entry for an author that does not count for the author's domain; ""
// if there is none.
func (h *Host) signsAs(from message.Address) string {
	for _, e := range h.Config.Signer.Domains {
		sdid := strings.ToLower(e.SDID)
		if sdid != "" && authorOf(e.Domain) == from.Domain && sdid != from.Domain && !strings.HasSuffix(from.Domain, "."+sdid) {
			return sdid
		}
	}
	return ""
}

// lookAtReturnWay checks that a domain takes mail (RFC 5321 §5.1, RFC 7505).
func (h *Host) lookAtReturnWay(ctx context.Context, domain string) bool {
	hosts, err := h.DNS.LookupMX(ctx, domain)
	text := ""
	switch {
	case err != nil:
		h.undecided("the MX records of "+domain, err.Error())
	case len(hosts) == 1 && strings.Trim(hosts[0], ".") == "":
		text = "its MX record says so (RFC 7505)"
	case len(hosts) == 0 && h.addressless(ctx, domain):
		text = "it has neither an MX record nor an address"
	}
	if text == "" {
		return false
	}
	h.find("reports.no-return", domain, fmt.Sprintf("%s, the domain of reports.out.from, takes no mail: %s", domain, text),
		Remedy{Text: fmt.Sprintf("Let the domain take mail, by an MX record with the name of a host of yours, or write another address in reports.out.from of %s.", h.configName())})
	return true
}

// leastFree is the space of a file system, in octets, below which it is nearly full.
const leastFree = 64 << 20

// stateFolder is the nearest folder that exists on the way to what the daemon writes.
func (h *Host) stateFolder() string {
	folder := filepath.Dir(h.Config.Keys.State)
	if path := h.Config.Reports.Database.Path(); path != "" {
		folder = filepath.Dir(path)
	}
	for !exists(folder) && folder != filepath.Dir(folder) {
		folder = filepath.Dir(folder)
	}
	return folder
}

// lookAtSpace checks that there is room for the counters and the reports.
func (h *Host) lookAtSpace() bool {
	folder := h.stateFolder()
	space, err := spaceOf(folder)
	switch {
	case err != nil:
		h.unseen("the space of "+folder, err.Error())
	case space.readOnly:
		h.find("reports.database", folder, fmt.Sprintf("the file system of %s is mounted read-only", folder), do("See why, and mount it again:", []string{"findmnt", "--target", folder}))
		return true
	case space.free < h.leastFree:
		h.find("reports.space", folder, fmt.Sprintf("the file system of %s has %d MiB left", folder, space.free>>20),
			do("Free some space. reports.keep and reports.max_size bound what Signpost keeps:", []string{"df", "-h", folder}))
		return true
	case space.noFiles:
		h.find("reports.space", folder, fmt.Sprintf("the file system of %s has room for no further file", folder), do("Delete files that are not needed:", []string{"df", "-i", folder}))
		return true
	}
	return false
}

// lookAtDatabase checks that the daemon can reach and write the database.
func (h *Host) lookAtDatabase(ctx context.Context, r reportingState) bool {
	database := h.Config.Reports.Database
	if path := database.Path(); path != "" {
		return h.lookAtFile(path, r)
	}
	var silentAt []string
	for network, address := range database.Servers() {
		at, err := knockAt(ctx, network, address)
		switch {
		case at == answers:
			return false
		case at == silent:
			silentAt = append(silentAt, address)
		default:
			h.unseen("the database at "+address, bare(err).Error())
			return false
		}
	}
	h.find("reports.database", database.String(), fmt.Sprintf("no PostgreSQL listens at %s (reports.database)", strings.Join(silentAt, " or ")),
		Remedy{Text: "Start the server, or correct the address in " + h.configName() + "."})
	return true
}

// lookAtFile checks the file of an SQLite database.
func (h *Host) lookAtFile(path string, r reportingState) bool {
	remedy := Remedy{Text: "Move it away, so that the daemon makes a new one, and restart the daemon; or name another file in reports.database of " + h.configName() + "."}
	info, err := os.Lstat(path)
	folder, _ := os.Stat(filepath.Dir(path))
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission): // not made yet, or not to be seen
	case folder != nil && !folder.IsDir():
		h.find("reports.database", path, fmt.Sprintf("%s is no folder", filepath.Dir(path)), remedy)
		return true
	case err != nil:
		h.unseen("the database "+path, err.Error())
		return false
	case !info.Mode().IsRegular():
		h.find("reports.database", path, fmt.Sprintf("%s is not a regular file", path), remedy)
		return true
	case !isSQLite(path):
		h.find("reports.database", path, fmt.Sprintf("%s is no SQLite database", path), remedy)
		return true
	}
	return h.lookAtWriter(path, r.PID)
}

// lookAtWriter checks that the running daemon may write the database.
func (h *Host) lookAtWriter(path string, pid int) bool {
	w, ok := writerOf(pid)
	if !ok {
		return false
	}
	at := path
	if !exists(path) {
		at = h.stateFolder()
	} else if h.denied(w, filepath.Dir(path)) {
		return true
	}
	return h.denied(w, at)
}

// denied notes a file or folder that the daemon may not write.
func (h *Host) denied(w writer, path string) bool {
	info, err := os.Stat(path)
	if err != nil || w.mayWrite(info) {
		return false
	}
	h.find("reports.database", path, fmt.Sprintf("the daemon (user %d) may not write %s, which has the mode %04o", w.uid, path, info.Mode().Perm()),
		do("Give it to the user of the daemon:", []string{"chown", fmt.Sprintf("%d:%d", w.uid, w.groups[0]), path}, []string{"chmod", "u+rwX", path}))
	return true
}

// isSQLite reports whether a file has the beginning of a database, or is empty. A file that cannot
// be read may be one.
func isSQLite(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	n, err := io.ReadFull(f, head)
	return err != nil && n == 0 || string(head[:n]) == magic
}
