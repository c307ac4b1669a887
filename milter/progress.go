package milter

import (
	"context"
	"fmt"
	"time"

	"signpost/internal/message"
)

// await waits for a decision and sends PROGRESS meanwhile. late means that the MTA has got 451 already and
// the connection is closed, since the handler did not return in time.
func (s *session) await(handler message.Transaction) (outcome message.Outcome, late bool) {
	s.startProgress()
	defer s.stopProgress()
	outcome = handler.End()
	if !s.stopProgress() {
		return outcome, false
	}
	late451 := lateOutcome()
	late451.Log = outcome.Log
	s.transaction.problem = "no decision after the message's time was over: message_timeout"
	return late451, true
}

func lateOutcome() message.Outcome {
	return message.Outcome{
		Disposition: message.Tempfail,
		Reply:       message.Reply{Code: 451, Enhanced: "4.3.0", Text: "no decision in time, try again later"},
	}
}

// progress is the state of one wait. The lock of the writer guards it.
type progress struct {
	timer   *time.Timer
	waiting bool
	late    bool      // tick has answered the MTA
	ends    time.Time // when message_timeout is over
	cancel  context.CancelCauseFunc
}

func (s *session) startProgress() {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	p := &s.progress
	p.waiting, p.late = true, false
	p.cancel = s.transaction.cancel
	p.ends = time.Now().Add(s.server.config.MessageTimeout)
	wait := min(s.server.timeouts.progress, s.server.config.MessageTimeout)
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, s.tick)
	} else {
		p.timer.Reset(wait)
	}
}

// stopProgress ends the wait. It reports whether tick has answered the MTA.
func (s *session) stopProgress() (late bool) {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	s.progress.waiting = false
	s.progress.timer.Stop()
	return s.progress.late
}

func (s *session) stopTimer() {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	s.progress.waiting = false
	if s.progress.timer != nil {
		s.progress.timer.Stop()
	}
}

// tick sends PROGRESS. After message_timeout it cancels the message's context. If the handler does not
// return even then, it answers 451 itself.
func (s *session) tick() {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	p := &s.progress
	if !p.waiting {
		return
	}
	left := time.Until(p.ends)
	if left <= -s.server.timeouts.grace {
		p.waiting, p.late = false, true
		s.server.log.Error("no decision after the message's time was over; the MTA gets 451", "connection", s.where)
		outcome := lateOutcome()
		s.report(outcome, NoDecisionInTime, s.server.config.MessageTimeout-left)
		s.writer.send(appendReply(nil, outcome.Disposition, outcome.Reply))
		s.conn.Close()
		return
	}
	if left <= 0 {
		p.cancel(context.DeadlineExceeded)
	}
	if err := s.writer.send([]byte{0, 0, 0, 1, actProgress}); err != nil {
		p.waiting = false
		p.cancel(fmt.Errorf("the MTA does not listen any more: %w", err))
		return
	}
	wait := s.server.timeouts.progress
	if left > 0 {
		wait = min(wait, left)
	}
	p.timer.Reset(wait)
}
