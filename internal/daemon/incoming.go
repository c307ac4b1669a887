package daemon

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"signpost/internal/message"
	"signpost/internal/reports"
	"signpost/internal/reports/incoming"
	"signpost/internal/reports/notices"
	"signpost/internal/reports/refusal"
	"signpost/internal/reports/store"
	"signpost/internal/submission"
	"signpost/milter"
)

// intake reads the reports of others in mail to reports.in.addresses, and looks after those that are
// stored. Without such addresses, mail passes as if it were not there.
type intake struct {
	log *slog.Logger
	// count and countNotice are nil where nothing is counted.
	count, countNotice func(label string)

	grown       chan struct{} // asks to look after the store
	sinceTended atomic.Int64  // reports stored

	current atomic.Pointer[Generation]
	reader  atomic.Pointer[incoming.Intake] // nil: off, or the database is not open yet
	running reports.Config
	end     func() // nil: not running
}

// Results of mail to reports.in.addresses, beside refusals.
const (
	intakeStored    = "stored"
	intakeDuplicate = "duplicate"
	intakeRefused   = "refused"
	intakeMissed    = "missed"
)

// use puts a generation in force, at the start and at each reload. One goroutine calls it.
func (i *intake) use(g *Generation) {
	i.current.Store(g)
	c := g.Config.Reports
	on := c.Database != ""
	if i.end != nil && on && slices.Equal(c.In.Addresses, i.running.In.Addresses) && c.In.After == i.running.In.After && c.In.MaxRaw == i.running.In.MaxRaw &&
		c.Database == i.running.Database && c.Keep == i.running.Keep && c.Notify == i.running.Notify && c.Out == i.running.Out {
		return
	}
	i.close()
	if !on {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, tried := make(chan struct{}), make(chan struct{})
	i.running, i.end = c, func() { cancel(); <-done }
	go func() {
		defer close(done)
		i.run(ctx, c, sync.OnceFunc(func() { close(tried) }))
	}()
	if len(c.In.Addresses) > 0 {
		select {
		case <-tried:
		case <-time.After(openTime):
		}
	}
}

// openTime is how long mail waits, at the start and at a reload, for the database that the reports in it go to. Mail
// that came before would pass unread.
const openTime = 2 * time.Second

func (i *intake) close() {
	if i.end != nil {
		i.end()
		i.end = nil
	}
}

// run opens the database, and reads mail until ctx ends. tried is called once mail is read, or after the first
// attempt that failed.
func (i *intake) run(ctx context.Context, c reports.Config, tried func()) {
	defer tried()
	db := i.open(ctx, c, tried)
	if db == nil {
		return
	}
	defer db.Close()
	if len(c.In.Addresses) > 0 {
		k := &incoming.Keeper{DB: db, Domains: i.ourDomains, Now: time.Now, MaxRecords: maxRecordsADay, MaxReports: maxReportsADay}
		reader := incoming.NewIntake(ctx, c.In, k, currentKeys{i}, i.told)
		i.reader.Store(reader)
		tried()
		defer reader.Wait()
		defer i.reader.Store(nil)
	}
	i.lookAfter(ctx, c, db)
}

// ourDomains tells whether a domain is one of the generation in force.
func (i *intake) ourDomains(domain string) bool { return i.current.Load().ourDomains().Ours(domain) }

// currentKeys asks the resolver of the generation in force.
type currentKeys struct{ i *intake }

func (k currentKeys) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return k.i.current.Load().Resolver.LookupTXT(ctx, name)
}

// open tries until the database opens or ctx ends.
func (i *intake) open(ctx context.Context, c reports.Config, tried func()) *store.DB {
	retry := time.NewTicker(reopenEvery)
	defer retry.Stop()
	for said := ""; ; {
		db, err := store.Open(ctx, c.Database)
		if err == nil {
			return db
		}
		if text := err.Error(); text != said && ctx.Err() == nil && len(c.In.Addresses) > 0 {
			said = text
			i.log.Warn("mail with reports passes unread until the database opens", "error", text)
		}
		tried()
		select {
		case <-ctx.Done():
			return nil
		case <-retry.C:
		}
	}
}

// tendEvery is how often stored reports are looked after.
const tendEvery = time.Hour

// What comes by mail in a day has bounds: reports are written by strangers.
const (
	maxRecordsADay = 1_000_000
	maxReportsADay = 10_000
	// pruneAfter is how many reports are stored before old documents are deleted without waiting for the hour.
	pruneAfter = 50
)

// lookAfter looks after the stored reports, until ctx ends: once an hour, and for their size where they grow fast.
func (i *intake) lookAfter(ctx context.Context, c reports.Config, db *store.DB) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for hourly := true; ; {
		if err := i.tend(ctx, c, db, hourly); err != nil && ctx.Err() == nil {
			i.log.Warn("stored reports of others could not be looked after; it is tried again in an hour", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			hourly = true
		case <-i.grown:
			hourly = false
		}
	}
}

// tend deletes old reports, and once an hour names hosts and tells what is new.
func (i *intake) tend(ctx context.Context, c reports.Config, db *store.DB, hourly bool) error {
	now := time.Now()
	err := incoming.Prune(ctx, db, now.AddDate(0, 0, -int(c.Keep)), int64(c.In.MaxRaw))
	if err != nil || !hourly {
		return err
	}
	if err := incoming.NameHosts(ctx, db, i.current.Load().Resolver, now); err != nil {
		return err
	}
	return i.notice(ctx, c, db, now)
}

// grew asks for a look after the store, if it has grown much since the last one.
func (i *intake) grew() {
	if i.sinceTended.Add(1)%pruneAfter == 0 {
		select {
		case i.grown <- struct{}{}:
		default:
		}
	}
}

// notice tells what is new in the reports.
func (i *intake) notice(ctx context.Context, c reports.Config, db *store.DB, now time.Time) error {
	list, err := notices.Find(ctx, db, i.current.Load().Config.KnownOfReports(), c.Notify.Over, now)
	if err != nil {
		return err
	}
	fresh, err := notices.Note(ctx, db, list, now)
	if err != nil {
		return err
	}
	for _, n := range fresh {
		if i.countNotice != nil {
			i.countNotice(string(n.Kind))
		}
		i.log.Warn("reports: "+n.Text, "notice", string(n.Kind), "domain", n.Domain, "remedy", "signpost report show "+n.Domain)
	}
	if c.Notify.To == "" {
		return nil
	}
	return notices.Mail(ctx, db, now, func(lines []string) error {
		host, _ := os.Hostname() // only named in the text
		_, err := submission.Send(ctx, c.Out.SMTP, submission.Message{To: c.Notify.To, Data: notices.Text(c.Notify.To, c.Notify.To, host, lines, now)})
		return err
	})
}

// told logs and counts what became of the reports in one mail.
func (i *intake) told(m incoming.Mail, results []incoming.Result) {
	for _, r := range results {
		attrs := []any{"queue", m.QueueID, "from", m.Author, "reporter", r.Org, "report", r.ReportID, "domain", r.Domain}
		switch {
		case r.Refused == nil:
			i.counted(intakeStored)
			i.grew()
			i.log.Info("report stored", append(attrs, "kind", string(r.Kind), "id", r.ID, "messages", r.Messages, "aligned", r.Aligned)...)
		case r.Refused.Reason == refusal.Duplicate:
			i.counted(intakeDuplicate)
			i.log.Info("report is stored already", append(attrs, "id", r.ID)...)
		default:
			i.counted(intakeRefused)
			i.log.Warn("report refused", append(attrs, "part", r.Where, "reason", r.Refused.ID, "problem", r.Refused.Error(), "remedy", r.Refused.Remedy)...)
		}
	}
}

func (i *intake) counted(result string) {
	if i.count != nil {
		i.count(result)
	}
}

// handlers are those of a generation, which see mail with reports as it passes.
func (i *intake) handlers(h *milter.Generation) *milter.Generation {
	if i == nil || len(i.running.In.Addresses) == 0 {
		return h
	}
	return &milter.Generation{Signer: h.Signer, Verifier: readingVerifier{h.Verifier, i}}
}

type readingVerifier struct {
	milter.Verifier
	i *intake
}

func (v readingVerifier) Verify(ctx context.Context, env message.Envelope) message.Transaction {
	t := v.Verifier.Verify(ctx, env)
	if reader := v.i.reader.Load(); reader != nil {
		return &readMail{Transaction: t, ctx: ctx, intake: v.i, reader: reader}
	}
	return t
}

// readMail is a message that may have a report.
type readMail struct {
	message.Transaction
	ctx        context.Context
	intake     *intake
	reader     *incoming.Intake
	recipients []string // addresses for reports, as in the envelope
	wants      bool     // the transaction wants the body
	reads      bool     // the copy does
	copy       *incoming.Copy
}

// Header starts the copy of a message to an address for reports.
func (r *readMail) Header(env message.Envelope, h message.Header) (wantBody bool) {
	r.wants = r.Transaction.Header(env, h)
	if r.recipients = r.reader.Ours(env.Recipients); len(r.recipients) > 0 {
		r.copy = r.reader.Begin(r.ctx, env, h)
		r.reads = r.copy != nil
		if r.copy == nil {
			r.intake.counted(intakeMissed)
		}
	}
	return r.wants || r.reads
}

// Body passes the body on to both.
func (r *readMail) Body(chunk []byte) (more bool) {
	if r.wants {
		r.wants = r.Transaction.Body(chunk)
	}
	if r.reads {
		r.reads = r.copy.Write(chunk)
	}
	return r.wants || r.reads
}

// Cut is the transaction's. A report that is cut is not read.
func (r *readMail) Cut() {
	r.Transaction.Cut()
	if r.copy != nil {
		r.copy.Cut()
	}
}

// End is the transaction's. With after: discard, the addresses for reports are taken off a message whose
// reports are stored.
func (r *readMail) End() message.Outcome {
	out := r.Transaction.End()
	if r.copy == nil {
		return out
	}
	stored, missed := r.copy.Pass(&out)
	if missed {
		r.intake.counted(intakeMissed)
		r.intake.log.Warn("mail to an address for reports passes unread: it is too big, or too much of it comes at once",
			"remedy", "signpost report import reads it from the mailbox")
	}
	if stored {
		out.Drop = r.recipients
		out.Log = append(out.Log, message.Note{Key: "report", Value: "stored; goes no further (reports.in.after)"})
	}
	return out
}
