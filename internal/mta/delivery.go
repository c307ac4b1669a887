package mta

import (
	"encoding/json"
	"strconv"
	"strings"
)

// A Refusal is a receiver's answer to one of our messages that was not "accepted".
type Refusal struct {
	QueueID string
	To      string // the recipient
	Relay   string // the name of the receiver's server
	// Code is the SMTP reply's, such as 550, and Enhanced the code of RFC 3463, such as "5.7.26". Either
	// may be absent.
	Code     int
	Enhanced string
	// Text is the reply in one line, without the codes.
	Text string
}

// maxQueueID limits a queue id, in octets. Postfix' long ones have up to 20.
const maxQueueID = 32

// queueID splits "QUEUEID: rest".
func queueID(message string) (id, rest string, ok bool) {
	id, rest, ok = strings.Cut(message, ": ")
	if !ok || id == "" || len(id) > maxQueueID {
		return "", "", false
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return "", "", false
		}
	}
	return id, rest, true
}

// Refusal reads a line of Postfix' smtp(8) or of Sendmail about a delivery that the other side did not accept.
func (l LogLine) Refusal() (Refusal, bool) {
	id, rest, ok := queueID(l.Message)
	if !ok || !strings.HasPrefix(rest, "to=") {
		return Refusal{}, false
	}
	r := Refusal{QueueID: id, To: address(rest[len("to="):]), Relay: relay(field(rest, "relay="))}
	if _, status, ok := strings.Cut(rest, ", status="); ok {
		return r.postfix(status)
	}
	return r.sendmail(rest)
}

// postfix reads "bounced (host H[A] said: 550 … (in reply to end of DATA command))".
func (r Refusal) postfix(status string) (Refusal, bool) {
	status, text, ok := strings.Cut(status, " (")
	if !ok || status != "bounced" && status != "deferred" && status != "undeliverable" {
		return r, false
	}
	host, reply, ok := strings.Cut(text, " said: ")
	if !ok {
		host, reply, ok = strings.Cut(text, " refused to talk to me: ")
	}
	if !ok {
		return r, false
	}
	if h, isHost := strings.CutPrefix(host, "host "); isHost {
		r.Relay = relay(h)
	}
	reply = strings.TrimSuffix(reply, ")")
	if at := strings.LastIndex(reply, " (in reply to "); at >= 0 {
		reply = reply[:at]
	}
	r.reply(reply)
	return r, r.Code >= 400
}

// sendmail reads "…, dsn=5.7.26, stat=Service unavailable" and "…, reply=550 5.7.26 …".
func (r Refusal) sendmail(rest string) (Refusal, bool) {
	dsn := field(rest, "dsn=")
	_, status, ok := strings.Cut(rest, ", stat=")
	if !ok || dsn == "" || dsn[0] != '4' && dsn[0] != '5' {
		return r, false
	}
	if _, reply, ok := strings.Cut(rest, ", reply="); ok {
		reply, _, _ = strings.Cut(reply, ", stat=")
		r.reply(reply)
	} else {
		r.reply(strings.TrimPrefix(status, "Deferred: "))
	}
	if r.Enhanced == "" {
		r.Enhanced = dsn
	}
	if r.Code == 0 {
		r.Code = int(dsn[0]-'0') * 100
	}
	return r, true
}

// reply reads a reply whose lines have been joined, "550-5.7.26 a 550-5.7.26 b 550 5.7.26 c": the codes
// stand before each part.
func (r *Refusal) reply(text string) {
	words := strings.Fields(text)
	kept := words[:0]
	for i := 0; i < len(words); i++ {
		code, enhanced, rest := replyCode(words[i])
		if code == 0 || r.Code != 0 && code != r.Code {
			kept = append(kept, words[i])
			continue
		}
		if enhanced == "" && rest == "" && i+1 < len(words) && isEnhanced(words[i+1]) {
			enhanced = words[i+1]
			i++
		}
		r.Code = code
		if r.Enhanced == "" {
			r.Enhanced = enhanced
		}
		if rest != "" {
			kept = append(kept, rest)
		}
	}
	r.Text = strings.Join(kept, " ")
}

// replyCode reads "550", "550-", "550;", "550-5.7.26" and "550-text".
func replyCode(word string) (code int, enhanced, rest string) {
	if len(word) < 3 || word[0] != '4' && word[0] != '5' {
		return 0, "", ""
	}
	n, err := strconv.ParseUint(word[:3], 10, 16)
	code, rest = int(n), word[3:]
	switch {
	case err != nil:
		return 0, "", ""
	case rest == "" || rest == "-" || rest == ";":
		return code, "", ""
	case rest[0] != '-':
		return 0, "", ""
	case isEnhanced(rest[1:]):
		return code, rest[1:], ""
	}
	return code, "", rest[1:]
}

// isEnhanced reports whether a word is a code of RFC 3463: "5.7.26".
func isEnhanced(word string) bool {
	parts := strings.Split(word, ".")
	if len(parts) != 3 || len(word) > len("5.999.999") || parts[0] != "4" && parts[0] != "5" {
		return false
	}
	for _, p := range parts {
		if _, err := strconv.ParseUint(p, 10, 16); err != nil {
			return false
		}
	}
	return true
}

// field is the value after a name, up to the next comma.
func field(text, name string) string {
	for part := range strings.SplitSeq(text, ", ") {
		if value, ok := strings.CutPrefix(part, name); ok {
			return value
		}
	}
	return ""
}

// address is the first address of "<a@b>, …" or "a@b,c@d".
func address(text string) string {
	text, _, _ = strings.Cut(text, ",")
	return strings.Trim(strings.TrimSpace(text), "<>")
}

// relay is the name in "host[address]:port" and "host. [address]", in lower case.
func relay(text string) string {
	text, _, _ = strings.Cut(text, "[")
	return strings.ToLower(strings.TrimSuffix(strings.TrimSpace(text), "."))
}

// Sender reads the line that names a queue file's envelope sender.
func (l LogLine) Sender() (id, sender string, ok bool) {
	id, rest, ok := queueID(l.Message)
	if !ok || !strings.HasPrefix(rest, "from=<") {
		return "", "", false
	}
	return id, address(rest[len("from="):]), true
}

// Requeued reads the line of a message that a content filter has taken and handed back: it is in the queue
// again under another id.
func (l LogLine) Requeued() (before, after string, ok bool) {
	id, rest, ok := queueID(l.Message)
	if !ok || !strings.HasPrefix(rest, "to=") {
		return "", "", false
	}
	at := strings.LastIndex(rest, "queued as ")
	if at < 0 {
		return "", "", false
	}
	after = strings.TrimRight(rest[at+len("queued as "):], ") .")
	_, _, ok = queueID(after + ": ")
	return id, after, ok && after != id
}

// Handled is what our own log says of a message.
type Handled struct {
	QueueID string
	Ours    bool   // to be signed; else it was judged
	Signed  string // d= of the signature, or empty
	Entry   string // of signer.domains
	Unsigned,
	Fragile string // why it was not signed, and what will break its signature
	From string // the envelope sender
	// Author is the domain in From. Our log does not have it.
	Author string
}

// Handled reads a line of our own about a message.
func (l LogLine) Handled() (Handled, bool) {
	if l.Program != ownProgram && !strings.HasSuffix(l.Program, "/"+ownProgram) || !strings.Contains(l.Message, "queue") {
		return Handled{}, false
	}
	values := ownValues(l.Message)
	h := Handled{
		QueueID: values["queue"], Ours: values["ours"] == "true", Signed: values["signed"], Entry: values["entry"],
		Unsigned: values["unsigned"], Fragile: values["fragile"], From: values["from"],
	}
	return h, values["msg"] == "message" && h.QueueID != ""
}

// ownValues reads the keys and values of our log, in either of its formats.
func ownValues(message string) map[string]string {
	values := map[string]string{}
	if strings.HasPrefix(message, "{") {
		var all map[string]any
		if json.Unmarshal([]byte(message), &all) == nil {
			for k, v := range all {
				switch v := v.(type) {
				case string:
					values[k] = v
				case bool:
					values[k] = strconv.FormatBool(v)
				}
			}
		}
		return values
	}
	for message != "" {
		var key string
		var ok bool
		if key, message, ok = strings.Cut(strings.TrimLeft(message, " "), "="); !ok {
			break
		}
		if quoted, err := strconv.QuotedPrefix(message); err == nil && strings.HasPrefix(message, `"`) {
			value, _ := strconv.Unquote(quoted)
			values[key], message = value, message[len(quoted):]
			continue
		}
		values[key], message, _ = strings.Cut(message, " ")
	}
	return values
}
