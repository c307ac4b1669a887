package epoll

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a descriptor with what waits for it. The lock is held during its system calls, so that no call uses a
// closed descriptor. These calls do not block.
type socket struct {
	set *set

	mu      sync.Mutex
	fd      int // -1 when closed
	watched uint32
	ended   bool  // there was an event of the other side's end, or of an error
	serial  int32 // differs from that of every socket that had the descriptor before
	read    side
	write   side
}

// side is reading or writing. One goroutine waits for it at a time.
type side struct {
	changed  sync.Cond
	ready    bool // there was an event since the last call that would have blocked
	waiting  bool
	late     bool      // the deadline is over
	deadline time.Time // zero: none
	timer    *time.Timer
	fires    time.Time // zero: the timer does not run
}

func (s *socket) init(set *set, fd int) {
	s.set, s.fd = set, fd
	s.read.changed.L, s.write.changed.L = &s.mu, &s.mu
}

// usable returns an error if the side cannot be used. The caller holds the lock.
func (s *socket) usable(side *side) error {
	switch {
	case s.fd < 0:
		return net.ErrClosed
	case side.late:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait waits for an event after a call that would have blocked. The caller holds the lock.
func (s *socket) wait(side *side, events uint32) error {
	side.ready = false
	if s.watched&events != events {
		if err := s.set.watch(s, events); err != nil {
			return err
		}
	}
	side.waiting = true
	s.arm(side)
	for !side.ready && s.usable(side) == nil {
		side.changed.Wait()
	}
	side.waiting = false
	return s.usable(side)
}

// happened is called with the events of the epoll set.
func (s *socket) happened(events uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const both = unix.EPOLLERR | unix.EPOLLHUP
	s.ended = s.ended || events&(unix.EPOLLRDHUP|both) != 0
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|both) != 0 {
		s.read.ready = true
		s.read.changed.Signal()
	}
	if events&(unix.EPOLLOUT|both) != 0 {
		s.write.ready = true
		s.write.changed.Signal()
	}
}

// setDeadline takes effect on a call that waits, too.
func (s *socket) setDeadline(side *side, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return net.ErrClosed
	}
	side.deadline = t
	side.late = !t.IsZero() && time.Until(t) <= 0
	switch {
	case !side.waiting:
	case side.late:
		side.changed.Signal()
	default:
		s.arm(side)
	}
	return nil
}

// arm has the timer fire at the deadline or before. The caller holds the lock.
func (s *socket) arm(side *side) {
	if side.deadline.IsZero() || !side.fires.IsZero() && !side.deadline.Before(side.fires) {
		return
	}
	side.fires = side.deadline
	left := time.Until(side.deadline)
	if side.timer == nil {
		side.timer = time.AfterFunc(left, func() { s.fired(side) })
	} else {
		side.timer.Reset(left)
	}
}

// fired is called by the timer.
func (s *socket) fired(side *side) {
	s.mu.Lock()
	defer s.mu.Unlock()
	side.fires = time.Time{}
	switch {
	case s.fd < 0 || side.deadline.IsZero():
	case time.Until(side.deadline) <= 0:
		side.late = true
		side.changed.Signal()
	case side.waiting:
		s.arm(side)
	}
}

// end closes the descriptor with closing, and wakes who waits.
func (s *socket) end(closing func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return net.ErrClosed
	}
	s.set.forget(s)
	err := closing()
	s.fd = -1
	for _, side := range []*side{&s.read, &s.write} {
		if side.timer != nil {
			side.timer.Stop()
		}
		side.changed.Signal()
	}
	return err
}

// callError is the error of a system call by name.
func callError(name string, errno syscall.Errno) error { return os.NewSyscallError(name, errno) }
