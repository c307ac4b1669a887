package milter

import (
	"bytes"
	"errors"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// replyContinue answers "continue", unless the MTA expects no answer at this step.
func (s *session) replyContinue(unless gomilter.OptProtocol) error {
	if s.agreed.has(unless) {
		return nil
	}
	s.writer.add(byte(gomilter.ActContinue))
	return s.writer.flush()
}

func (s *session) handleOptions(offer []byte) error {
	if s.negotiated {
		return errors.New("options offered twice: this is no milter client")
	}
	agreed, err := negotiate(offer, s.role != message.RoleSign && s.server.early.worthwhile())
	if err != nil && !s.server.once("options") {
		return errAlreadyLogged
	}
	if err != nil {
		return err
	}
	s.agreed, s.negotiated = agreed, true
	if missing := agreed.missing(); missing != "" && s.server.once(missing) {
		s.server.log.Warn("the MTA does not offer all that may be needed; a message that needs it gets 451",
			"connection", s.where, "missing", missing, "remedy", "use an MTA with milter protocol 6")
	}
	s.writer.out = agreed.appendTo(s.writer.out)
	return s.writer.flush()
}

func (s *session) handleMacros(data []byte) {
	s.macros.set(data)
	if len(data) == 0 {
		return
	}
	switch gomilter.Code(data[0]) {
	case gomilter.CodeMail:
		s.mailMacros = true
	case gomilter.CodeData:
		s.handleData()
	}
}

func (s *session) handleConnect(data []byte) error {
	c, err := parseConnect(data)
	if err != nil {
		return err
	}
	s.dropTransaction("a new client connects")
	s.macros.clearFrom(stageHelo)
	s.client = c
	return s.replyContinue(gomilter.OptNoConnReply)
}

// handleHelo handles HELO, which may come again and ends a current message.
func (s *session) handleHelo(data []byte) error {
	s.dropTransaction("the client says HELO again")
	s.macros.clearFrom(stageMail)
	argument, _, _ := bytes.Cut(data, nul)
	s.client.helo = string(argument)
	return s.replyContinue(gomilter.OptNoHeloReply)
}

func (s *session) handleMail(data []byte) error {
	// The login of one message must not count for the next: without new macros there is none.
	if !s.mailMacros {
		s.macros.clearFrom(stageMail)
	}
	s.mailMacros = false
	s.macros.clearFrom(stageRcpt)
	s.dropTransaction("the next message begins")
	s.beginTransaction(parsePath(data))
	// Most messages arrive at once from here on, and fit.
	s.reader.use(messageBuffer)
	return s.replyContinue(gomilter.OptNoMailReply)
}

func (s *session) handleRcpt(data []byte) error {
	if s.transaction.open {
		path, _ := parsePath(data)
		s.addRecipient(path)
	}
	return s.replyContinue(gomilter.OptNoRcptReply)
}

// handleBody passes a piece of the body on as it arrives, without waiting for all of it.
func (s *session) handleBody() error {
	if err := s.passBody(); err != nil {
		return err
	}
	if s.agreed.has(gomilter.OptSkip) && s.transaction.open && !s.transaction.wantBody {
		s.writer.add(byte(gomilter.ActSkip))
		return s.writer.flush()
	}
	return s.replyContinue(gomilter.OptNoBodyReply)
}

func (s *session) passBody() error {
	for s.reader.left > 0 {
		chunk, err := s.reader.chunk()
		if err != nil {
			return err
		}
		if s.transaction.open {
			s.addBody(chunk)
		}
	}
	return nil
}

// handleEndOfMessage finishes a message. The packet may have the last piece of the body.
func (s *session) handleEndOfMessage() error {
	if err := s.passBody(); err != nil {
		return err
	}
	if !s.transaction.open {
		s.writer.add(byte(gomilter.ActContinue))
		return s.writer.flush()
	}
	err := s.finishTransaction()
	s.macros.clearFrom(stageMail)
	return err
}
