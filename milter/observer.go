package milter

import (
	"strings"
	"time"

	"signpost/internal/message"
)

// An Observer receives every outcome once, also those that the milter decides itself. Its methods are
// called by many goroutines at once, while a message waits: they must not block.
type Observer interface {
	// Decided is called for each message that gets a final answer. There is no call for a message that
	// the MTA or its client gives up.
	Decided(Decided)
	// Refused is called for each connection that is closed before its first packet.
	Refused(Refusal)
}

// Decided is the result of one message.
type Decided struct {
	Outbound bool   // ours, to be signed; false: judged
	Rule     string // why it is ours, or not
	// Envelope is what SMTP gave for the message. It is valid during the call only.
	Envelope *message.Envelope
	// Header is the header of the message, empty if it was not read whole. It is valid during the call
	// only: a part of it that is kept is a copy.
	Header message.Header
	// Recipients counts the accepted forward-paths, also those that Envelope does not keep.
	Recipients int
	Outcome    message.Outcome
	// Reason is set if the milter decided, or limited the check. Problem says it in words.
	Reason  Reason
	Problem string
	// Waited is the time that the MTA waited at the end of the message.
	Waited time.Duration
	Origin Origin
}

// Origin is how a message came to Postfix; other MTAs do not tell.
type Origin uint8

const (
	UnknownOrigin Origin = iota
	FromClient           // by SMTP
	FromHost             // by the sendmail command, or from Postfix itself, such as a bounce
)

// origin tells the origin by port 0, which Postfix gives where no client connected
// (cleanup_milter.c), and by the name of the MTA (macro v).
func (s *session) origin() Origin {
	switch {
	case !strings.HasPrefix(s.macros.value("v"), "Postfix"):
		return UnknownOrigin
	case s.client.portless:
		return FromHost
	}
	return FromClient
}

// Reason names a decision of the milter itself. The values are labels of metrics.
type Reason string

const (
	TooManyFields    Reason = "too_many_fields"      // max_header_fields; 552
	HeaderTooBig     Reason = "header_too_big"       // max_header_bytes; 552
	MessageTooBig    Reason = "message_too_big"      // max_message_bytes; 552, or judged without the rest of its body
	OutOfMemory      Reason = "out_of_header_memory" // max_header_memory; 451
	NoDecisionInTime Reason = "no_decision_in_time"  // the handler did not come back after message_timeout; 451
	Panicked         Reason = "panic"                // 451
	MTACannot        Reason = "mta_cannot"           // the outcome cannot be told to this MTA; 451
)

// Reasons returns all of them.
func Reasons() []Reason {
	return []Reason{TooManyFields, HeaderTooBig, MessageTooBig, OutOfMemory, NoDecisionInTime, Panicked, MTACannot}
}

// Refusal names the reason for closing a connection. The values are labels of metrics.
type Refusal string

const (
	NotAPeer      Refusal = "not_a_peer"       // milter.peers
	TooManyOfPeer Refusal = "too_many_of_peer" // max_connections_per_peer
)

// Refusals returns all of them.
func Refusals() []Refusal { return []Refusal{NotAPeer, TooManyOfPeer} }

// Observe sets the observer. Call it before Serve.
func (s *Server) Observe(o Observer) { s.observer = o }

// noObserver is the observer of a server that has none.
type noObserver struct{}

func (noObserver) Decided(Decided) {}
func (noObserver) Refused(Refusal) {}

// report calls the observer, once for each message.
func (s *session) report(o message.Outcome, reason Reason, waited time.Duration) {
	t := &s.transaction
	if t.reported {
		return
	}
	t.reported = true
	s.server.early.note(o.EnvelopeWaited)
	s.server.observer.Decided(Decided{
		Outbound: t.outbound, Rule: t.rule, Envelope: &t.env, Header: t.header, Recipients: t.rcpts, Outcome: o,
		Reason: reason, Problem: t.problem, Waited: waited, Origin: s.origin(),
	})
}
