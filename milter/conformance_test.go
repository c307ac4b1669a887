package milter

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/conformance"
	"signpost/internal/message"
)

// wireStep is one element of a case's "packets".
type wireStep struct {
	kind   string // a command letter, or raw, close, slow
	data   string
	repeat int
}

func (s *wireStep) UnmarshalJSON(text []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil || len(parts) == 0 {
		return fmt.Errorf("step %s: %w", text, err)
	}
	if err := json.Unmarshal(parts[0], &s.kind); err != nil {
		return err
	}
	s.repeat = 1
	switch s.kind {
	case "close":
		return nil
	case "repeat":
		var inner wireStep
		if err := errors.Join(json.Unmarshal(parts[2], &inner), json.Unmarshal(parts[1], &inner.repeat)); err != nil {
			return err
		}
		*s = inner
		return nil
	case "slow":
		var inner wireStep
		err := json.Unmarshal(parts[1], &inner)
		s.data = string(encode(inner.kind[0], inner.data))
		return err
	}
	var text16 string
	if err := json.Unmarshal(parts[1], &text16); err != nil {
		return err
	}
	data, err := hex.DecodeString(text16)
	s.data = string(data)
	return err
}

// ended says that the filter closed the connection before the case was over.
var errEnded = errors.New("the connection ended")

// conversation plays an MTA that knows what was negotiated and waits for an answer
// where it has to, and only there.
type conversation struct {
	p      *peer
	offer  []byte
	agreed agreement
	finals []string // of each end of message, the letters of its answers
	all    []packet // of the last one
}

func (c *conversation) step(s wireStep) error {
	switch s.kind {
	case "raw":
		c.p.conn.Write([]byte(s.data))
		return nil
	case "slow":
		for _, b := range []byte(s.data)[:len(s.data)-1] {
			c.p.conn.Write([]byte{b})
		}
		return nil
	case "close":
		return c.p.conn.Close()
	}
	for range s.repeat {
		if _, err := c.p.conn.Write(encode(s.kind[0], s.data)); err != nil {
			return errEnded
		}
		if err := c.answer(gomilter.Code(s.kind[0]), s.data); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversation) answer(command gomilter.Code, data string) error {
	if command == gomilter.CodeOptNeg {
		return c.options(data)
	}
	if command == gomilter.CodeEOB {
		return c.final()
	}
	flags := map[gomilter.Code]gomilter.OptProtocol{
		gomilter.CodeConn: gomilter.OptNoConnReply, gomilter.CodeHelo: gomilter.OptNoHeloReply, gomilter.CodeMail: gomilter.OptNoMailReply,
		gomilter.CodeRcpt: gomilter.OptNoRcptReply, gomilter.CodeData: gomilter.OptNoDataReply, gomilter.CodeHeader: gomilter.OptNoHeaderReply,
		gomilter.CodeEOH: gomilter.OptNoEOHReply, gomilter.CodeBody: gomilter.OptNoBodyReply, codeUnknown: gomilter.OptNoUnknownReply,
	}
	flag, waits := flags[command]
	if !waits || c.agreed.has(flag) {
		return nil
	}
	got, err := c.p.tryReceive()
	if err != nil {
		return errEnded
	}
	if got.code != byte(gomilter.ActContinue) && (got.code != byte(gomilter.ActSkip) || !c.agreed.has(gomilter.OptSkip)) {
		return fmt.Errorf("answer %q to %q", got.code, byte(command))
	}
	return nil
}

func (c *conversation) options(data string) error {
	got, err := c.p.tryReceive()
	if err != nil {
		return errEnded
	}
	if got.code != byte(gomilter.CodeOptNeg) || len(got.data) < 12 {
		return fmt.Errorf("answer to the options: %q %q", got.code, got.data)
	}
	word := func(s string, i int) uint32 { return binary.BigEndian.Uint32([]byte(s[4*i:])) }
	c.offer = []byte(data)
	c.agreed = agreement{word(got.data, 0), gomilter.OptAction(word(got.data, 1)), gomilter.OptProtocol(word(got.data, 2))}
	switch {
	case c.agreed.version < 2 || c.agreed.version > 6 || c.agreed.version > word(data, 0):
		return fmt.Errorf("version %d in answer to %d", c.agreed.version, word(data, 0))
	case word(got.data, 1)&^word(data, 1) != 0 || word(got.data, 2)&^word(data, 2) != 0:
		return fmt.Errorf("more than was offered: %q", got.data)
	}
	return nil
}

func (c *conversation) final() error {
	c.all = nil
	for {
		got, err := c.p.tryReceive()
		if err != nil {
			return errEnded
		}
		c.all = append(c.all, got)
		switch {
		case strings.IndexByte("acy", got.code) >= 0:
			c.finals = append(c.finals, codes(c.all))
			return nil
		case strings.IndexByte("imqp", got.code) < 0:
			return fmt.Errorf("answer %q to the end of message", got.code)
		}
	}
}

// wireChecks are the checks of a case beyond the order of packets.
var wireChecks = map[string]func(c *conversation, h *handler) error{
	"negotiate_v1":       closes,
	"negotiate_short":    closes,
	"packet_zero_length": closes,
	"packet_huge_length": closes,
	"slow_mta":           closes,
	"negotiate_v2": func(c *conversation, _ *handler) error {
		return expect(c.agreed.version, uint32(2), "version")
	},
	"two_messages_one_connection": func(c *conversation, h *handler) error {
		return errors.Join(expect(len(c.finals), 2, "messages"), expect(len(h.letters[1].head), 4, "fields"))
	},
	"abort_mid_message": func(c *conversation, h *handler) error {
		l := h.letters[1]
		return errors.Join(expect(len(c.finals), 1, "messages"), expect(len(l.head), 4, "fields"), expect(string(l.text), "hello\r\n", "body"))
	},
	"quit_nc": func(c *conversation, h *handler) error { return expect(len(c.finals), 2, "messages") },
	"no_body": func(c *conversation, h *handler) error { return expect(h.letters[0].text == nil, true, "empty") },
	"body_chunks": func(c *conversation, h *handler) error {
		return errors.Join(expect(len(h.letters[0].text), 2*65535+3, "octets of body"), expect(h.letters[0].ended, true, "ended"))
	},
	"eob_with_data": func(c *conversation, h *handler) error {
		return expect(string(h.letters[0].text), "hello\r\nlast line\r\n", "body")
	},
	"macros_each_stage":   macrosEachStage,
	"connect_ipv6":        clientIs("2001:db8::1"),
	"connect_ipv6_plain":  clientIs("2001:db8::1"),
	"connect_mapped":      clientIs("203.0.113.66"),
	"connect_unknown":     clientIs(""),
	"connect_unix":        clientIs(""),
	"null_sender":         senderIs(""),
	"mail_no_brackets":    senderIs("a@x.example"),
	"mail_args":           mailArgs,
	"header_leadspc":      headerIs("From: a@x.example", "Subject:  two spaces", "X-Tab:\ttab", "X-None:none"),
	"header_folded":       headerIs("From:a@x.example", "Subject:one\r\n two\r\n\tthree"),
	"header_empty_value":  headerIs("From:a@x.example", "Subject:"),
	"header_8bit":         headerIs("From:a@x.example", "Subject:gr\xfc\xdfe"),
	"many_headers":        func(c *conversation, h *handler) error { return expect(c.finals[0], "y", "refused") },
	"existing_ar_removed": existingRemoved,
	"rcpt_rejected": func(c *conversation, h *handler) error {
		return expect(len(h.letters[0].env.Recipients), 2, "recipients")
	},
}

func expect[T comparable](got, want T, what string) error {
	if got != want {
		return fmt.Errorf("%s: %v, want %v", what, got, want)
	}
	return nil
}

func closes(c *conversation, _ *handler) error {
	if got, err := c.p.tryReceive(); err == nil {
		return fmt.Errorf("answer %q instead of a close", got.code)
	}
	return nil
}

func macrosEachStage(c *conversation, h *handler) error {
	l := h.letters[0]
	return errors.Join(expect(l.signed, true, "signed"), expect(l.env.AuthAuthen, "user", "login"), expect(l.env.MTAName, "mx.y.example", "j"),
		expect(l.env.DaemonName, "smtpd", "daemon name"), expect(l.env.QueueID, "4ABC", "queue id"))
}

func clientIs(addr string) func(*conversation, *handler) error {
	return func(c *conversation, h *handler) error {
		// A case without a message gets one, to see whether the connection still works.
		for _, s := range []wireStep{{"M", "<a@x.example>\x00", 1}, {"E", "", 1}} {
			if err := c.step(s); err != nil && !errors.Is(err, errEnded) {
				return err
			}
		}
		var want netip.Addr
		if addr != "" {
			want = netip.MustParseAddr(addr)
		}
		if h.count() == 0 {
			return errors.New("no message")
		}
		return expect(h.letters[0].first.ClientAddr, want, "client")
	}
}

func senderIs(path string) func(*conversation, *handler) error {
	return func(c *conversation, h *handler) error { return expect(h.letters[0].env.Sender, path, "sender") }
}

func mailArgs(c *conversation, h *handler) error {
	return errors.Join(expect(h.letters[0].env.Sender, "a@x.example", "sender"), expect(h.letters[0].env.SMTPUTF8, true, "SMTPUTF8"))
}

func headerIs(lines ...string) func(*conversation, *handler) error {
	return func(c *conversation, h *handler) error {
		return expect(h.letters[0].head.String(), strings.Join(lines, "\r\n")+"\r\n", "header")
	}
}

func existingRemoved(c *conversation, h *handler) error {
	want := []packet{
		{'m', "\x00\x00\x00\x03authentication-results\x00\x00"},
		{'m', "\x00\x00\x00\x01Authentication-Results\x00\x00"},
		{'i', "\x00\x00\x00\x00Authentication-Results\x00 mx.y.example; none\x00"},
		{'a', ""},
	}
	return expect(fmt.Sprintf("%q", c.all), fmt.Sprintf("%q", want), "answers")
}

// removeOurs is a verifier that deletes the fields which claim to be ours.
func removeOurs(_ context.Context, _ message.Envelope, h message.Header) message.Outcome {
	o := message.Outcome{Disposition: message.Accept, Insert: []message.Field{{Name: "Authentication-Results", Value: "mx.y.example; none"}}}
	for i, f := range h {
		if f.Is("Authentication-Results") && strings.HasPrefix(strings.ToLower(f.Value), "mx.y.example;") {
			o.Remove = append(o.Remove, i)
		}
	}
	return o
}

func TestMilterWireSuite(t *testing.T) {
	suite := conformance.Load(t, "milter-wire")
	for id := range wireChecks {
		if !slices.ContainsFunc(suite.Cases, func(c conformance.Case) bool { return c.ID == id }) {
			t.Errorf("no case %s", id)
		}
	}
	conformance.Run(t, suite, suite.OfKind("milter-wire"), func(t testing.TB, c conformance.Case) error {
		var steps struct{ Packets []wireStep }
		c.Decode(t, &steps)
		h, log := &handler{end: removeOurs}, &logged{}
		server := testServer(Defaults(), h, log)
		server.timeouts.packet = 100 * time.Millisecond
		talk := &conversation{p: join(t, server, h, log)}
		check := wireChecks[c.ID]
		quits := false
		for _, s := range steps.Packets {
			quits = quits || s.kind == "Q"
			if check != nil && s.kind == "Q" {
				break
			}
			if err := talk.step(s); errors.Is(err, errEnded) {
				break
			} else if err != nil {
				return err
			}
		}
		if check != nil {
			if err := check(talk, h); err != nil {
				return err
			}
			if quits {
				talk.step(wireStep{"Q", "", 1})
			}
		}
		if quits {
			if got, err := talk.p.tryReceive(); err == nil {
				return fmt.Errorf("answer %q after the end", got.code)
			}
		}
		if strings.Contains(log.String(), "panic") {
			return errors.New(log.String())
		}
		return nil
	})
}
