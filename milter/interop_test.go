package milter

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/emersion/go-message/textproto"
	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// dialClient connects go-milter's client, an independent implementation of an MTA's side.
func dialClient(t *testing.T, s *Server, actions gomilter.OptAction, steps gomilter.OptProtocol) *gomilter.ClientSession {
	t.Helper()
	addr := s.Addrs()[0]
	client := gomilter.NewClientWithOptions(addr.Network(), addr.String(), gomilter.ClientOptions{ActionMask: actions, ProtocolMask: steps})
	session, err := client.Session()
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func TestGoMiltersClientTwoMessagesOnOneConnection(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps gomilter.OptProtocol
	}{
		{"an answer to everything", 0},
		{"no answers to header fields", gomilter.OptNoHeaderReply},
		{"all features", allSteps},
		{"skip instead of silence at the body", gomilter.OptSkip | gomilter.OptHeaderLeadingSpace},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &handler{end: func(_ context.Context, _ message.Envelope, h message.Header) message.Outcome {
				o := message.Outcome{Disposition: message.Accept, Insert: []message.Field{{Name: "DKIM-Signature", Value: "v=1;\r\n\tb=x"}}}
				for i, f := range h {
					if f.Is("x-forged") {
						o.Remove = append(o.Remove, i)
					}
				}
				return o
			}}
			s, _ := serve(t, h)
			session := dialClient(t, s, wantedActions, c.steps)
			defer session.Close()
			ok := func(a *gomilter.Action, err error) {
				t.Helper()
				if err != nil || a.Code != gomilter.ActContinue {
					t.Fatalf("%+v, %v", a, err)
				}
			}
			if err := session.Macros(gomilter.CodeConn, "j", "mx.example.net", "{daemon_name}", "smtpd"); err != nil {
				t.Fatal(err)
			}
			ok(session.Conn("client.example.com", gomilter.FamilyInet, 25, "192.0.2.1"))
			ok(session.Helo("client.example.com"))
			for i, sender := range []string{"a@example.com", ""} {
				ok(session.Mail(sender, []string{"SMTPUTF8"}))
				ok(session.Rcpt("b@example.net", nil))
				if err := session.Macros(gomilter.CodeEOB, "i", "QUEUE"); err != nil {
					t.Fatal(err)
				}
				var head textproto.Header
				head.AddRaw([]byte("X-Forged: 2\r\n"))
				head.AddRaw([]byte("From: a@example.com\r\n"))
				head.AddRaw([]byte("X-Forged: 1\r\n"))
				ok(session.Header(head))
				changes, action, err := session.BodyReadFrom(strings.NewReader("body\r\n"))
				if err != nil || action.Code != gomilter.ActAccept || len(changes) != 3 {
					t.Fatalf("message %d: %+v, %+v, %v", i, changes, action, err)
				}
				for k, index := range []uint32{2, 1} {
					if m := changes[k]; m.Code != gomilter.ActChangeHeader || m.HeaderName != "X-Forged" || m.HeaderIndex != index || m.HeaderValue != "" {
						t.Errorf("message %d, change %d: %+v", i, k, m)
					}
				}
				value := "v=1;\n\tb=x"
				if session.ProtocolOption(gomilter.OptHeaderLeadingSpace) {
					value = " " + value
				}
				if m := changes[2]; m.Code != gomilter.ActInsertHeader || m.HeaderIndex != 0 || m.HeaderName != "DKIM-Signature" || m.HeaderValue != value {
					t.Errorf("message %d: %+v", i, m)
				}
				l := h.last(t)
				if l.env.Sender != sender || !l.env.ClientAddr.IsValid() || l.env.Helo != "client.example.com" || !l.env.SMTPUTF8 ||
					l.env.MTAName != "mx.example.net" || l.env.DaemonName != "smtpd" || len(l.head) != 3 || !bytes.Equal(l.text, []byte("body\r\n")) {
					t.Errorf("message %d: %+v, header %q, body %q", i, l.env, l.head, l.text)
				}
			}
		})
	}
}

func TestGoMiltersClientIsRefused(t *testing.T) {
	h := &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome {
		return message.Outcome{Disposition: message.Reject, Reply: message.Reply{Code: 550, Enhanced: "5.7.26", Text: "100% no"}}
	}}
	s, _ := serve(t, h)
	session := dialClient(t, s, wantedActions, allSteps)
	defer session.Close()
	for i := range 2 {
		if _, err := session.Mail("a@example.com", nil); err != nil {
			t.Fatal(err)
		}
		changes, action, err := session.BodyReadFrom(strings.NewReader("body"))
		if err != nil || len(changes) != 0 || action.Code != gomilter.ActReplyCode || action.SMTPCode != 550 || action.SMTPText != "5.7.26 100%% no" {
			t.Errorf("message %d: %+v, %+v, %v", i, changes, action, err)
		}
	}
}
