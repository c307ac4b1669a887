package milter

import "sync/atomic"

// contentWatch notices a listener whose MTA never shows it a message: Postfix hands the
// content to smtpd_proxy_filter and not to milters (MILTER_README, "Limitations"). A milter then
// gets the commands up to DATA, and ABORT; and there is no queue id, since the message
// is in no queue yet. A client that goes away during DATA looks the same but for the
// queue id.
type contentWatch struct {
	missing atomic.Int32 // messages in a row without content
	warned  atomic.Bool
}

// missingContentLimit is how many messages in a row have no content before that is told.
const missingContentLimit = 20

// seen takes note of a message with content.
func (w *contentWatch) seen() {
	if w.missing.Load() != 0 {
		w.missing.Store(0)
	}
}

// missed takes note of a message without. It reports whether it is time to tell, which
// is once.
func (w *contentWatch) missed() bool {
	return w.missing.Add(1) == missingContentLimit && !w.warned.Swap(true)
}

// handleData takes note of DATA. Postfix sends the macros of that command although the command
// itself is not wanted (milter8_event), and then the queue id is among them.
func (s *session) handleData() {
	t := &s.transaction
	if t.open {
		t.data = true
		t.env.QueueID = s.macros.valueOr("i", t.env.QueueID)
	}
}

// checkContent is for the end of a message, decided or not.
func (s *session) checkContent() {
	t := &s.transaction
	switch {
	case t.content:
		s.content.seen()
	case t.data && t.env.QueueID == "" && s.content.missed():
		s.server.log.Warn("messages come without their content: nothing is signed or judged here, and forged results stay in the mail",
			"connection", s.where, "messages", missingContentLimit,
			"remedy", "Postfix does not show milters what goes to smtpd_proxy_filter: use content_filter, or set smtpd_milters where the filter hands mail back (deploy/postfix/README.md)")
	}
}
