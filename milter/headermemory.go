package milter

import (
	"errors"
	"sync/atomic"

	"signpost/internal/message"
)

// headerMemory counts the memory of the headers of all current messages, in octets. The limit is
// max_header_memory.
type headerMemory struct {
	used atomic.Int64
	most int64
}

// change adds a positive or negative number of octets. It reports false, and changes nothing, if the
// limit would be exceeded.
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

// errHeaderMemory means that a packet needs more memory than the limit allows. The rest of the packet
// must still be skipped.
var errHeaderMemory = errors.New("max_header_memory is in use")

// account updates the server's count for this connection: the fields, the header made of them, and an
// oversize read buffer. It reports false, and changes nothing, if the limit does not allow it.
func (s *session) account() bool { return s.accountWith(s.reader.oversize()) }

// accountWith is account with a read buffer of this size.
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

// outOfMemory refuses the message with 451 and frees its header.
func (s *session) outOfMemory() {
	limit := s.server.config.MaxHeaderMemory.String()
	s.transaction.decide("the headers on their way hold "+limit+": max_header_memory", OutOfMemory, message.Outcome{
		Disposition: message.Tempfail,
		Reply:       message.Reply{Code: 451, Enhanced: "4.3.2", Text: "too much mail at once, try again later"},
	})
	s.dropHeader()
}

// dropHeader frees the fields and the header made of them.
func (s *session) dropHeader() {
	t := &s.transaction
	if t.fields != nil {
		t.fields.Reset()
	}
	t.header, t.memory = nil, 0
	s.account()
}

// handleField reads a field of the header. A field that is no longer needed is skipped and not stored.
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
