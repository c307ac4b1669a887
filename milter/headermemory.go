package milter

import (
	"errors"
	"sync/atomic"

	"signpost/internal/message"
)

// headerMemory is how much memory the headers of all messages on their way hold, in
// octets: max_header_memory bounds it.
type headerMemory struct {
	used atomic.Int64
	most int64
}

// change adds to what is used, or takes from it. It reports false, and changes nothing,
// where more would be used than there may be.
func (m *headerMemory) change(by int) bool {
	for {
		used := m.used.Load()
		next := used + int64(by)
		if by > 0 && next > m.most {
			return false
		}
		if m.used.CompareAndSwap(used, next) {
			return true
		}
	}
}

// errHeaderMemory says that no more memory may be taken for a packet. What has arrived of
// the packet is still to be skipped.
var errHeaderMemory = errors.New("max_header_memory is in use")

// account brings what the server counts for this connection in line with what it holds:
// the fields, the header made of them, and a read buffer of unusual size. It reports
// false, and leaves the count as it is, where the limit does not allow it.
func (s *session) account() bool { return s.accountWith(s.reader.oversize()) }

// accountWith is account for a read buffer of this size.
func (s *session) accountWith(buffer int) bool {
	held := buffer + s.transaction.memory
	if s.transaction.fields != nil {
		held += s.transaction.fields.Memory()
	}
	if held == s.accounted {
		return true
	}
	if !s.server.headers.change(held - s.accounted) {
		return false
	}
	s.accounted = held
	return true
}

// outOfMemory has the client come again with its message, of which nothing is kept.
func (s *session) outOfMemory() {
	limit := s.server.config.MaxHeaderMemory.String()
	s.transaction.decide("the headers on their way hold "+limit+": max_header_memory", OutOfMemory, message.Outcome{
		Disposition: message.Tempfail,
		Reply:       message.Reply{Code: 451, Enhanced: "4.3.2", Text: "too much mail at once, try again later"},
	})
	s.dropHeader()
}

// dropHeader lets go of the fields, and of the header made of them.
func (s *session) dropHeader() {
	t := &s.transaction
	if t.fields != nil {
		t.fields.Reset()
	}
	t.header, t.memory = nil, 0
	s.account()
}

// handleField takes a field of the header. One that is of no use any more is skipped
// without being stored.
func (s *session) handleField() error {
	t := &s.transaction
	t.content = t.open
	if t.open && t.override == nil && !t.headerDone && s.fieldFits(s.reader.left-len("\x00\x00")) {
		data, err := s.reader.data()
		switch {
		case errors.Is(err, errHeaderMemory):
			s.outOfMemory()
		case err != nil:
			return err
		default:
			s.addField(parseField(data))
			s.reader.shrink()
			if !s.account() {
				s.outOfMemory()
			}
		}
	}
	return nil
}
