package milter

import (
	"strconv"
	"strings"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

const (
	// RFC 5321 §4.5.3.1.5: 512 octets a line, CRLF included.
	maxReplyLine = 510
	// Sendmail's buffer for a reply (MAXLINE) has room for these.
	maxReplyLines = 4
)

// appendReply appends the packet that refuses a message with the outcome's reply. The disposition decides
// between 4xx and 5xx; a code of the other class is replaced.
func appendReply(out []byte, disposition message.Disposition, r message.Reply) []byte {
	r = fitReply(disposition, r)
	code, enhanced, text := strconv.Itoa(r.Code), r.Enhanced, replyText(r.Text)
	start := len(out)
	out = append(out, 0, 0, 0, 0, byte(gomilter.ActReplyCode))
	room := maxReplyLine - len(code) - len(enhanced) - 2
	for line := 1; ; line++ {
		var piece string
		piece, text = cutLine(text, room)
		last := text == "" || line == maxReplyLines
		out = append(out, code...)
		if last {
			out = append(out, ' ')
		} else {
			out = append(out, '-')
		}
		out = append(out, enhanced...)
		out = append(out, ' ')
		out = append(out, piece...)
		if last {
			break
		}
		out = append(out, "\r\n"...)
	}
	return closePacket(append(out, 0), start)
}

// fitReply makes a reply fit the disposition: both codes of its class, and a text.
func fitReply(disposition message.Disposition, r message.Reply) message.Reply {
	usual := message.Reply{Code: 451, Enhanced: "4.3.0", Text: "try again later"}
	if disposition == message.Reject {
		usual = message.Reply{Code: 550, Enhanced: "5.7.1", Text: "message refused"}
	}
	if r.Code/100 != usual.Code/100 {
		r.Code = usual.Code
	}
	if !isEnhanced(r.Enhanced) {
		r.Enhanced = usual.Enhanced
	}
	// RFC 2034 §4: the first digit is that of the reply code.
	r.Enhanced = usual.Enhanced[:1] + r.Enhanced[1:]
	if strings.TrimSpace(r.Text) == "" {
		r.Text = usual.Text
	}
	return r
}

// isEnhanced: RFC 3463 §2, class "." subject "." detail.
func isEnhanced(code string) bool {
	parts := strings.Split(code, ".")
	return len(parts) == 3 && len(parts[0]) == 1 && shortNumber(parts[1]) && shortNumber(parts[2])
}

// shortNumber: RFC 3463 §2 has at most three digits.
func shortNumber(s string) bool {
	if s == "" || len(s) > 3 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// replyText makes text safe for a reply: printable ASCII on one line, with each percent sign doubled. Sendmail
// takes the reply for a format and replaces it whole if it has a single percent sign
// (MILTER_CHECK_REPLYCODE). Postfix undoes the doubling (milter8_event).
func replyText(text string) string {
	var b strings.Builder
	for _, c := range text {
		switch {
		case c == '%':
			b.WriteString("%%")
		case c == '\t' || c == '\r' || c == '\n':
			b.WriteByte(' ')
		case c < ' ' || c > '~':
			b.WriteByte('?')
		default:
			b.WriteByte(byte(c))
		}
		if b.Len() > maxReplyLine*maxReplyLines {
			break
		}
	}
	return strings.TrimSpace(b.String())
}

// cutLine cuts at most room octets off the text, at a blank if there is one, and never between doubled percent
// signs.
func cutLine(text string, room int) (line, rest string) {
	if len(text) <= room {
		return text, ""
	}
	at := strings.LastIndexByte(text[:room+1], ' ')
	if at < room/2 {
		at = room
		percents := 0
		for at-percents > 0 && text[at-percents-1] == '%' {
			percents++
		}
		at -= percents % 2
	}
	return strings.TrimRight(text[:at], " "), strings.TrimLeft(text[at:], " ")
}
