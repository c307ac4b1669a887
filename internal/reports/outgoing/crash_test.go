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
		var all sync.WaitGroup
		for range daemons {
			db := storetest.Open(w.t, w.db.Address())
			services := w.services()
			services.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
			s, err := New(w.t.Context(), w.config(), db, services)
			if err != nil {
				w.t.Fatal(err)
			}
			all.Go(func() {
				for range 3 {
					if err := s.Step(w.t.Context()); err != nil {
						w.t.Error(err)
					}
					w.pass(spreadEach * domains)
				}
			})
		}
		all.Wait()
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
