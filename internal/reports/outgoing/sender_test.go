package outgoing

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/message"
	"signpost/internal/reports/aggregate"
	"signpost/internal/reports/store"
	"signpost/internal/reports/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// offer is one message that the MTA was offered.
type offer struct {
	from, to, text string
}

func (o offer) header(t testing.TB) mail.Header {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(o.text))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header
}

// xml is the report in the message.
func (o offer) xml(t testing.TB) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(o.text))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if part.FileName() == "" {
			continue
		}
		return gunzip(t, decode64(t, part))
	}
}

// An mta takes mail on a loopback port.
type mta struct {
	addr   string
	answer func(line string) string // the reply to a command; "" is the usual one

	mu     sync.Mutex
	offers []offer
}

func startMTA(t testing.TB) *mta {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m := &mta{addr: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go m.serve(conn)
		}
	}()
	return m
}

func (m *mta) reply(line string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answer != nil {
		if a := m.answer(line); a != "" {
			return a
		}
	}
	switch word, _, _ := strings.Cut(line, " "); word {
	case "":
		return "220 mx"
	case "DATA":
		return "354 go"
	case "QUIT":
		return "221 bye"
	}
	return "250 ok"
}

func (m *mta) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	fmt.Fprintf(conn, "%s\r\n", m.reply(""))
	var o offer
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		answer := m.reply(line)
		switch {
		case strings.HasPrefix(line, "MAIL FROM:<"):
			o.from, _, _ = strings.Cut(line[len("MAIL FROM:<"):], ">")
		case strings.HasPrefix(line, "RCPT TO:<"):
			o.to, _, _ = strings.Cut(line[len("RCPT TO:<"):], ">")
		case line == "DATA" && strings.HasPrefix(answer, "354"):
			fmt.Fprintf(conn, "%s\r\n", answer)
			var b strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(line, "."))
			}
			o.text = b.String()
			m.mu.Lock()
			m.offers = append(m.offers, o)
			m.mu.Unlock()
			answer = m.reply("end")
		}
		fmt.Fprintf(conn, "%s\r\n", answer)
	}
}

func (m *mta) taken() []offer {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Clone(m.offers)
	slices.SortFunc(all, func(a, b offer) int { return strings.Compare(a.to, b.to) })
	return all
}

func (m *mta) setAnswer(f func(line string) string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = f
}

// A world has a database with the counters of theDay, DNS, an MTA and a clock.
type world struct {
	t       testing.TB
	db      *store.DB
	zone    zone
	mta     *mta
	now     atomic.Int64
	log     lockedBuffer
	signErr atomic.Pointer[error]
	rows    int
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWorld(t testing.TB, a store.Address) *world {
	t.Helper()
	w := &world{t: t, db: storetest.Open(t, a), zone: zone{}, mta: startMTA(t)}
	w.now.Store((theDay + 1) * 86400)
	w.pass(maxDelay)
	return w
}

func (w *world) clock() time.Time     { return time.Unix(w.now.Load(), 0) }
func (w *world) pass(d time.Duration) { w.now.Add(int64(d / time.Second)) }
func (w *world) config() Config {
	return Config{OrgName: "Receiver", From: "dmarc@receiver.example", SMTP: w.mta.addr, PerDay: 10000}
}
func (w *world) services() Services {
	return Services{
		Directory: func() Directory { return Directory{Resolver: w.zone} },
		Sign: func(_ context.Context, h message.Header, _ []byte) ([]message.Field, error) {
			if err := w.signErr.Load(); err != nil {
				return nil, *err
			}
			from, _ := h.First("From")
			return []message.Field{{Name: "DKIM-Signature", Value: "v=1; d=test; from=" + strings.TrimSpace(from.Value)}}, nil
		},
		Now: w.clock, Log: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Generator: "Signpost", Keep: 90 * 24 * time.Hour,
	}
}

func (w *world) sender() *Sender {
	w.t.Helper()
	s, err := New(w.t.Context(), w.config(), w.db, w.services())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) step(s *Sender) {
	w.t.Helper()
	if err := s.Step(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// row is one row of traffic, as usual unless it says otherwise.
type row struct {
	day                                       int64
	domain, p, fo, rua, flaws                 string
	from, envelope, source, dkim, disposition string
	result, requested, reasons                string
	spfDomain, spfScope, spfResult            string
	aligned, optional, folded                 bool
	count                                     int64
	last                                      int64
}

func (w *world) policyID(r row) []byte {
	sum := sha256.Sum256([]byte(r.domain + r.p + r.fo + r.rua))
	return sum[:16]
}

// count adds a row to the counters.
func (w *world) count(r row) {
	w.t.Helper()
	orUse := func(s *string, other string) {
		if *s == "" {
			*s = other
		}
	}
	orUse(&r.p, "reject")
	orUse(&r.fo, "0")
	orUse(&r.from, r.domain)
	orUse(&r.source, "192.0.2.1")
	orUse(&r.disposition, "none")
	orUse(&r.result, "pass")
	orUse(&r.requested, r.p)
	orUse(&r.rua, "mailto:rua@"+r.domain)
	if r.day == 0 {
		r.day = theDay
	}
	if r.count == 0 {
		r.count = 1
	}
	w.rows++
	ctx := w.t.Context()
	if _, err := w.db.Exec(ctx, `INSERT INTO traffic_policies (id, domain, p, sp, np, adkim, aspf, fo, testing, psd, method, rua, flaws)
		VALUES (?, ?, ?, '', '', 'r', 'r', ?, 0, 'u', 'treewalk', ?, ?) ON CONFLICT (id) DO NOTHING`, w.policyID(r), r.domain, r.p, r.fo, strings.TrimPrefix(r.rua, "none"), r.flaws); err != nil {
		w.t.Fatal(err)
	}
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	if _, err := w.db.Exec(ctx, `INSERT INTO traffic (day, tuple, policy, result, header_from, envelope_from, source, host, dkim, spf_domain, spf_scope, spf_result,
		dkim_aligned, spf_aligned, requested, disposition, reasons, action, would, rule, route, sealers, accept_dmarc, forwarder, optional, folded, count, first_seen, last_seen)
		VALUES (?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, '', '', '', '', 0, '', ?, ?, ?, 0, ?)`,
		r.day, []byte(fmt.Sprint("tuple", w.rows)), w.policyID(r), r.result, r.from, r.envelope, r.source, r.dkim, r.spfDomain, r.spfScope, r.spfResult,
		flag(r.aligned), r.requested, r.disposition, r.reasons, fmt.Sprint("action", w.rows), flag(r.optional), flag(r.folded), r.count, r.last); err != nil {
		w.t.Fatal(err)
	}
}

// publish gives a domain a record that asks for reports to rua@ itself.
func (w *world) publish(domains ...string) {
	for _, d := range domains {
		w.zone["_dmarc."+d] = []string{"v=DMARC1; p=reject; rua=mailto:rua@" + d}
	}
}

// states lists the reports as "domain state".
func (w *world) states() string {
	w.t.Helper()
	rows, err := w.db.Query(w.t.Context(), `SELECT domain, state FROM outgoing_reports ORDER BY domain, id`)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var domain, state string
		if err := rows.Scan(&domain, &state); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, domain+" "+state)
	}
	return strings.Join(all, ", ")
}

func (w *world) why(domain string) (why string) {
	w.t.Helper()
	if err := w.db.QueryRow(w.t.Context(), `SELECT why FROM outgoing_reports WHERE domain = ?`, domain).Scan(&why); err != nil {
		w.t.Fatal(err)
	}
	return why
}

func gunzip(t testing.TB, data []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func each(t *testing.T, run func(w *world)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, a store.Address) { run(newWorld(t, a)) })
}

func TestADayIsReportedWhenItIsOver(t *testing.T) {
	each(t, func(w *world) {
		t := w.t
		w.publish("blue.example")
		w.count(row{domain: "blue.example", count: 3, dkim: "blue.example s1 pass\n", aligned: true, disposition: "pass", spfDomain: "blue.example", spfScope: "mfrom", spfResult: "softfail"})
		w.count(row{domain: "blue.example", count: 4, dkim: "blue.example s1 pass\n", aligned: true, disposition: "pass", spfDomain: "blue.example", spfScope: "mfrom", spfResult: "softfail"})
		w.count(row{domain: "blue.example", from: "sub.blue.example", source: "2001:db8::1", result: "fail", disposition: "reject"})
		w.count(row{domain: "blue.example", day: theDay + 1})
		s := w.sender()
		w.now.Store((theDay+1)*86400 - 1)
		w.step(s)
		if w.states() != "" {
			t.Fatalf("before the end of the day: %s", w.states())
		}
		w.now.Store((theDay+1)*86400 + int64(minDelay/time.Second) - 1)
		w.step(s)
		if w.states() != "" {
			t.Fatalf("right after the end of the day: %s", w.states())
		}
		w.now.Store((theDay+1)*86400 + int64(maxDelay/time.Second))
		w.step(s)
		w.step(s)
		got := w.mta.taken()
		if w.states() != "blue.example sent" || len(got) != 1 {
			t.Fatalf("%s; %d messages; %s", w.states(), len(got), w.log.String())
		}
		if got[0].to != "rua@blue.example" || !s.Tokens().Mine(got[0].from) || !strings.HasPrefix(got[0].text, "DKIM-Signature: v=1; d=test; from=\"Receiver\" <dmarc@receiver.example>\r\nDate: ") {
			t.Errorf("%+v", got[0])
		}
		x := got[0].xml(t)
		for _, want := range []string{
			"<count>7</count>", "<source_ip>2001:db8::1</source_ip>", "<header_from>sub.blue.example</header_from>", "<disposition>reject</disposition>",
			"<begin>1795910400</begin>", "<end>1795996799</end>", "<selector>s1</selector>", "<result>softfail</result>", "<domain>blue.example</domain>\n  <discovery_method>treewalk",
		} {
			if !strings.Contains(x, want) {
				t.Errorf("no %s in\n%s", want, x)
			}
		}
		if n := strings.Count(x, "<record>"); n != 2 {
			t.Errorf("%d records, want those that a report can tell apart:\n%s", n, x)
		}
	})
}

// RFC 7208 §2.4: with the null sender, the MAIL FROM identity is postmaster at the HELO name.
// RFC 9990 §3.1.1.13 reports that identity.
func TestTheSPFResultOfABounceIsReported(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.publish("blue.example")
	w.count(row{domain: "blue.example", spfDomain: "mail.blue.example", spfScope: "helo", spfResult: "pass", disposition: "pass"})
	w.step(w.sender())
	x := strings.Join(strings.Fields(w.mta.taken()[0].xml(t)), "")
	for _, want := range []string{"<envelope_from></envelope_from>", "<spf><domain>mail.blue.example</domain><scope>mfrom</scope><result>pass</result></spf>"} {
		if !strings.Contains(x, want) {
			t.Errorf("no %s in\n%s", want, x)
		}
	}
}

func TestNamesAreTheSameEverywhere(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.publish("blue.example")
	w.count(row{domain: "blue.example"})
	w.step(w.sender())
	got := w.mta.taken()[0]
	var id, file string
	if err := w.db.QueryRow(t.Context(), `SELECT report_id, file_name FROM outgoing_reports`).Scan(&id, &file); err != nil {
		t.Fatal(err)
	}
	h := got.header(t)
	for where, text := range map[string]string{"subject": h.Get("Subject"), "message id": h.Get("Message-ID"), "file": file, "xml": got.xml(t)} {
		if !strings.Contains(text, id) {
			t.Errorf("no %s in the %s: %s", id, where, text)
		}
	}
	if !strings.Contains(got.text, `filename="`+file+`"`) || h.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("%s", got.text)
	}
}

func TestTheRecordIsReadAgainBeforeSending(t *testing.T) {
	for name, c := range map[string]struct{ record, state, why string }{
		"gone":            {"", "failed", "any more"},
		"asks no longer":  {"v=DMARC1; p=reject", "failed", "does not ask"},
		"no answer":       {"SERVFAIL", "queued", "no answer"},
		"another address": {"v=DMARC1; p=reject; rua=mailto:new@blue.example", "sent", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, storetest.SQLite(t))
			w.count(row{domain: "blue.example"})
			if c.record != "" {
				w.zone["_dmarc.blue.example"] = []string{c.record}
			}
			w.step(w.sender())
			if w.states() != "blue.example "+c.state || !strings.Contains(w.why("blue.example"), c.why) {
				t.Errorf("%s: %s", w.states(), w.why("blue.example"))
			}
			if got := w.mta.taken(); c.state == "sent" && (len(got) != 1 || got[0].to != "new@blue.example") || c.state != "sent" && len(got) != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestEachDestinationHasAMailAndABounceAddressOfItsOwn(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.zone["_dmarc.blue.example"] = []string{"v=DMARC1; p=none; rua=mailto:a@blue.example,mailto:b@blue.example,mailto:c@red.example"}
	w.count(row{domain: "blue.example"})
	s := w.sender()
	w.step(s)
	got := w.mta.taken()
	if len(got) != 2 || got[0].to != "a@blue.example" || got[1].to != "b@blue.example" {
		t.Fatalf("%+v", got)
	}
	_, a, _ := s.tokens.read(got[0].from)
	_, b, _ := s.tokens.read(got[1].from)
	if a == b || got[0].header(t).Get("Message-ID") == got[1].header(t).Get("Message-ID") {
		t.Errorf("two mails with one identity: %s %s", got[0].from, got[1].from)
	}
}

func TestAnUndecidedDestinationIsTriedAgainWithoutASecondMailToTheOthers(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.zone["_dmarc.blue.example"] = []string{"v=DMARC1; p=none; rua=mailto:a@blue.example,mailto:c@red.example"}
	w.zone["blue.example._report._dmarc.red.example"] = []string{"SERVFAIL"}
	w.count(row{domain: "blue.example"})
	s := w.sender()
	w.step(s)
	if got := w.mta.taken(); len(got) != 1 || w.states() != "blue.example sending" {
		t.Fatalf("%s, %+v", w.states(), got)
	}
	w.zone["blue.example._report._dmarc.red.example"] = []string{"v=DMARC1"}
	w.pass(lastRetry)
	w.step(s)
	if got := w.mta.taken(); len(got) != 2 || got[1].to != "c@red.example" || w.states() != "blue.example sent" {
		t.Fatalf("%s, %+v", w.states(), got)
	}
}

func TestWhatTheMTAAnswersDecides(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(string) string
		state  string
		again  string // after the MTA takes everything
		log    string
	}{
		"refused for good":   {func(l string) string { return on(l, "RCPT", "550 no such user") }, "failed", "failed", "no destination took it"},
		"later":              {func(l string) string { return on(l, "RCPT", "450 greylisted") }, "sending", "sent", ""},
		"this host may not":  {func(l string) string { return on(l, "MAIL", "550 not you") }, "sending", "sent", "mynetworks"},
		"the answer is lost": {func(l string) string { return on(l, "end", "garbage") }, "sending", "sent", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, storetest.SQLite(t))
			w.publish("blue.example")
			w.count(row{domain: "blue.example"})
			w.mta.setAnswer(c.answer)
			s := w.sender()
			w.step(s)
			if w.states() != "blue.example "+c.state || !strings.Contains(w.log.String(), c.log) {
				t.Errorf("%s; %s", w.states(), w.log.String())
			}
			first := w.mta.taken()
			w.mta.setAnswer(nil)
			w.pass(firstRetry)
			w.step(s)
			if w.states() != "blue.example "+c.again {
				t.Errorf("%s; %s", w.states(), w.log.String())
			}
			if all := w.mta.taken(); len(first) == 1 && (len(all) != 2 || all[0] != all[1]) {
				t.Errorf("the second attempt differs:\n%+v", all)
			}
		})
	}
}

func on(line, command, answer string) string {
	if strings.HasPrefix(line, command) {
		return answer
	}
	return ""
}

func TestAReportIsGivenUpAfterTwoDays(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.publish("blue.example")
	w.count(row{domain: "blue.example"})
	w.mta.setAnswer(func(l string) string { return on(l, "RCPT", "450 not now") })
	s := w.sender()
	w.step(s)
	attempts := 0
	for range 100 {
		if strings.HasSuffix(w.states(), "failed") {
			break
		}
		w.pass(time.Hour)
		w.step(s)
		attempts++
	}
	if w.states() != "blue.example failed" || attempts < 47 || attempts > 53 || !strings.Contains(w.why("blue.example"), "450 not now") {
		t.Errorf("%s after %d hours: %s", w.states(), attempts, w.why("blue.example"))
	}
}

// records lists the reports about the days from begin until before end.
func (w *world) records(begin, end int64) []Record {
	w.t.Helper()
	var list []Record
	for r, err := range Records(w.t.Context(), w.db, time.Unix(begin*86400, 0), time.Unix(end*86400, 0)) {
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

func TestNothingLeavesUnsigned(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.publish("blue.example")
	w.count(row{domain: "blue.example"})
	err := errors.New("no key signs for receiver.example")
	w.signErr.Store(&err)
	s := w.sender()
	w.step(s)
	if len(w.mta.taken()) != 0 || w.states() != "blue.example queued" || !strings.Contains(w.log.String(), "they are not sent unsigned") || !strings.Contains(w.log.String(), "no key signs for receiver.example") {
		t.Fatalf("%s; %s", w.states(), w.log.String())
	}
	if sum, err := s.Summary(t.Context()); err != nil || sum.Waiting != 1 || !strings.Contains(sum.Trouble, "no key signs") || sum.Remedy == "" {
		t.Errorf("%+v, %v", sum, err)
	}
	w.signErr.Store(nil)
	w.pass(firstRetry)
	w.step(s)
	if sum, err := s.Summary(t.Context()); err != nil || sum != (Summary{Sent: 1}) {
		t.Errorf("%+v, %v", sum, err)
	}
	list := w.records(theDay, theDay+1)
	if len(list) != 1 || list[0].State != stateSent || list[0].Finished.IsZero() || !strings.Contains(list[0].To, "@") {
		t.Errorf("%+v", list)
	}
	if list := append(w.records(theDay-9, theDay), w.records(theDay+1, theDay+9)...); len(list) != 0 {
		t.Errorf("of other days: %+v", list)
	}
	if len(w.mta.taken()) != 1 || w.states() != "blue.example sent" {
		t.Errorf("%s; %s", w.states(), w.log.String())
	}
}

func TestWhatIsNoReasonToReport(t *testing.T) {
	each(t, func(w *world) {
		w.publish("optional.example", "both.example", "refused.example", "known.example", "mixed.example", "silent.example", "temperror.example")
		w.count(row{domain: "optional.example", optional: true})
		w.count(row{domain: "both.example", optional: true})
		w.count(row{domain: "both.example", source: "192.0.2.2"})
		w.count(row{domain: "refused.example", result: "fail", disposition: "reject"})
		w.count(row{domain: "known.example", day: theDay - 1})
		w.count(row{domain: "known.example", result: "fail", disposition: "reject"})
		w.count(row{domain: "mixed.example", result: "fail", disposition: "reject"})
		w.count(row{domain: "mixed.example", optional: true})
		w.count(row{domain: "silent.example", rua: "none"})
		w.count(row{domain: "temperror.example", result: "temperror"})
		s := w.sender()
		now := w.now.Load()
		w.now.Store(now - 86400)
		w.step(s) // the day before
		w.now.Store(now)
		w.step(s)
		w.pass(time.Hour)
		w.step(s)
		if got := w.states(); got != "both.example sent, known.example sent, known.example sent" {
			w.t.Errorf("%s; %s", got, w.log.String())
		}
		for _, o := range w.mta.taken() {
			if o.to == "rua@both.example" && strings.Count(o.xml(w.t), "<record>") != 2 {
				w.t.Errorf("rows that are no reason are left out:\n%s", o.xml(w.t))
			}
		}
	})
}

func TestEachPolicyOfADayHasAReport(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.publish("blue.example")
	for i := range 5 {
		w.count(row{domain: "blue.example", p: []string{"none", "quarantine", "reject"}[i%3], fo: fmt.Sprint(i / 3), rua: fmt.Sprintf("mailto:r%d@blue.example", i), last: int64(i), count: int64(10 + i), flaws: "pct=5: no more"})
	}
	w.step(w.sender())
	got := w.mta.taken()
	if len(got) != maxPolicies || w.states() != "blue.example sent, blue.example sent, blue.example sent" {
		t.Fatalf("%d mails, %s", len(got), w.states())
	}
	names := map[string]bool{}
	for _, o := range got {
		names[o.header(t).Get("Subject")] = true
		x := o.xml(t)
		final := strings.Contains(x, "<count>14</count>")
		if !strings.Contains(x, "pct=5") || final != strings.Contains(x, "21 messages under earlier policies are in none") || strings.Count(x, "<record>") != 1 {
			t.Errorf("%s", x)
		}
	}
	if len(names) != maxPolicies {
		t.Errorf("%v", names)
	}
}

// A record that names other addresses, perhaps at each question, has still one policy.
func TestRecordsWithOnePolicyHaveOneReport(t *testing.T) {
	each(t, func(w *world) {
		w.publish("blue.example")
		for i := range 30 {
			w.count(row{domain: "blue.example", rua: fmt.Sprintf("mailto:r%d@blue.example", i), count: 2})
		}
		w.count(row{domain: "blue.example", rua: "none", count: 100})
		w.step(w.sender())
		got := w.mta.taken()
		if len(got) != 1 || w.states() != "blue.example sent" {
			w.t.Fatalf("%d mails, %s; %s", len(got), w.states(), w.log.String())
		}
		if x := got[0].xml(w.t); !strings.Contains(x, "<count>60</count>") || strings.Contains(x, "<error>") {
			w.t.Errorf("%s", x)
		}
	})
}

func TestCapsOnReports(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	for i := range maxRelated + 20 {
		d := fmt.Sprintf("n%d.flood.example", i)
		w.publish(d)
		w.count(row{domain: d})
	}
	w.publish("blue.example")
	w.count(row{domain: "blue.example", count: 5})
	s := w.sender()
	w.step(s)
	w.pass(time.Hour)
	w.step(s)
	if n := len(w.mta.taken()); n != maxRelated+1 || !strings.Contains(w.log.String(), "domains=20") {
		t.Errorf("%d reports; %.2000s", n, w.log.String())
	}

	w = newWorld(t, storetest.SQLite(t))
	w.publish("a.example", "b.example", "c.example")
	w.count(row{domain: "a.example"})
	w.count(row{domain: "b.example", count: 3})
	w.count(row{domain: "c.example", count: 2})
	cfg := w.config()
	cfg.PerDay = 2
	s, err := New(t.Context(), cfg, w.db, w.services())
	if err != nil {
		t.Fatal(err)
	}
	w.step(s)
	w.pass(time.Hour)
	w.step(s)
	if got := w.states(); got != "b.example sent, c.example sent" {
		t.Error(got)
	}
}

func TestHugeAndHostileCounters(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.publish("blue.example")
	w.count(row{domain: "blue.example", source: "not an address"})
	w.count(row{domain: "blue.example", source: "fe80::1%eth0"})
	w.count(row{domain: "blue.example", from: "\x00</record>", dkim: "<&\x00>.example ]]> pass\nbroken\n", reasons: "local_policy \x1b[31m\nnew_kind x\n", disposition: "weird", result: "fail", count: 2})
	w.count(row{domain: "blue.example", folded: true, count: 77})
	w.step(w.sender())
	got := w.mta.taken()
	if len(got) != 1 {
		t.Fatalf("%s; %s", w.states(), w.log.String())
	}
	x := got[0].xml(t)
	for _, want := range []string{"77 messages more", "\uFFFD&lt;/record&gt;", "<type>other</type>", "<disposition>none</disposition>"} {
		if !strings.Contains(x, want) {
			t.Errorf("no %q in\n%s", want, x)
		}
	}
	if n := strings.Count(x, "<record>"); n != 2 {
		t.Errorf("%d records", n)
	}
}

func TestTheRecordsWithTheMostMessagesAreReported(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	r := row{domain: "blue.example"}
	w.count(r)
	if _, err := w.db.Exec(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
		INSERT INTO traffic SELECT day, CAST('many' || i AS BLOB), policy, result, header_from, envelope_from, '10.' || (i / 65536) || '.' || (i / 256 % 256) || '.' || (i % 256), host, dkim, spf_domain, spf_scope, spf_result,
		dkim_aligned, spf_aligned, requested, disposition, reasons, action, would, rule, route, sealers, accept_dmarc, forwarder, optional, folded, 1 + (i > 59990), first_seen, last_seen FROM traffic, n`); err != nil {
		t.Fatal(err)
	}
	c := composer{db: w.db, cfg: w.config()}
	b, err := c.compose(ctx, identity{"receiver.example", "blue.example", theDay,
		policyKey(aggregate.Policy{Domain: "blue.example", P: "reject", ADKIM: "r", ASPF: "r", FO: "0", Testing: "n", DiscoveryMethod: "treewalk"})}, "id", "")
	if err != nil || b.records != maxRecords || b.messages != maxRecords+10 || len(b.xml) > maxReport {
		t.Fatalf("%d records, %d messages, %d octets, %v", b.records, b.messages, len(b.xml), err)
	}
	if x := gunzip(t, b.xml); !strings.Contains(x, "there are 60001 records; the 10001 with the fewest messages are left out (60011 messages in all)") {
		t.Errorf("%.900s", x)
	}
}

func decode64(t testing.TB, r io.Reader) []byte {
	t.Helper()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	data, err := mailBase64(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mailBase64(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.ReplaceAll(s, "\r\n", ""))
}
