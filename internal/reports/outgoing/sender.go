package outgoing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"signpost/internal/message"
	"signpost/internal/reports/store"
	"signpost/internal/submission"
)

const (
	// wakeEvery is how often the sender looks for work.
	wakeEvery = time.Minute
	// workers is how many reports are worked on at once: some wait for DNS.
	workers = 4
	// consentTime bounds the look-ups for one report: a domain whose servers do not answer
	// delays no other.
	consentTime = 30 * time.Second
	// patience is how long a report is tried.
	patience = 48 * time.Hour
	// The time to the next attempt doubles from firstRetry to lastRetry.
	firstRetry, lastRetry = 15 * time.Minute, 4 * time.Hour
)

// Services are what a Sender needs of the daemon. Each call uses the generation in force.
type Services struct {
	// Directory asks DNS.
	Directory func() Directory
	// Sign returns the signature fields of a message. An error means that it must not leave.
	Sign func(ctx context.Context, h message.Header, body []byte) ([]message.Field, error)
	// Now is the clock.
	Now func() time.Time
	Log *slog.Logger
	// Count counts what became of a report, one of Results. It may be nil.
	Count func(result string)
	// Generator names this program in reports.
	Generator string
	// Keep is how long finished reports are kept.
	Keep time.Duration
}

// Results are what becomes of reports: sent and failed count reports, suppressed and bounced
// deliveries to one address.
func Results() []string { return []string{stateSent, stateFailed, stateSuppressed, stateBounced} }

// Sender plans, builds and sends the reports of a database. Several, in one process or more,
// share the work.
type Sender struct {
	Services
	cfg    Config
	queue  *queue
	tokens *Tokens
	wake   chan struct{}

	mu       sync.Mutex
	reported map[string]time.Time // when a kind of problem was logged last
	trouble  trouble              // why all reports wait

	pruned int64 // the day on which Step last deleted old rows

	stage func(string)     // tests stop the process at a stage; nil otherwise
	beats <-chan time.Time // tests say when claims are renewed; nil otherwise
}

// New returns a sender. The error is one of the database.
func New(ctx context.Context, cfg Config, db *store.DB, services Services) (*Sender, error) {
	s := &Sender{Services: services, cfg: cfg, queue: newQueue(db), wake: make(chan struct{}, 1), reported: map[string]time.Time{}}
	secret, err := s.queue.secret(ctx)
	if err != nil {
		return nil, err
	}
	s.tokens = NewTokens(secret, cfg.From)
	return s, nil
}

// Tokens returns the tokens of the bounce addresses.
func (s *Sender) Tokens() *Tokens { return s.tokens }

// Run works until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
		}
		if err := s.Step(ctx); err != nil && ctx.Err() == nil {
			s.sometimes("database", "reports to others wait: the database does not answer", "error", err.Error())
		}
		timer.Reset(wakeEvery)
	}
}

// Wake makes Run look for work at once.
func (s *Sender) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Step does all the work that is due: it plans the reports of a day that is over, and builds and
// sends reports until none is due. The error is one of the database.
func (s *Sender) Step(ctx context.Context) error {
	if err := s.plan(ctx); err != nil {
		return err
	}
	s.at("planned")
	var all sync.WaitGroup
	failed := make([]error, workers)
	for i := range workers {
		all.Go(func() { failed[i] = s.drain(ctx) })
	}
	all.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return s.prune(ctx)
}

// drain works on reports until none is due.
func (s *Sender) drain(ctx context.Context) error {
	for ctx.Err() == nil {
		r, err := s.queue.claim(ctx, s.Now())
		if err != nil || r == nil {
			s.at("idle")
			return err
		}
		if err := s.guarded(ctx, r); err != nil && !errors.Is(err, errLost) {
			return err
		}
	}
	return nil
}

// guarded is work, and survives a panic in it: the daemon has mail to handle.
func (s *Sender) guarded(ctx context.Context, r *report) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.Log.Error("panic in the work on a report; please report it", "report", r.reportID, "domain", r.identity.domain, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = s.queue.postpone(ctx, r, "a panic of this program", s.Now().Add(lastRetry))
		}
	}()
	r.identity.submitter = s.cfg.Submitter()
	held, release := s.hold(ctx, r)
	defer release()
	if err = s.work(held, r); err != nil && lost(held) {
		return errLost
	}
	return err
}

func (s *Sender) at(stage string) {
	if s.stage != nil {
		s.stage(stage)
	}
}

// work takes a claimed report as far as it goes now.
func (s *Sender) work(ctx context.Context, r *report) error {
	s.at(stateBuilding)
	if r.state == stateBuilding {
		b, err := s.build(ctx, r)
		if err != nil {
			return err
		}
		if b.records == 0 {
			return s.failed(ctx, r, "there is nothing to report: its counters are deleted, or have no source address")
		}
		if err := s.queue.built(ctx, r, b); err != nil {
			return err
		}
	}
	s.at(stateQueued)
	return s.send(ctx, r)
}

// failed gives a report up.
func (s *Sender) failed(ctx context.Context, r *report, why string) error {
	s.Log.Warn("a report was not sent", "report", r.reportID, "domain", r.identity.domain, "reason", why)
	s.count(stateFailed)
	return s.queue.finish(ctx, r, stateFailed, why, s.Now())
}

func (s *Sender) count(result string) {
	if s.Count != nil {
		s.Count(result)
	}
}

// later tries again after a while, or gives up when the report is too old.
func (s *Sender) later(ctx context.Context, r *report, why string) error {
	now := s.Now()
	if now.Sub(r.created) >= patience {
		return s.failed(ctx, r, fmt.Sprintf("given up after %d attempts: %s", r.attempts, why))
	}
	s.Log.Debug("a report waits", "report", r.reportID, "domain", r.identity.domain, "reason", why)
	wait := lastRetry
	if r.attempts < 6 {
		wait = min(wait, firstRetry<<(r.attempts-1))
	}
	return s.queue.postpone(ctx, r, why, now.Add(wait))
}

// send offers a report to each address that wants it now.
func (s *Sender) send(ctx context.Context, r *report) error {
	asking, cancel := context.WithTimeout(ctx, consentTime)
	consent := s.Directory().Consent(asking, r.identity.domain)
	cancel()
	switch {
	case lost(ctx):
		return errLost
	case ctx.Err() != nil:
		return s.queue.postpone(context.WithoutCancel(ctx), r, "the daemon stopped", s.Now())
	case consent.Err != nil:
		return s.later(ctx, r, consent.Err.Error())
	case consent.Refusal != "":
		return s.end(ctx, r, consent.Refusal)
	}
	states, err := s.queue.deliveries(ctx, r)
	if err != nil {
		return err
	}
	why := "" // a further attempt is needed
	for _, address := range consent.open() {
		if final(states[sameAddress(address)]) {
			continue
		}
		state, said, err := s.deliver(ctx, r, address)
		if err != nil {
			return err
		}
		if !final(state) {
			why = address + ": " + said
		}
		s.at("between")
	}
	if err := consent.undecided(); err != nil && why == "" {
		why = err.Error()
	}
	if why != "" {
		return s.later(ctx, r, why)
	}
	return s.end(ctx, r, consent.problems())
}

// final tells whether no further attempt is made for an address.
func final(state string) bool {
	return state == stateSent || state == stateFailed || state == stateSuppressed || state == stateBounced
}

// end finishes a report of which no delivery is left: it is sent if the MTA took it for one
// address.
func (s *Sender) end(ctx context.Context, r *report, why string) error {
	states, err := s.queue.deliveries(ctx, r)
	if err != nil {
		return err
	}
	var to, not []string
	for address, state := range states {
		if state == stateSent || state == stateBounced {
			to = append(to, address)
		} else {
			not = append(not, address+" ("+state+")")
		}
	}
	if len(to) == 0 {
		return s.failed(ctx, r, strings.TrimSuffix("no destination took it: "+strings.Join(append(not, why), "; "), ": "))
	}
	s.Log.Info("a report was sent", "report", r.reportID, "domain", r.identity.domain, "messages", r.messages, "to", strings.Join(to, " "))
	s.count(stateSent)
	return s.queue.finish(ctx, r, stateSent, why, s.Now())
}

// deliver offers a report to the MTA for one address. said is the MTA's answer, or why it was
// not offered. The error is one of the database.
func (s *Sender) deliver(ctx context.Context, r *report, address string) (state, said string, err error) {
	paused, ok, err := suppressed(ctx, s.queue.db, address, s.Now())
	if err != nil {
		return "", "", err
	}
	if ok {
		s.count(stateSuppressed)
		said = fmt.Sprintf("no reports until %s, since one came back: %s", paused.Until.Format(time.DateOnly), paused.Why)
		return stateSuppressed, said, s.queue.delivered(ctx, r, address, stateSuppressed, said, s.Now())
	}
	mail, err := s.signed(ctx, r, address)
	if err != nil {
		s.hasTrouble("signing", "they are not sent unsigned", err.Error(), "list the domain in signer.domains with a key that is published: signpost keys generate --help", "from", s.cfg.From)
		return stateQueued, err.Error(), nil
	}
	if err := s.queue.begin(ctx, r, address, s.Now()); err != nil {
		return "", "", err
	}
	s.at(stateSending)
	said, err = submission.Send(ctx, s.cfg.SMTP, mail)
	s.at("offered")
	state = stateSent
	if ctx.Err() != nil && err != nil {
		state, said = stateQueued, "the work was interrupted"
	} else if e, failed := errors.AsType[*submission.Error](err); failed {
		state, said = s.notTaken(e), tidy(e.Error())
	} else {
		s.noTrouble()
	}
	// The answer is stored even if the daemon is stopping.
	return state, said, s.queue.delivered(context.WithoutCancel(ctx), r, address, state, tidy(said), s.Now())
}

// notTaken is the state of a delivery that the MTA did not take.
func (s *Sender) notTaken(e *submission.Error) string {
	switch e.Kind {
	case submission.Refused:
		return stateFailed
	case submission.Setup:
		s.hasTrouble("setup", "the MTA does not take them", e.Error(), "let the MTA at reports.out.smtp take mail from this host for any recipient (Postfix: mynetworks)", "smtp", s.cfg.SMTP)
	case submission.Later:
		if e.Step == "connect" {
			s.hasTrouble("connect", "the MTA does not answer", e.Error(), "see whether it runs, and whether reports.out.smtp is its address", "smtp", s.cfg.SMTP)
		}
	}
	return stateQueued
}

// signed is the mail for one address with our signature. Its names, its date and its text are
// the same at each attempt.
func (s *Sender) signed(ctx context.Context, r *report, address string) (submission.Message, error) {
	l := letter{
		orgName: s.cfg.OrgName, from: s.cfg.From, to: address, submitter: s.cfg.Submitter(), domain: r.identity.domain,
		reportID: r.reportID, fileName: r.fileName, messageID: messageID(r.reportID, address, s.cfg.Submitter()),
		day: r.identity.day, date: r.created, report: r.xml, messages: fmt.Sprintf("%d messages", r.messages),
	}
	text := l.text()
	header, body, err := split(text)
	if err != nil {
		return submission.Message{}, err
	}
	fields, err := s.Sign(ctx, header, body)
	if err != nil {
		return submission.Message{}, err
	}
	var top strings.Builder
	for _, f := range fields {
		top.WriteString(f.Name + ": " + f.Value + "\r\n")
	}
	return submission.Message{
		From: s.tokens.address(r.identity.day, deliveryKey(r.reportID, address)), To: address, Data: append([]byte(top.String()), text...),
	}, nil
}

// prune deletes old rows once a day.
func (s *Sender) prune(ctx context.Context) error {
	now := s.Now()
	if today := now.Unix() / 86400; today == s.pruned {
		return nil
	} else if err := s.queue.prune(ctx, now, s.Keep); err != nil {
		return err
	} else {
		s.pruned = today
	}
	return nil
}

// sometimes logs a problem, once an hour for each kind.
func (s *Sender) sometimes(kind, text string, attrs ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	if last, ok := s.reported[kind]; ok && now.Sub(last) < time.Hour && now.After(last) {
		return
	}
	s.reported[kind] = now
	s.Log.Warn(text, attrs...)
}

// Returned stores that a report came back, if a message that has passed says so, and pauses its
// address. It waits for the database.
func (s *Sender) Returned(ctx context.Context, b *Bounce) error {
	why := b.failed()
	if why == "" || expired(b.day, s.Now()) {
		return nil
	}
	paused, ok, err := s.queue.bounced(ctx, b.key, why, s.Now())
	if err != nil || !ok {
		return err
	}
	s.count(stateBounced)
	s.Log.Warn("a report came back: its address gets none for a while", "to", paused.Address, "reason", why,
		"until", paused.Until.UTC().Format(time.DateOnly), "bounces", paused.Bounces,
		"remedy", "if the address works again: signpost report suppressed --lift "+paused.Address)
	return nil
}
