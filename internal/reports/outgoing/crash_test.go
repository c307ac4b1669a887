package outgoing

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"signpost/internal/reports/store"
	"signpost/internal/reports/store/storetest"
)

// The process of a crash test sends reports, and kills itself at a stage.
const (
	crashStage = "SIGNPOST_TEST_CRASH_STAGE"
	crashStore = "SIGNPOST_TEST_CRASH_STORE"
	crashMTA   = "SIGNPOST_TEST_CRASH_MTA"
	crashNow   = "SIGNPOST_TEST_CRASH_NOW"
)

func crashWorld(w *world) {
	w.zone["_dmarc.blue.example"] = []string{"v=DMARC1; p=none; rua=mailto:a@blue.example,mailto:b@blue.example"}
	w.publish("red.example")
}

func TestTheProcessThatCrashes(t *testing.T) {
	stage := os.Getenv(crashStage)
	if stage == "" {
		return // it is only for the test below
	}
	w := &world{t: t, db: storetest.Open(t, store.Address(os.Getenv(crashStore))), zone: zone{}, mta: &mta{addr: os.Getenv(crashMTA)}}
	var now int64
	if _, err := fmt.Sscan(os.Getenv(crashNow), &now); err != nil {
		t.Fatal(err)
	}
	w.now.Store(now)
	crashWorld(w)
	s := w.sender()
	s.stage = func(at string) {
		if at == stage {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	w.step(s)
	w.pass(spreadEach)
	w.step(s)
	t.Fatalf("the stage %s was not reached: %s", stage, w.log.String())
}

func crash(w *world, stage string) {
	w.t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestTheProcessThatCrashes$")
	c.Env = append(os.Environ(), crashStage+"="+stage, crashStore+"="+string(w.db.Address()), crashMTA+"="+w.mta.addr, fmt.Sprintf("%s=%d", crashNow, w.now.Load()))
	out, err := c.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		w.t.Fatalf("%v\n%s", err, out)
	}
	w.ended()
}

// ended waits until PostgreSQL has ended the transactions of the killed process: rows that they lock are skipped, and in
// a daemon taken a round later.
func (w *world) ended() {
	w.t.Helper()
	if !w.db.Shared() {
		return
	}
	for open, limit := 1, time.Now().Add(30*time.Second); open > 0; {
		err := w.db.QueryRow(w.t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'`).Scan(&open)
		if err != nil || time.Now().After(limit) {
			w.t.Fatalf("%d transactions of the killed process are open: %v", open, err)
		}
	}
}

func TestACrashAtAnyPointLosesNoReport(t *testing.T) {
	for _, stage := range []string{"planned", stateBuilding, stateQueued, stateSending, "offered", "between"} {
		t.Run(stage, func(t *testing.T) {
			each(t, func(w *world) {
				crashWorld(w)
				w.count(row{domain: "blue.example", p: "none", rua: "mailto:a@blue.example mailto:b@blue.example", count: 5})
				w.count(row{domain: "red.example"})
				crash(w, stage)
				before := w.mta.taken()
				w.pass(time.Minute)
				s := w.sender()
				w.step(s) // what no process had claimed
				w.pass(lease + spreadEach)
				w.step(s)
				if got := w.states(); got != "blue.example sent, red.example sent" {
					w.t.Fatalf("%s; %s", got, w.log.String())
				}
				seen := map[string]offer{}
				for _, o := range w.mta.taken() {
					if first, again := seen[o.to]; again && first != o {
						w.t.Errorf("%s got two mails that differ:\n%+v\n%+v", o.to, first, o)
					}
					seen[o.to] = o
				}
				if len(seen) != 3 {
					w.t.Errorf("%d destinations; %d mails before the crash", len(seen), len(before))
				}
				if n, most := len(w.mta.taken()), 3+workers; n > most || stage == stateBuilding && n != 3 {
					w.t.Errorf("%d mails", n)
				}
			})
		})
	}
}

func TestTwoDaemonsOnOneDatabaseSendEachReportOnce(t *testing.T) {
	const domains, daemons = 120, 3
	each(t, func(w *world) {
		for i := range domains {
			d := fmt.Sprintf("d%d.example", i)
			w.publish(d)
			w.count(row{domain: d})
		}
		var senders []*Sender
		for range daemons {
			services := w.services()
			services.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
			s, err := New(w.t.Context(), w.config(), storetest.Open(w.t, w.db.Address()), services)
			if err != nil {
				w.t.Fatal(err)
			}
			senders = append(senders, s)
		}
		for range 3 { // no time passes while they work, so that no claim ends
			var all sync.WaitGroup
			for _, s := range senders {
				all.Go(func() {
					if err := s.Step(w.t.Context()); err != nil {
						w.t.Error(err)
					}
				})
			}
			all.Wait()
			w.pass(spreadEach * domains)
		}
		w.step(w.sender())
		got := map[string]int{}
		for _, o := range w.mta.taken() {
			got[o.to]++
		}
		for to, n := range got {
			if n != 1 {
				w.t.Errorf("%s got %d mails", to, n)
			}
		}
		if len(got) != domains || strings.Count(w.states(), "sent") != domains {
			w.t.Errorf("%d reports; %s", len(got), w.states())
		}
	})
}

// A process that was stopped for longer than its lease must not store what it did.
func TestALostLeaseStoresNothing(t *testing.T) {
	each(t, func(w *world) {
		w.publish("blue.example")
		w.count(row{domain: "blue.example"})
		slow, other := w.sender(), w.sender()
		resumed := false
		slow.stage = func(at string) {
			if at == stateQueued && !resumed {
				resumed = true
				w.pass(lease + time.Second)
				w.step(other)
			}
		}
		w.step(slow)
		if got := w.mta.taken(); len(got) != 1 || w.states() != "blue.example sent" || !resumed {
			w.t.Errorf("%d mails; %s", len(got), w.states())
		}
	})
}

func TestACrashDelaysAReportByTenMinutes(t *testing.T) {
	each(t, func(w *world) {
		crashWorld(w)
		w.count(row{domain: "red.example"})
		crash(w, stateSending)
		s := w.sender()
		w.pass(10*time.Minute + spreadEach)
		w.step(s)
		if got := w.states(); got != "red.example sent" {
			t.Errorf("%s; %s", got, w.log.String())
		}
	})
}

// A stop makes the worker that first reaches a stage wait there.
type stop struct {
	stage         string
	reached, goOn chan struct{}
	stopped       atomic.Bool
	idle          chan struct{} // the other workers of the step have nothing to do
}

func stopAt(stage string) *stop {
	return &stop{stage: stage, reached: make(chan struct{}), goOn: make(chan struct{}), idle: make(chan struct{}, 100)}
}

func (s *stop) at(stage string) {
	switch {
	case stage == "idle":
		s.idle <- struct{}{}
	case stage == s.stage && s.stopped.CompareAndSwap(false, true):
		close(s.reached)
		<-s.goOn
	}
}

// paused runs a step of a sender until it reaches a stage, and only that worker is left. resume lets it go on, and returns
// its error.
func (w *world) paused(s *Sender, at *stop) (resume func() error) {
	w.t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Step(w.t.Context()) }()
	select {
	case <-at.reached:
	case err := <-done:
		w.t.Fatalf("the step ended before %s: %v; %s", at.stage, err, w.log.String())
	}
	for range workers - 1 {
		<-at.idle
	}
	return func() error {
		close(at.goOn)
		return <-done
	}
}

// beating is a sender that renews its claims when beat is called, which waits for the result,
// and that stops at stages.
func (w *world) beating(db *store.DB, stops ...*stop) (s *Sender, beat func() string) {
	w.t.Helper()
	s, err := New(w.t.Context(), w.config(), db, w.services())
	if err != nil {
		w.t.Fatal(err)
	}
	beats, results := make(chan time.Time), make(chan string, 1)
	s.beats = beats
	s.stage = func(at string) {
		if at == "renewed" || at == "lost" {
			results <- at
			return
		}
		for _, one := range stops {
			one.at(at)
		}
	}
	return s, func() string {
		beats <- time.Time{}
		return <-results
	}
}

func (w *world) sentOnce(what string) {
	w.t.Helper()
	var states string
	if err := w.db.QueryRow(w.t.Context(), `SELECT state FROM outgoing_deliveries`).Scan(&states); err != nil {
		w.t.Fatalf("%s: %v; %s; %s", what, err, w.states(), w.log.String())
	}
	if got := w.mta.taken(); len(got) != 1 || w.states() != "blue.example sent" || states != stateSent {
		w.t.Errorf("%s: %d mails; %s; delivery %s; %s", what, len(got), w.states(), states, w.log.String())
	}
}

func TestAClaimIsRenewedAsLongAsTheWorkLasts(t *testing.T) {
	for _, stage := range []string{stateBuilding, stateQueued, stateSending, "offered"} {
		t.Run(stage, func(t *testing.T) {
			each(t, func(w *world) {
				w.publish("blue.example")
				w.count(row{domain: "blue.example"})
				other, at := w.sender(), stopAt(stage)
				slow, beat := w.beating(w.db, at)
				resume := w.paused(slow, at)
				for range 8 {
					w.pass(lease / 2)
					if got := beat(); got != "renewed" {
						w.t.Fatal(got)
					}
					w.step(other)
				}
				if err := resume(); err != nil {
					w.t.Error(err)
				}
				w.sentOnce("after four leases")
			})
		})
	}
}

func TestALostClaimSendsNothing(t *testing.T) {
	for _, stage := range []string{stateBuilding, stateQueued, stateSending} {
		t.Run(stage, func(t *testing.T) {
			each(t, func(w *world) {
				w.publish("blue.example")
				w.count(row{domain: "blue.example"})
				at := stopAt(stage)
				slow, beat := w.beating(w.db, at)
				resume := w.paused(slow, at)
				w.pass(lease + time.Second)
				w.step(w.sender())
				w.sentOnce("the other one")
				if got := beat(); got != "lost" {
					w.t.Error(got)
				}
				if err := resume(); err != nil {
					w.t.Error(err)
				}
				w.sentOnce("and the one that lost it")
			})
		})
	}
}

// The workers of one process have claims of their own: what one of them has lost is not in its
// hands because its neighbour has it.
func TestAClaimIsLostToTheSameProcessToo(t *testing.T) {
	each(t, func(w *world) {
		w.publish("blue.example")
		w.count(row{domain: "blue.example"})
		first, second := stopAt(stateSending), stopAt(stateSending)
		var now atomic.Pointer[stop]
		now.Store(first)
		s, beat := w.beating(w.db)
		renewals := s.stage
		s.stage = func(at string) {
			renewals(at)
			now.Load().at(at)
		}
		resumeFirst := w.paused(s, first)
		w.pass(lease + time.Second)
		now.Store(second)
		resumeSecond := w.paused(s, second)
		for beat() != "lost" { // the renewals of both; the second one's is no end
		}
		for _, resume := range []func() error{resumeFirst, resumeSecond} {
			if err := resume(); err != nil {
				w.t.Error(err)
			}
		}
		w.sentOnce("one process")
	})
}

// Where the database does not answer, a claim that could not be renewed is given up before
// others may take the report.
func TestAClaimThatCannotBeRenewedIsGivenUp(t *testing.T) {
	each(t, func(w *world) {
		w.publish("blue.example")
		w.count(row{domain: "blue.example"})
		db, at := storetest.Open(w.t, w.db.Address()), stopAt(stateSending)
		slow, beat := w.beating(db, at)
		resume := w.paused(slow, at)
		db.Close()
		w.pass(lease - 2*renewal)
		if got := beat(); got != "lost" {
			w.t.Error(got)
		}
		if err := resume(); err == nil {
			w.t.Error("no error")
		}
		if got := w.mta.taken(); len(got) != 0 {
			w.t.Errorf("%d mails", len(got))
		}
		w.pass(2*renewal + spreadEach)
		w.step(w.sender())
		w.sentOnce("after the outage")
	})
}
