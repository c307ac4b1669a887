package daemon

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"signpost/internal/message"
	"signpost/internal/reports"
	"signpost/internal/reports/outgoing"
	"signpost/internal/reports/store"
	"signpost/internal/status"
	"signpost/milter"
)

const (
	// reopenEvery is how often the database of the reports is tried while it cannot be opened.
	reopenEvery = time.Minute
	// maxReturned bounds the bounces that wait for the database. Further ones are lost: their
	// addresses get the next report, too.
	maxReturned = 256
)

// reporting sends the reports to others (reports.out) in the background, and watches for those
// that come back. No message waits for it.
type reporting struct {
	version string
	log     *slog.Logger
	now     func() time.Time
	count   func(result string) // nil: nothing is counted

	current  atomic.Pointer[Generation]
	sender   atomic.Pointer[outgoing.Sender] // nil: off, or the database is not open yet
	returned chan *outgoing.Bounce

	running reports.Config
	end     func() // nil: not running
}

func newReporting(version string, log *slog.Logger) *reporting {
	return &reporting{version: version, log: log, now: time.Now, returned: make(chan *outgoing.Bounce, maxReturned)}
}

// use puts a generation in force, at the start and at each reload. One goroutine calls it.
func (r *reporting) use(g *Generation) {
	r.current.Store(g)
	c := g.Config.Reports
	on := c.Out.On() && c.Database != ""
	if r.end != nil && (!on || c.Out != r.running.Out || c.Database != r.running.Database || c.Keep != r.running.Keep) {
		r.close()
	}
	if r.end != nil {
		if s := r.sender.Load(); s != nil {
			s.Wake()
		}
		return
	}
	if !on {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	r.running, r.end = c, func() { cancel(); <-done }
	go func() {
		defer close(done)
		r.run(ctx, c)
	}()
}

// close stops the work. What is under way goes on after the next start.
func (r *reporting) close() {
	if r.end != nil {
		r.end()
		r.end = nil
	}
}

// run opens the database and sends reports until ctx ends.
func (r *reporting) run(ctx context.Context, c reports.Config) {
	db, sender := r.open(ctx, c)
	if sender == nil {
		return
	}
	defer db.Close()
	r.sender.Store(sender)
	defer r.sender.Store(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.storeReturned(ctx, sender)
	}()
	sender.Run(ctx)
	<-done
}

// open tries until the database opens or ctx ends.
func (r *reporting) open(ctx context.Context, c reports.Config) (*store.DB, *outgoing.Sender) {
	retry := time.NewTicker(reopenEvery)
	defer retry.Stop()
	for said := ""; ; {
		db, err := store.Open(ctx, c.Database)
		if err == nil {
			var s *outgoing.Sender
			if s, err = outgoing.New(ctx, c.Out, db, r.services(c)); err == nil {
				return db, s
			}
			db.Close()
		}
		if text := err.Error(); text != said && ctx.Err() == nil {
			said = text
			r.log.Warn("no reports are sent until the database opens", "error", text)
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-retry.C:
		}
	}
}

// services are those of the generation in force at each call.
func (r *reporting) services(c reports.Config) outgoing.Services {
	return outgoing.Services{
		Directory: func() outgoing.Directory { return r.current.Load().Directory() },
		Sign: func(ctx context.Context, h message.Header, body []byte) ([]message.Field, error) {
			return r.current.Load().Signer.SignOwn(ctx, h, body)
		},
		Now: r.now, Log: r.log, Count: r.count, Generator: "Signpost " + r.version, Keep: time.Duration(c.Keep) * 24 * time.Hour,
	}
}

// Directory asks DNS who wants reports, with the method by which mail is judged.
func (g *Generation) Directory() outgoing.Directory {
	return outgoing.NewDirectory(g.Resolver, g.Config.Verifier.DMARC.Discovery)
}

// storeReturned stores bounces, one after the other.
func (r *reporting) storeReturned(ctx context.Context, s *outgoing.Sender) {
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-r.returned:
			if err := s.Returned(ctx, b); err != nil && ctx.Err() == nil {
				r.log.Warn("a report came back, and the database did not take that: its address gets the next one, too", "error", err.Error())
			}
		}
	}
}

// status is for signpost status; nil while no reports are sent.
func (r *reporting) status(ctx context.Context) *status.ReportsOut {
	if r == nil {
		return nil
	}
	g := r.current.Load()
	if g == nil || !g.Config.Reports.Out.On() {
		return nil
	}
	const remedy = "see the log, and reports.database"
	s := r.sender.Load()
	if s == nil {
		return &status.ReportsOut{Problem: "the database is not open", Remedy: remedy}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	sum, err := s.Summary(ctx)
	if err != nil {
		return &status.ReportsOut{Problem: err.Error(), Remedy: remedy}
	}
	return &status.ReportsOut{Waiting: sum.Waiting, Sent: sum.Sent, Failed: sum.Failed, Suppressed: sum.Suppressed, Problem: sum.Trouble, Remedy: sum.Remedy}
}

// mine tells whether mail has the reverse-path of a report of ours.
func (r *reporting) mine(env message.Envelope) bool {
	s := r.sender.Load()
	return s != nil && s.Tokens().Mine(env.Sender)
}

// handlers are those of a generation, which see the bounces of reports as they pass.
func (r *reporting) handlers(h *milter.Generation) *milter.Generation {
	if r == nil {
		return h
	}
	return &milter.Generation{Signer: watchedSigner{h.Signer, r}, Verifier: watchedVerifier{h.Verifier, r}}
}

type watchedSigner struct {
	milter.Signer
	r *reporting
}

func (s watchedSigner) Sign(ctx context.Context, env message.Envelope) message.Transaction {
	return s.r.watch(s.Signer.Sign(ctx, env), env)
}

type watchedVerifier struct {
	milter.Verifier
	r *reporting
}

func (v watchedVerifier) Verify(ctx context.Context, env message.Envelope) message.Transaction {
	return v.r.watch(v.Verifier.Verify(ctx, env), env)
}

// watch follows mail with the null sender, which bounces have. Other mail passes as it is.
func (r *reporting) watch(t message.Transaction, env message.Envelope) message.Transaction {
	s := r.sender.Load()
	if env.Sender != "" || s == nil {
		return t
	}
	return &watched{Transaction: t, tokens: s.Tokens(), returned: r.returned}
}

// watched is a message that may be the bounce of a report.
type watched struct {
	message.Transaction
	tokens   *outgoing.Tokens
	returned chan<- *outgoing.Bounce
	wants    bool // the transaction wants the body
	reads    bool // the bounce does
	bounce   *outgoing.Bounce
}

// Header finds out whether it is one.
func (w *watched) Header(env message.Envelope, h message.Header) (wantBody bool) {
	w.wants = w.Transaction.Header(env, h)
	w.bounce = w.tokens.Watch(env, h)
	w.reads = w.bounce != nil
	return w.wants || w.reads
}

// Body passes the body on to both.
func (w *watched) Body(chunk []byte) (more bool) {
	if w.wants {
		w.wants = w.Transaction.Body(chunk)
	}
	if w.reads {
		w.reads = w.bounce.Write(chunk)
	}
	return w.wants || w.reads
}

// End is the transaction's. A bounce that was not refused is stored in the background.
func (w *watched) End() message.Outcome {
	out := w.Transaction.End()
	if w.bounce != nil && out.Disposition == message.Accept {
		select {
		case w.returned <- w.bounce:
		default:
		}
	}
	return out
}
