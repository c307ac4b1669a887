package traffic

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"signpost/internal/config"
	"signpost/internal/reports/store"
	"signpost/milter"
)

// Config says where a Recorder keeps its counters.
type Config struct {
	// Database is where; "" switches the counting off.
	Database store.Address
	// Spool is the folder for counters while PostgreSQL does not answer.
	Spool string
	// Keep is how many days are kept, MaxSize how many octets about.
	Keep    config.Days
	MaxSize config.Size
	// Addresses are those that reports are sent to and from, in lower case: mail to them is no
	// reason to report.
	Addresses []string
}

// Counts are what a Recorder has done, for metrics.
type Counts struct {
	Stored  atomic.Int64 // messages whose counters are in the database
	Folded  atomic.Int64 // of these, messages whose details were left out: there were too many
	Lost    atomic.Int64 // messages that could not be counted
	Spooled atomic.Int64 // octets that wait in files
	Down    atomic.Bool  // the database does not answer
}

// Recorder counts messages in the database. It is an observer of the milter, and may be used by
// many goroutines.
type Recorder struct {
	Counts Counts

	log     *slog.Logger
	now     func() time.Time
	pending pending
	set     atomic.Pointer[settings] // nil: nothing is counted
	kick    chan struct{}            // many tuples have come together
	use     chan Config
	flushes chan chan struct{}
	ending  context.Context
	end     context.CancelFunc
	ended   chan struct{}
	every   time.Duration
	timeout func(context.Context, time.Duration) (context.Context, context.CancelFunc) // context.WithTimeout
	trouble atomic.Pointer[Trouble]
}

// Trouble says why the database cannot be written.
type Trouble struct{ Problem, Remedy string }

// Trouble is about the last time that the database was written; zero where all was well. A nil recorder has none.
func (r *Recorder) Trouble() Trouble {
	if r == nil {
		return Trouble{}
	}
	if t := r.trouble.Load(); t != nil {
		return *t
	}
	return Trouble{}
}

// settings are what a message needs of a Config.
type settings struct{ addresses map[string]bool }

// flushEvery is how long a counter waits in memory.
const flushEvery = time.Second

// NewRecorder returns a recorder that counts nothing until Use.
func NewRecorder(log *slog.Logger, now func() time.Time) *Recorder {
	r := &Recorder{log: log, now: now, kick: make(chan struct{}, 1), use: make(chan Config, 1), flushes: make(chan chan struct{}), ended: make(chan struct{}),
		every: flushEvery, timeout: context.WithTimeout}
	r.ending, r.end = context.WithCancel(context.Background())
	go r.run()
	return r
}

// Use puts a configuration in force, at the start and at each reload. One goroutine calls it; a nil
// recorder ignores it. It does not wait for the
// database; what was counted before goes into the database of before.
func (r *Recorder) Use(c Config) {
	if r == nil {
		return
	}
	if c.Database == "" {
		r.set.Store(nil)
	} else {
		s := &settings{addresses: map[string]bool{}}
		for _, a := range c.Addresses {
			s.addresses[strings.ToLower(a)] = true
		}
		r.set.Store(s)
	}
	select {
	case <-r.use: // one that was not put in force yet
	default:
	}
	r.use <- c
}

// Flush writes what was counted until now, into the database or, if that does not answer, into the spool.
func (r *Recorder) Flush() {
	done := make(chan struct{})
	select {
	case r.flushes <- done:
		<-done
	case <-r.ended:
	}
}

// Decided counts a message.
func (r *Recorder) Decided(d milter.Decided) {
	s := r.set.Load()
	if s == nil {
		return
	}
	if r.pending.add(&d, r.now(), s.addresses) {
		select {
		case r.kick <- struct{}{}:
		default:
		}
	}
}

// Refused counts nothing.
func (r *Recorder) Refused(milter.Refusal) {}

// Close writes what was counted, and waits a few seconds for that at most.
func (r *Recorder) Close() {
	r.end()
	<-r.ended
}

// run owns the database. It writes once a second at most, unless many tuples come together.
func (r *Recorder) run() {
	defer close(r.ended)
	w := &writer{recorder: r, opened: make(chan opening, 1), gone: make(chan pruning, 1)}
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		select {
		case c := <-r.use:
			w.change(c)
			continue
		case o := <-w.opened:
			w.took(o)
		case g := <-w.gone:
			w.saidGone(g)
			continue
		case done := <-r.flushes:
			w.flushNow()
			close(done)
			continue
		case <-tick.C:
		case <-r.kick:
			w.early()
			continue
		case <-r.ending.Done():
			select {
			case c := <-r.use:
				w.change(c)
			default:
			}
			w.close()
			return
		}
		w.flush()
		w.keepBounds()
	}
}

// writer is the state of run.
type writer struct {
	recorder *Recorder
	config   Config
	db       *store.DB // nil: not open
	limits   limits
	spool    *spool
	held     *batch // taken from memory, and in neither the database nor the spool
	id       []byte // the batches' Writer
	number   int64  // rows of the batches until now
	most     int    // rows of one transaction; 0: all of a batch

	opened    chan opening
	attempt   *attempt // under way; nil: none
	next      time.Time
	wait      time.Duration
	complaint string // the last that was logged
	warned    map[string]Day
	pruned    time.Time
	gone      chan pruning       // at most one is under way
	pruning   context.CancelFunc // ends the one that is under way; nil: none
}

// pruning is the end of a deletion of old days.
type pruning struct {
	days []Day
	err  error
}

// opening is the end of an attempt to open the database.
type opening struct {
	by  *attempt
	db  *store.DB
	err error
}

type attempt struct{ cancel context.CancelFunc }

const (
	// writeTime bounds one transaction.
	writeTime = 10 * time.Second
	// closeTime bounds the last one.
	closeTime = 4 * time.Second
	// firstRetry and lastRetry bound the time between two attempts to open a database.
	firstRetry, lastRetry = time.Second, 30 * time.Second
	// atOnce is how many files of the spool are written between two looks at new counters.
	atOnce = 20
)

// change closes the database of before, with its counters written, and opens the next one.
func (w *writer) change(c Config) {
	same := w.config.Database == c.Database && w.config.Spool == c.Spool
	if !same && w.config.Database != "" {
		w.close()
	}
	w.config = c
	if same || c.Database == "" {
		return
	}
	w.rename()
	w.most = 0
	w.limits.forget()
	w.recorder.trouble.Store(nil)
	w.complaint, w.warned, w.wait, w.next, w.pruned = "", map[string]Day{}, firstRetry, time.Time{}, time.Time{}
	w.spool = nil
	if c.Database.Path() == "" {
		w.spool = &spool{dir: c.Spool, most: maxSpool}
		_ = w.spool.list() // it is tried again
	}
	w.open()
}

// rename makes the next batches those of another writer.
func (w *writer) rename() {
	w.id, w.number = make([]byte, 12), 0
	_, _ = rand.Read(w.id) // it never fails
}

// open begins to open the database in the background.
func (w *writer) open() {
	if w.attempt != nil || w.db != nil || w.config.Database == "" || w.recorder.now().Before(w.next) {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &attempt{cancel}
	w.attempt = a
	address, opened := w.config.Database, w.opened
	go func() {
		db, err := store.Open(ctx, address)
		select {
		case opened <- opening{a, db, err}:
		case <-ctx.Done(): // it is not wanted any more
			db.Close()
		}
	}()
}

// took receives the database.
func (w *writer) took(o opening) {
	if o.by != w.attempt {
		o.db.Close()
		return
	}
	w.attempt.cancel()
	w.attempt = nil
	if o.err != nil {
		w.broken(o.err)
		return
	}
	w.db, w.wait = o.db, firstRetry
}

// broken closes the database, and says so once. The next attempt comes later each time.
func (w *writer) broken(err error) {
	w.db.Close()
	w.db = nil
	w.limits.forget()
	w.next = w.recorder.now().Add(w.wait)
	w.wait = min(2*w.wait, lastRetry)
	w.recorder.Counts.Down.Store(true)
	trouble := Trouble{err.Error(), store.Remedy(w.config.Database, err)}
	w.recorder.trouble.Store(&trouble)
	if w.complaint == "" {
		where := "in memory, and their details are left out when they become too many"
		if w.spool != nil {
			where = "in " + w.spool.dir
		}
		w.recorder.log.Warn("reports: the database cannot be written; mail is not affected, and counters wait "+where,
			"problem", trouble.Problem, "remedy", trouble.Remedy)
	}
	w.complaint = err.Error()
}

// works notes that the database was written.
func (w *writer) works() {
	w.recorder.Counts.Down.Store(false)
	w.recorder.trouble.Store(nil)
	if w.complaint != "" {
		w.recorder.log.Info("reports: the database is written again", "database", w.config.Database.String())
		w.complaint = ""
	}
}

// flush moves counters on: from memory and from the spool into the database, or from memory
// into the spool.
func (w *writer) flush() {
	if w.config.Database == "" {
		return
	}
	w.hold()
	w.open()
	until := w.recorder.now().Add(writeTime)
	w.flushTo(context.Background(), func() bool { return w.recorder.ending.Err() != nil || w.recorder.now().After(until) })
}

// early is flush before the second is over: many tuples have come together. Those that could not be written
// wait for the second, since each message would have them encoded for the spool again.
func (w *writer) early() {
	if w.held == nil {
		w.flush()
	}
}

// flushTo begins no further transaction when it is enough. The end of ctx ends one that is under way.
func (w *writer) flushTo(ctx context.Context, enough func() bool) {
	if w.db != nil {
		if err := w.drain(ctx, enough); err != nil {
			w.broken(err)
		}
	}
	if w.held != nil && w.spool != nil {
		if err := w.spool.add(w.held); err != nil {
			w.sayOnceADay("spool", "reports: counters wait in memory, since they cannot be written to a file", "folder", w.spool.dir, "problem", err.Error())
		} else {
			w.held = nil
		}
	}
	if w.spool != nil {
		w.recorder.Counts.Spooled.Store(w.spool.bytes)
	}
}

// hold takes the counters from memory, unless those before are still here.
func (w *writer) hold() {
	if w.held != nil {
		return
	}
	rows, outbound, folded := w.recorder.pending.take()
	w.recorder.Counts.Folded.Add(folded)
	if len(rows)+len(outbound) == 0 {
		return
	}
	if folded > 0 {
		w.sayFolded(folded)
	}
	w.held = newBatch(rows, outbound)
	w.held.Writer, w.held.Number = w.id, w.number
	w.number += int64(w.held.size())
}

// drain writes what waits in files, then what was taken from memory. The batches of one writer keep their order, since
// the database takes an earlier one for written.
func (w *writer) drain(ctx context.Context, enough func() bool) error {
	var waiting map[string]bool
	if w.spool != nil {
		var err error
		if waiting, err = w.drainSpool(ctx, enough); err != nil {
			return err
		}
	}
	switch {
	case w.held == nil:
	case waiting == nil || !waiting[writerName(w.held.Writer)]:
		if err := w.write(ctx, w.held, enough); err != nil {
			return err
		}
		if w.held.isWritten() {
			w.held = nil
		}
	case bytes.Equal(w.held.Writer, w.id):
		w.rename()
	}
	return nil
}

// drainSpool writes some files. waiting are the writers of those that are left.
func (w *writer) drainSpool(ctx context.Context, enough func() bool) (waiting map[string]bool, err error) {
	waiting = map[string]bool{}
	if err := w.spool.list(); err != nil {
		w.sayOnceADay("spool-list", "reports: counters of an earlier process wait, since their folder cannot be read", "folder", w.spool.dir, "problem", err.Error())
	}
	read := 0
	for _, f := range slices.Clone(w.spool.files) {
		if read == atOnce || read > 0 && enough() {
			waiting[f.writer()] = true
		}
		if waiting[f.writer()] {
			continue
		}
		b, err := w.spool.read(f)
		if err == nil {
			read++
		}
		switch {
		case isLost(err):
			w.recorder.Counts.Lost.Add(f.messages())
			w.recorder.log.Warn("reports: counters in a file are lost", "messages", f.messages(), "problem", err.Error())
		case err != nil:
			w.sayOnceADay("spool-read", "reports: counters wait in a file that cannot be read now; it is tried again each second", "messages", f.messages(),
				"problem", err.Error(), "remedy", "see to the file, or remove it: then its counters are lost")
			waiting[f.writer()] = true
			continue
		default:
			if err := w.write(ctx, b, enough); err != nil {
				return waiting, err
			}
			if !b.isWritten() {
				waiting[f.writer()] = true
				continue
			}
		}
		if err := w.spool.remove(f); err != nil {
			w.recorder.log.Warn("reports: a file of counters that were stored cannot be removed", "problem", err.Error())
		}
	}
	return waiting, nil
}

// write writes a batch, in as many transactions as the database needs to end each in its time.
func (w *writer) write(ctx context.Context, b *batch, enough func() bool) error {
	for first := true; !b.isWritten() && (first || !enough()); first = false {
		if err := w.writePart(ctx, b); err != nil {
			return fmt.Errorf("reports.database %s: %w", w.config.Database, err)
		}
	}
	return nil
}

// writePart is one transaction. After one that took too long, the next has half of its rows, and after one that was quick,
// twice as many.
func (w *writer) writePart(ctx context.Context, b *batch) error {
	inTime, cancel := w.recorder.timeout(ctx, writeTime)
	defer cancel()
	before, begun := b.done, w.recorder.now()
	most := b.size() - before
	if w.most > 0 {
		most = min(most, w.most)
	}
	folded, err := b.write(inTime, w.db, &w.limits, most)
	if err != nil {
		if inTime.Err() != nil && ctx.Err() == nil || store.TookTooLong(err) {
			w.most = max(most/2, 1)
		}
		return err
	}
	if w.most > 0 && w.recorder.now().Sub(begun) < writeTime/4 {
		w.most *= 2
		if w.most >= maxPending {
			w.most = 0
		}
	}
	w.works()
	w.recorder.Counts.Stored.Add(b.messagesOf(before, b.done))
	if folded > 0 {
		w.recorder.Counts.Folded.Add(folded)
		w.sayFolded(folded)
	}
	return nil
}

func (w *writer) sayFolded(n int64) {
	w.sayOnceADay("folded", "reports: too many different senders for one day: the details of some messages are not kept, only their number", "messages", n)
}

// sayOnceADay logs a warning of a kind at most once in a UTC day.
func (w *writer) sayOnceADay(kind, text string, args ...any) {
	today := DayOf(w.recorder.now())
	if w.warned[kind] == today {
		return
	}
	w.warned = maps.Clone(w.warned)
	if w.warned == nil {
		w.warned = map[string]Day{}
	}
	w.warned[kind] = today
	w.recorder.log.Warn(text, args...)
}

// close writes what is there, into the spool if need be, and closes the database.
func (w *writer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	w.stopPruning(ctx)
	w.awaitOpening(ctx)
	var lost int64
	for range 2 { // what was held, and what is in memory
		w.hold()
		w.flushTo(ctx, func() bool { return false })
		if w.held != nil {
			lost += w.held.messages()
			w.held = nil
		}
	}
	if lost > 0 {
		w.recorder.Counts.Lost.Add(lost)
		w.recorder.log.Warn("reports: counters are lost, since the database could not be written", "messages", lost, "problem", w.complaint)
	}
	w.db.Close()
	w.db = nil
}

// awaitOpening waits for a first attempt that is under way, so that a short life is counted too.
func (w *writer) awaitOpening(ctx context.Context) {
	if w.attempt == nil {
		return
	}
	select {
	case o := <-w.opened:
		w.took(o)
	case <-ctx.Done():
	}
	if w.attempt != nil {
		w.attempt.cancel()
		w.attempt = nil
	}
}

// flushNow is flush, after the first attempt to open the database.
func (w *writer) flushNow() {
	select {
	case c := <-w.recorder.use:
		w.change(c)
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTime)
	defer cancel()
	w.awaitOpening(ctx)
	w.flush()
}

// stopPruning ends a deletion: SQLite has one writer at a time, and the last counters come first. The next process goes on with it.
func (w *writer) stopPruning(ctx context.Context) {
	if w.pruning == nil {
		return
	}
	w.pruning()
	select {
	case g := <-w.gone:
		if errors.Is(g.err, context.Canceled) {
			g.err = nil
		}
		w.saidGone(g)
	case <-ctx.Done():
	}
}

// keepBounds deletes old days from time to time, in the background.
func (w *writer) keepBounds() {
	now := w.recorder.now()
	if w.db == nil || w.pruning != nil || now.Sub(w.pruned) < pruneEvery {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), pruneTime)
	w.pruned, w.pruning = now, cancel
	db, c := w.db, w.config
	go func() {
		defer cancel()
		days, err := prune(ctx, db, DayOf(now), c.Keep, c.MaxSize)
		w.gone <- pruning{days, err}
	}()
}

// saidGone logs the end of a deletion. What it did not reach is deleted the next time.
func (w *writer) saidGone(p pruning) {
	w.pruning = nil
	w.limits.forget()
	if n := len(p.days); n > 0 {
		w.recorder.log.Warn("reports: the counters were larger than reports.max_size, and the oldest days were deleted", "days", n, "last", p.days[n-1].String())
	}
	if p.err != nil && w.db != nil {
		w.sayOnceADay("prune", "reports: old counters could not be deleted; the next attempt comes in an hour", "problem", p.err.Error())
	}
}

// SpoolFolder is the folder for counters that wait, beside the state of the daemon.
func SpoolFolder(state string) string { return filepath.Join(state, "reports-spool") }
