package milter

import (
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"signpost/internal/message"
)

// maxLogValue limits each foreign value in a log line, in octets.
const maxLogValue = 512

// clean makes foreign text safe for a log line: control characters, octets that are not UTF-8 and
// characters that change the writing direction become "?". A text longer than limit octets is cut and
// ends in "...".
func clean(text string, limit int) string {
	if len(text) <= limit && plain(text) {
		return text
	}
	var b strings.Builder
	for _, c := range text {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			c = '?'
		}
		if b.Len()+utf8.RuneLen(c) > limit {
			b.WriteString("...")
			break
		}
		b.WriteRune(c)
	}
	return b.String()
}

func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// logTransaction writes the line of a decided message. waited is the time that the MTA waited at the
// end of the message.
func (s *session) logTransaction(o *message.Outcome, waited time.Duration) {
	t := &s.transaction
	level := slog.LevelInfo
	if t.problem != "" {
		level = slog.LevelWarn
	}
	log := s.server.log
	if !log.Enabled(s.server.running, level) {
		return
	}
	var usual [24]slog.Attr
	attrs := s.appendTransactionAttrs(usual[:0])
	attrs = append(attrs, slog.Bool("ours", t.outbound), slog.String("rule", clean(t.rule, maxLogValue)))
	for _, n := range o.Log {
		attrs = append(attrs, slog.String(n.Key, clean(n.Value, 4*maxLogValue)))
	}
	attrs = append(attrs, slog.String("disposition", string(o.Disposition)))
	if o.Disposition == message.Reject || o.Disposition == message.Tempfail {
		r := fitReply(o.Disposition, o.Reply)
		attrs = append(attrs, slog.String("reply", clean(strconv.Itoa(r.Code)+" "+r.Enhanced+" "+r.Text, maxLogValue)))
	}
	if t.problem != "" {
		attrs = append(attrs, slog.String("problem", clean(t.problem, maxLogValue)))
	}
	attrs = append(attrs, slog.Int64("ms", waited.Milliseconds()))
	log.LogAttrs(s.server.running, level, "message", attrs...)
}

// appendTransactionAttrs appends the attributes that identify a message.
func (s *session) appendTransactionAttrs(attrs []slog.Attr) []slog.Attr {
	t := &s.transaction
	where := t.env.ClientName
	if t.env.ClientAddr.IsValid() {
		where = s.client.text
	}
	return append(attrs,
		slog.String("queue", clean(t.env.QueueID, maxLogValue)),
		slog.String("client", clean(where, maxLogValue)),
		slog.String("helo", clean(t.env.Helo, maxLogValue)),
		slog.String("from", clean(t.env.Sender, maxLogValue)),
		slog.Int("rcpts", t.rcpts),
	)
}

// dropTransaction ends a message without a decision.
func (s *session) dropTransaction(why string) {
	if !s.transaction.open {
		return
	}
	if log := s.server.log; log.Enabled(s.server.running, slog.LevelDebug) {
		log.LogAttrs(s.server.running, slog.LevelDebug, "message given up", append(s.appendTransactionAttrs(nil), slog.String("why", why))...)
	}
	s.endTransaction()
}
