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

// transaction is the state of one message, from MAIL to its end. Only buffers are used
// again for the next one.
type transaction struct {
	open     bool
	env      message.Envelope
	rcpts    int // those beyond the limit included
	outbound bool
	rule     string // why it is outbound, or not
	handler  message.Transaction
	cancel   context.CancelCauseFunc

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

	// override is the outcome where the milter decides and not the handler.
	override *message.Outcome
	problem  string // what is wrong with the message, or with us, for the log
	reason   Reason // the same, for the observer
	reported bool   // to the observer
}

// builders are for the headers of messages on their way; a connection that waits
// has none.
var builders = sync.Pool{New: func() any { return new(message.Builder) }}

// beginTransaction starts a message at MAIL: chooses signer or verifier by the generation
// of this moment.
func (s *session) beginTransaction(path string, parameters []byte) {
	s.endTransaction()
	s.setOpen(true)
	t := &s.transaction
	t.fields = builders.Get().(*message.Builder)
	t.env = message.Envelope{
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
	ctx, t.cancel = context.WithCancelCause(s.server.running)
	gen := s.server.generation.Load()
	t.outbound, t.rule = gen.Signer.Outbound(t.env)
	if t.outbound {
		t.handler = gen.Signer.Sign(ctx, t.env)
	} else {
		t.handler = gen.Verifier.Verify(ctx, t.env)
	}
}

// usualPath is how long a path may be, by RFC 5321 §4.5.3.1.3. An MTA may let longer
// ones pass.
const usualPath = 256

// addRecipient takes an accepted forward-path. What is remembered of them is bounded
// in number, and in size to as many paths of the usual length.
func (s *session) addRecipient(path string) {
	t := &s.transaction
	t.rcpts++
	most := s.server.config.MaxRecipients
	if len(t.env.Recipients) < most && t.rcptBytes+len(path) <= most*usualPath {
		t.env.Recipients = append(t.env.Recipients, path)
		t.rcptBytes += len(path)
	}
}

// fieldFits reports whether a field whose name and value have this many octets is within
// the limits; else the message is refused, and nothing of its header is kept.
func (s *session) fieldFits(size int) bool {
	t, config := &s.transaction, &s.server.config
	size += len(":\r\n")
	switch {
	case t.fields.Len() >= config.MaxHeaderFields:
		t.refuse("header of more than "+strconv.Itoa(config.MaxHeaderFields)+" fields", "max_header_fields", TooManyFields)
	case t.fields.Size()+size > int(config.MaxHeaderBytes):
		t.refuse("header of more than "+config.MaxHeaderBytes.String(), "max_header_bytes", HeaderTooBig)
	default:
		return true
	}
	s.dropHeader()
	return false
}

// addField adds a field to the header, as the MTA sent it.
func (s *session) addField(name, value []byte) {
	t := &s.transaction
	t.bytes += int64(len(name) + len(value) + len(":\r\n"))
	if s.agreed.has(gomilter.OptHeaderLeadingSpace) || !strippedBlank(value) {
		t.fields.Add(name, value)
		return
	}
	var usual [512]byte // most values fit, and need no memory of the heap
	t.fields.Add(name, append(append(usual[:0], ' '), value...))
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
	t := &s.transaction
	t.bytes += int64(n)
	if t.override != nil || t.cut {
		return false
	}
	limit := s.server.config.MaxMessageBytes
	if t.outbound || t.bytes <= int64(limit) {
		return true
	}
	what := "message of more than " + limit.String()
	if s.server.config.OnTooBig == TooBigReject {
		t.refuse(what, "max_message_bytes", MessageTooBig)
		return false
	}
	t.cut, t.wantBody = true, false
	t.problem, t.reason = what+", its body is not checked: max_message_bytes", MessageTooBig
	t.handler.Cut()
	return false
}

// decide takes the message from the handler.
func (t *transaction) decide(problem string, reason Reason, outcome message.Outcome) {
	t.problem, t.reason, t.override = problem, reason, &outcome
	t.cancel(context.Canceled)
	t.handler, t.wantBody = nil, false
}

// refuse is for a message beyond a limit of the configuration.
func (t *transaction) refuse(what, key string, reason Reason) {
	t.decide(what+": "+key, reason, message.Outcome{
		Disposition: message.Reject,
		Reply:       message.Reply{Code: 552, Enhanced: "5.3.4", Text: "cannot be checked: " + what},
	})
}

// fail is for what is our fault; the client may come again.
func (t *transaction) fail(problem string, reason Reason) {
	t.decide(problem, reason, message.Outcome{
		Disposition: message.Tempfail,
		Reply:       message.Reply{Code: 451, Enhanced: "4.3.0", Text: "internal error, try again later"},
	})
}

// endHeader hands the header over. An MTA that sends no end of header gets here at
// the first piece of the body, or at the end of message.
func (s *session) endHeader() {
	t := &s.transaction
	if t.headerDone {
		return
	}
	t.headerDone, t.content = true, true
	if t.override == nil {
		t.header = t.fields.Header()
		t.memory = t.header.Memory()
	}
	s.returnFields()
	if t.override != nil {
		return
	}
	if !s.account() {
		s.outOfMemory()
		return
	}
	t.env.QueueID = s.macros.valueOr("i", t.env.QueueID)
	t.wantBody = t.handler.Header(t.env, t.header)
}

// addBody hands a piece of the body over.
func (s *session) addBody(chunk []byte) {
	s.endHeader()
	if s.count(len(chunk)) && s.transaction.wantBody && len(chunk) > 0 {
		s.transaction.wantBody = s.transaction.handler.Body(chunk)
	}
}

// finishTransaction waits for the outcome and writes it, with the message's log line.
func (s *session) finishTransaction() error {
	t := &s.transaction
	began := time.Now()
	s.endHeader()
	t.env.QueueID = s.macros.valueOr("i", t.env.QueueID)
	var outcome message.Outcome
	if t.override == nil {
		var late bool
		if outcome, late = s.await(t.handler); late {
			s.logTransaction(&outcome, time.Since(began))
			s.endTransaction()
			return errLate
		}
	} else {
		outcome = *t.override
	}
	out, err := appendOutcome(s.writer.out, s.agreed, t.header, &outcome)
	if err != nil {
		t.fail(err.Error(), MTACannot)
		t.override.Log, t.override.Results = outcome.Log, outcome.Results
		outcome = *t.override
		out = appendReply(s.writer.out, outcome.Disposition, outcome.Reply)
	}
	s.writer.out = out
	s.logTransaction(&outcome, time.Since(began))
	s.report(outcome, t.reason)
	queue := t.env.QueueID
	s.endTransaction()
	if err := s.writer.flush(); err != nil {
		return fmt.Errorf("message %s: %w", clean(queue, maxLogValue), err)
	}
	return nil
}

// endTransaction forgets the message, decided or not. What it began ends with its context.
func (s *session) endTransaction() {
	t := &s.transaction
	if !t.open {
		return
	}
	t.cancel(context.Canceled)
	s.checkContent()
	s.returnFields()
	*t = transaction{}
	s.account()
	s.setOpen(false)
}

// returnFields gives the builder back.
func (s *session) returnFields() {
	if t := &s.transaction; t.fields != nil {
		t.fields.Reset()
		builders.Put(t.fields)
		t.fields = nil
	}
}
