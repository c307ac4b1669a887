package keys

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// silence has all servers say nothing, or answer again.
func (s *scene) silence(silent bool) {
	for _, n := range s.dns {
		n.set(func() { n.silent = silent })
	}
}

func TestAStartWaitsForNothing(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.silence(true)
		begun := time.Now()
		s.start("s1")
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
		d := s.plan.Roster.Duty("example.com")
		if !d.Open() || len(d.Keys) != 0 {
			t.Errorf("before DNS was heard, %d keys sign, open: %v", len(d.Keys), d.Open())
		}
		if text := s.logged(); text != "" {
			t.Errorf("what is not known yet is told: %s", text)
		}
		begun = time.Now()
		check(t, d.Wait(s.t.Context()))
		if took := time.Since(begun); took != firstAnswer {
			t.Errorf("a message waited %v for DNS that is silent", took)
		}
		if s.plan.Roster.Duty("example.com").Open() {
			t.Error("the next message waits again")
		}
	})
}

func TestAMessageWaitsNoLongerThanItsContext(t *testing.T) {
	play(t, func(s *scene) {
		s.silence(true)
		s.start("s1")
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		if err := s.plan.Roster.Duty("example.com").Wait(ctx); err == nil {
			t.Error("it is told that DNS was heard")
		}
		if d := s.plan.Roster.Duty("example.com"); !d.Open() || len(d.Keys) != 0 {
			t.Errorf("%d keys sign", len(d.Keys))
		}
		s.after(firstAnswer) // the question goes on without it
	})
}

func TestAKeyThatWasProvenSignsAtOnceAfterARestart(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		s.after(time.Minute)
		s.end()
		s.withdraw("s1")
		outage := func(err error) {
			for _, n := range s.dns {
				n.set(func() { n.broken = err })
			}
		}
		outage(errors.New("SERVFAIL"))
		s.after(10 * time.Minute)
		s.start("s1")
		d := s.plan.Roster.Duty("example.com")
		if d.Open() || len(d.Keys) != 1 {
			t.Errorf("%d keys sign, open: %v", len(d.Keys), d.Open())
		}
		outage(nil)
		s.after(time.Minute)
		s.want("when DNS was asked again, in the background", "", "s1 missing")
	})
}

// A key that stands in may sign at once, but whether it has to is not known before
// its successor was asked for.
func TestASuccessorIsAskedForBeforeAKeyStandsIn(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		s.end()
		s.publish("s2")
		s.w = NewWatch(s.cfg.State, time.Now)
		s.reload("s2")
		if !s.plan.Roster.Duty("example.com").Open() {
			t.Error("the successor was not asked for")
		}
		s.want("a start with another selector", "s2", "s1 retiring, s2 active")
	})
}

func TestAReloadEndsQuestionsThatNobodyAsksAnyMore(t *testing.T) {
	play(t, func(s *scene) {
		s.silence(true)
		s.w = NewWatch(s.cfg.State, time.Now)
		s.reload("s1")
		d := s.plan.Roster.Duty("example.com")
		waited := make(chan error, 1)
		go func() { waited <- d.Wait(s.t.Context()) }()
		synctest.Wait()
		s.silence(false)
		s.publish("s2")
		s.reload("s2")
		check(t, <-waited)
		s.want("after the reload", "s2", "s2 active")
		if len(s.w.open) != 0 {
			t.Errorf("%d questions are open", len(s.w.open))
		}
		s.after(firstAnswer)
	})
}
