package milter

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// mail is one message, from MAIL to its end. Nothing of it outlives the message but
// memory.
type mail struct {
	open   bool
	env    message.Envelope
	rcpts  int // those beyond the limit included
	ours   bool
	rule   string // why it is ours, or not
	tx     message.Transaction
	cancel context.CancelCauseFunc

	fields     *message.Builder // nil when the header is done
	header     message.Header
	memory     int // octets that header holds
	headerDone bool
	data       bool // DATA has come
	content    bool // something of header or body has come
	wantBody   bool
	cut        bool // beyond the limit, the body is not handed over any more
	bytes      int64
	rcptBytes  int // of the paths that are remembered

	// instead is the outcome of a message that is not for the handler to decide.
	instead  *message.Outcome
	problem  string // what is wrong with the message, or with us, for the log
	reason   Reason // the same, for the observer
	reported bool   // to the observer
}

// builders are for the headers of messages on their way; a connection that waits
// has none.
var builders = sync.Pool{New: func() any { return new(message.Builder) }}

// beginMail starts a message at MAIL: chooses signer or verifier by the generation
// of this moment.
func (s *session) beginMail(path string, parameters []byte) {
	s.endMail()
	s.setOpen(true)
	m := &s.mail
	m.fields = builders.Get().(*message.Builder)
	m.env = message.Envelope{
		ClientAddr: s.client.addr,
		ClientName: s.client.name,
		Helo:       s.client.helo,
		Sender:     path,
		AuthType:   s.macros.value("auth_type"),
		AuthAuthen: s.macros.value("auth_authen"),
		DaemonName: s.macros.value("daemon_name"),
		MTAName:    s.macros.value("j"),
		QueueID:    s.macros.value("i"),
		SMTPUTF8:   hasParameter(parameters, "SMTPUTF8"),
		// RFC 6152 §2, RFC 3030 §3
		EightBit:      hasParameter(parameters, "BODY=8BITMIME") || hasParameter(parameters, "BODY=BINARYMIME"),
		BlanksGuessed: !s.agreed.has(gomilter.OptHeaderLeadingSpace),
		Role:          s.role,
	}
	var ctx context.Context
	ctx, m.cancel = context.WithCancelCause(s.server.running)
	gen := s.server.generation.Load()
	m.ours, m.rule = gen.Signer.Outbound(m.env)
	if m.ours {
		m.tx = gen.Signer.Sign(ctx, m.env)
	} else {
		m.tx = gen.Verifier.Verify(ctx, m.env)
	}
}

// usualPath is how long a path may be, by RFC 5321 §4.5.3.1.3. An MTA may let longer
// ones pass.
const usualPath = 256

// addRecipient takes an accepted forward-path. What is remembered of them is bounded
// in number, and in size to as many paths of the usual length.
func (s *session) addRecipient(path string) {
	m := &s.mail
	m.rcpts++
	most := s.server.config.MaxRecipients
	if len(m.env.Recipients) < most && m.rcptBytes+len(path) <= most*usualPath {
		m.env.Recipients = append(m.env.Recipients, path)
		m.rcptBytes += len(path)
	}
}

// fieldFits reports whether a field whose name and value have this many octets is within
// the limits; else the message is refused, and nothing of its header is kept.
func (s *session) fieldFits(size int) bool {
	m, config := &s.mail, &s.server.config
	size += len(":\r\n")
	switch {
	case m.fields.Len() >= config.MaxHeaderFields:
		m.refuse("header of more than "+strconv.Itoa(config.MaxHeaderFields)+" fields", "max_header_fields", TooManyFields)
	case m.fields.Size()+size > int(config.MaxHeaderBytes):
		m.refuse("header of more than "+config.MaxHeaderBytes.String(), "max_header_bytes", HeaderTooBig)
	default:
		return true
	}
	s.dropHeader()
	return false
}

// addField adds a field to the header, as the MTA sent it.
func (s *session) addField(name, value []byte) {
	m := &s.mail
	m.bytes += int64(len(name) + len(value) + len(":\r\n"))
	if s.agreed.has(gomilter.OptHeaderLeadingSpace) || !strippedBlank(value) {
		m.fields.Add(name, value)
		return
	}
	var usual [512]byte // most values fit, and need no memory of the heap
	m.fields.Add(name, append(append(usual[:0], ' '), value...))
}

// strippedBlank reports that the MTA most likely took a blank from the front of this
// value. Both take one blank, not a tab, if there is one; nearly every field has
// one. A value that begins with a fold or a tab had none, as far as one can tell.
func strippedBlank(value []byte) bool {
	if len(value) == 0 {
		return false
	}
	return value[0] != '\n' && value[0] != '\r' && value[0] != '\t'
}

// count adds a piece of the body to the message's size, and reports whether it is
// still to be read. The limit is on the work that strangers can cause: what is ours
// is signed whatever its size, since it must not leave unsigned.
func (s *session) count(n int) bool {
	m := &s.mail
	m.bytes += int64(n)
	if m.instead != nil || m.cut {
		return false
	}
	limit := s.server.config.MaxMessageBytes
	if m.ours || m.bytes <= int64(limit) {
		return true
	}
	what := "message of more than " + limit.String()
	if s.server.config.OnTooBig == TooBigReject {
		m.refuse(what, "max_message_bytes", MessageTooBig)
		return false
	}
	m.cut, m.wantBody = true, false
	m.problem, m.reason = what+", its body is not checked: max_message_bytes", MessageTooBig
	m.tx.Cut()
	return false
}

// decide takes the message from the handler.
func (m *mail) decide(problem string, reason Reason, outcome message.Outcome) {
	m.problem, m.reason, m.instead = problem, reason, &outcome
	m.cancel(context.Canceled)
	m.tx, m.wantBody = nil, false
}

// refuse is for a message beyond a limit of the configuration.
func (m *mail) refuse(what, key string, reason Reason) {
	m.decide(what+": "+key, reason, message.Outcome{
		Disposition: message.Reject,
		Reply:       message.Reply{Code: 552, Enhanced: "5.3.4", Text: "cannot be checked: " + what},
	})
}

// fail is for what is our fault; the client may come again.
func (m *mail) fail(problem string, reason Reason) {
	m.decide(problem, reason, message.Outcome{
		Disposition: message.Tempfail,
		Reply:       message.Reply{Code: 451, Enhanced: "4.3.0", Text: "internal error, try again later"},
	})
}

// endHeader hands the header over. An MTA that sends no end of header gets here at
// the first piece of the body, or at the end of message.
func (s *session) endHeader() {
	m := &s.mail
	if m.headerDone {
		return
	}
	m.headerDone, m.content = true, true
	if m.instead == nil {
		m.header = m.fields.Header()
		m.memory = m.header.Memory()
	}
	s.returnFields()
	if m.instead != nil {
		return
	}
	if !s.account() {
		s.outOfMemory()
		return
	}
	m.env.QueueID = s.macros.valueOr("i", m.env.QueueID)
	m.wantBody = m.tx.Header(m.env, m.header)
}

// addBody hands a piece of the body over.
func (s *session) addBody(chunk []byte) {
	s.endHeader()
	if s.count(len(chunk)) && s.mail.wantBody && len(chunk) > 0 {
		s.mail.wantBody = s.mail.tx.Body(chunk)
	}
}

// decideMail waits for the outcome and writes it, with the message's log line.
func (s *session) decideMail() error {
	m := &s.mail
	began := time.Now()
	s.endHeader()
	m.env.QueueID = s.macros.valueOr("i", m.env.QueueID)
	var outcome message.Outcome
	if m.instead == nil {
		var late bool
		if outcome, late = s.await(m.tx); late {
			s.logMail(&outcome, time.Since(began))
			s.endMail()
			return errLate
		}
	} else {
		outcome = *m.instead
	}
	out, err := appendOutcome(s.writer.out, s.agreed, m.header, &outcome)
	if err != nil {
		m.fail(err.Error(), MTACannot)
		m.instead.Log = outcome.Log
		outcome = *m.instead
		out = appendReply(s.writer.out, outcome.Disposition, outcome.Reply)
	}
	s.writer.out = out
	s.logMail(&outcome, time.Since(began))
	s.report(outcome, m.reason)
	queue := m.env.QueueID
	s.endMail()
	if err := s.writer.flush(); err != nil {
		return fmt.Errorf("message %s: %w", clean(queue, maxLogValue), err)
	}
	return nil
}

// endMail forgets the message, decided or not. What it began ends with its context.
func (s *session) endMail() {
	m := &s.mail
	if !m.open {
		return
	}
	m.cancel(context.Canceled)
	s.watchContent()
	s.returnFields()
	*m = mail{}
	s.account()
	s.setOpen(false)
}

// returnFields gives the builder back.
func (s *session) returnFields() {
	if m := &s.mail; m.fields != nil {
		m.fields.Reset()
		builders.Put(m.fields)
		m.fields = nil
	}
}
