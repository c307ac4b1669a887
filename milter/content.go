package milter

import "sync/atomic"

// contentWatch notices a listener whose MTA never shows it a message: Postfix hands the
// content to smtpd_proxy_filter and not to milters (MILTER_README, "Limitations"). A milter then
// gets the commands up to DATA, and ABORT; and there is no queue id, since the message
// is in no queue yet. A client that goes away during DATA looks the same but for the
// queue id.
type contentWatch struct {
	missing atomic.Int32 // messages in a row without content
	told    atomic.Bool
}

// patienceForContent is how many messages in a row have no content before that is told.
const patienceForContent = 20

// seen takes note of a message with content.
func (w *contentWatch) seen() {
	if w.missing.Load() != 0 {
		w.missing.Store(0)
	}
}

// missed takes note of a message without. It reports whether it is time to tell, which
// is once.
func (w *contentWatch) missed() bool {
	return w.missing.Add(1) == patienceForContent && !w.told.Swap(true)
}

// dataComes takes note of DATA. Postfix sends the macros of that command although the command
// itself is not wanted (milter8_event), and then the queue id is among them.
func (s *session) dataComes() {
	m := &s.mail
	if m.open {
		m.data = true
		m.env.QueueID = s.macros.valueOr("i", m.env.QueueID)
	}
}

// watchContent is for the end of a message, decided or not.
func (s *session) watchContent() {
	m := &s.mail
	switch {
	case m.content:
		s.content.seen()
	case m.data && m.env.QueueID == "" && s.content.missed():
		s.server.log.Warn("messages come without their content: nothing is signed or judged here, and forged results stay in the mail",
			"connection", s.where, "messages", patienceForContent,
			"remedy", "Postfix does not show milters what goes to smtpd_proxy_filter: use content_filter, or set smtpd_milters where the filter hands mail back (deploy/postfix/README.md)")
	}
}
