package milter

import (
	"context"
	"fmt"
	"time"

	"signpost/internal/message"
)

// await waits for a decision, and tells the MTA meanwhile that we are at work.
func (s *session) await(tx Transaction) message.Outcome {
	s.startProgress()
	defer s.stopProgress()
	return tx.End()
}

// progress is the waiting for one decision. The writer's lock guards it.
type progress struct {
	timer   *time.Timer
	waiting bool
	ends    time.Time // of the message's time
	cancel  context.CancelCauseFunc
}

func (s *session) startProgress() {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	p := &s.progress
	p.waiting = true
	p.cancel = s.mail.cancel
	p.ends = time.Now().Add(s.server.config.MessageTimeout)
	wait := min(s.server.patience.progress, s.server.config.MessageTimeout)
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, s.tick)
	} else {
		p.timer.Reset(wait)
	}
}

func (s *session) stopProgress() {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	s.progress.waiting = false
	s.progress.timer.Stop()
}

func (s *session) stopTimer() {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	s.progress.waiting = false
	if s.progress.timer != nil {
		s.progress.timer.Stop()
	}
}

// tick sends PROGRESS. When the message's time is over it ends the message's
// context, and if even that does not bring a decision, answers 451 itself.
func (s *session) tick() {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	p := &s.progress
	if !p.waiting {
		return
	}
	left := time.Until(p.ends)
	if left <= -s.server.patience.stubborn {
		p.waiting = false
		s.server.log.Error("no decision after the message's time was over; the MTA gets 451", "connection", s.where)
		reply := message.Reply{Code: 451, Enhanced: "4.3.0", Text: "no decision in time, try again later"}
		s.writer.send(appendReply(nil, message.Tempfail, reply))
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
	wait := s.server.patience.progress
	if left > 0 {
		wait = min(wait, left)
	}
	p.timer.Reset(wait)
}
