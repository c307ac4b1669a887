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
	rcpts    int // including those beyond the limit
	outbound bool
	rule     string // why it is outbound, or not
	handler  message.Transaction
	cancel   context.CancelCauseFunc

	fields     *message.Builder // nil after the end of the header
	header     message.Header
	memory     int // octets of header
	headerDone bool
	data       bool // DATA was received
	content    bool // a part of the header or body was received
	wantBody   bool
	cut        bool // the message is too big, the rest of its body is not passed on
	bytes      int64
	rcptBytes  int // of the stored paths

	// override is the outcome where the milter decides and not the handler.
	override *message.Outcome
	problem  string // of the message or our own, for the log
	reason   Reason // for the observer
	reported bool   // to the observer
}

// builders hold the fields of current messages. An idle connection has none.
var builders = sync.Pool{New: func() any { return new(message.Builder) }}

// beginTransaction starts a message at MAIL with the signer or the verifier of the current generation.
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
		Listener:      s.listener,
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

// usualPath is the longest path of RFC 5321 §4.5.3.1.3. An MTA may accept longer ones.
const usualPath = 256

// addRecipient stores an accepted forward-path, up to max_recipients in number and as many paths of the usual
// length in octets.
func (s *session) addRecipient(path string) {
	t := &s.transaction
	t.rcpts++
	most := s.server.config.MaxRecipients
	if len(t.env.Recipients) < most && t.rcptBytes+len(path) <= most*usualPath {
		t.env.Recipients = append(t.env.Recipients, path)
		t.rcptBytes += len(path)
	}
}

// fieldFits reports whether a field with this many octets in name and value is within the limits. If not, the
// message is refused and its header freed.
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
	var usual [512]byte // most values fit, and need no heap memory
	t.fields.Add(name, append(append(usual[:0], ' '), value...))
}

// strippedBlank reports whether the MTA has probably removed a blank from the front of the value. Both MTAs
// remove one blank, but no tab, and nearly every field has a blank. A value that starts with a fold or a tab
// probably had none.
func strippedBlank(value []byte) bool {
	if len(value) == 0 {
		return false
	}
	return value[0] != '\n' && value[0] != '\r' && value[0] != '\t'
}

// count adds a piece of the body to the message's size, and reports whether it is still needed. The limit is on
// the work that strangers can cause. Mail of ours has none, since it must not leave unsigned.
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

// decide ends the handler's work and sets the outcome.
func (t *transaction) decide(problem string, reason Reason, outcome message.Outcome) {
	t.problem, t.reason, t.override = problem, reason, &outcome
	t.cancel(context.Canceled)
	t.handler, t.wantBody = nil, false
}

// refuse is for a message beyond a configured limit.
func (t *transaction) refuse(what, key string, reason Reason) {
	t.decide(what+": "+key, reason, message.Outcome{
		Disposition: message.Reject,
		Reply:       message.Reply{Code: 552, Enhanced: "5.3.4", Text: "cannot be checked: " + what},
	})
}

// fail is for our own failure; the client may try again.
func (t *transaction) fail(problem string, reason Reason) {
	t.decide(problem, reason, message.Outcome{
		Disposition: message.Tempfail,
		Reply:       message.Reply{Code: 451, Enhanced: "4.3.0", Text: "internal error, try again later"},
	})
}

// endHeader passes the header to the handler. If the MTA sends no end of header, this happens at the first piece of
// the body, or at the end of message.
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

// addBody passes a piece of the body to the handler.
func (s *session) addBody(chunk []byte) {
	s.endHeader()
	if s.count(len(chunk)) && s.transaction.wantBody && len(chunk) > 0 {
		s.transaction.wantBody = s.transaction.handler.Body(chunk)
	}
}

// finishTransaction waits for the outcome, sends it and logs the message.
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
		t.override.Author, t.override.Trace = outcome.Author, outcome.Trace
		outcome = *t.override
		out = appendReply(s.writer.out, outcome.Disposition, outcome.Reply)
	}
	s.writer.out = out
	waited := time.Since(began)
	s.logTransaction(&outcome, waited)
	s.report(outcome, t.reason, waited)
	queue := t.env.QueueID
	s.endTransaction()
	if err := s.writer.flush(); err != nil {
		return fmt.Errorf("message %s: %w", clean(queue, maxLogValue), err)
	}
	return nil
}

// endTransaction removes the message, decided or not. The end of its context ends all work on it.
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

// returnFields returns the builder to the pool.
func (s *session) returnFields() {
	if t := &s.transaction; t.fields != nil {
		t.fields.Reset()
		builders.Put(t.fields)
		t.fields = nil
	}
}
