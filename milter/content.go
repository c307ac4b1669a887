package milter

import "sync/atomic"

// contentWatch detects a listener whose MTA never sends message content: Postfix gives the content
// to smtpd_proxy_filter and not to milters (MILTER_README, "Limitations"). The milter then gets the
// commands up to DATA, and ABORT, without a queue id, since the message is in no queue yet. A client
// that disconnects during DATA looks the same, but has a queue id.
type contentWatch struct {
	missing atomic.Int32 // messages in a row without content
	warned  atomic.Bool
}

// missingContentLimit is the number of messages in a row without content before the warning.
const missingContentLimit = 20

// seen counts a message with content.
func (w *contentWatch) seen() {
	if w.missing.Load() != 0 {
		w.missing.Store(0)
	}
}

// missed counts a message without content. It reports true once, at the limit.
func (w *contentWatch) missed() bool {
	return w.missing.Add(1) == missingContentLimit && !w.warned.Swap(true)
}

// handleData notes DATA. Postfix sends the macros of DATA even if it does not send the command
// (milter8_event), and the queue id is among them.
func (s *session) handleData() {
	t := &s.transaction
	if t.open {
		t.data = true
		t.env.QueueID = s.macros.valueOr("i", t.env.QueueID)
	}
}

// checkContent is called at the end of every message, decided or not.
func (s *session) checkContent() {
	t := &s.transaction
	switch {
	case t.content:
		s.content.seen()
	case t.data && t.env.QueueID == "" && s.content.missed():
		s.server.log.Warn("messages come without their content: nothing is signed or judged here, and forged results stay in the mail",
			"connection", s.where, "messages", missingContentLimit,
			"remedy", "Postfix does not show milters what goes to smtpd_proxy_filter: use content_filter, or set smtpd_milters where the filter hands mail back (docs/postfix.md)")
	}
}
