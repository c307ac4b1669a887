package outgoing

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"slices"
	"strings"

	"signpost/internal/message"
)

const (
	// maxBounce is how much of a bounce's body is read. The part that a program reads comes
	// before the returned message (RFC 3462 §2).
	maxBounce = 64 << 10
	// maxWhy bounds what is stored of its reason.
	maxWhy = 200
)

// A Bounce is a message to the address that a report bounces to, while it passes. One
// goroutine uses it.
type Bounce struct {
	day   int64
	key   [keyOctets]byte
	field string // Content-Type
	lists bool   // it has X-Failed-Recipients
	body  []byte
}

// Watch returns a Bounce if a message goes to the bounce address of a report, with the null
// sender (RFC 5321 §4.5.5): answers of people and of their programs are none.
func (t *Tokens) Watch(env message.Envelope, h message.Header) *Bounce {
	if t == nil || env.Sender != "" {
		return nil
	}
	for _, r := range env.Recipients {
		day, key, ok := t.read(r)
		if !ok {
			continue
		}
		b := &Bounce{day: day, key: key, lists: h.Count("X-Failed-Recipients") > 0}
		if f, ok := h.First("Content-Type"); ok {
			b.field = f.Value
		}
		return b
	}
	return nil
}

// Write reads a piece of the body, and reports whether it wants more.
func (b *Bounce) Write(chunk []byte) (more bool) {
	b.body = append(b.body, chunk[:min(len(chunk), maxBounce-len(b.body))]...)
	return len(b.body) < maxBounce
}

// failed says why the report was not delivered; "" if the message does not say that it will
// not be: a delay, or an answer that is no report on delivery.
func (b *Bounce) failed() string {
	kind, params, err := mime.ParseMediaType(strings.Join(strings.Fields(b.field), " "))
	if err == nil && kind == "multipart/report" && strings.EqualFold(params["report-type"], "delivery-status") {
		return inStatus(deliveryStatus(b.body, params["boundary"]))
	}
	if b.lists { // Exim's field, also in bounces of its old form
		return "the message that came back names it in X-Failed-Recipients"
	}
	return ""
}

// deliveryStatus returns the part message/delivery-status (RFC 3464 §2) of a bounce, as far as
// the body has been read.
func deliveryStatus(body []byte, boundary string) io.Reader {
	if boundary == "" {
		return nil
	}
	const maxParts = 8
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for range maxParts {
		part, err := parts.NextRawPart()
		if err != nil {
			return nil
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if kind == "message/delivery-status" || kind == "message/global-delivery-status" {
			return part
		}
	}
	return nil
}

// inStatus returns why a recipient is given up: the diagnostic of the first group of fields
// with the action "failed" (RFC 3464 §2.3.3).
func inStatus(part io.Reader) string {
	if part == nil {
		return ""
	}
	in := textproto.NewReader(bufio.NewReader(part))
	for {
		// A broken group, or the end of what was read, counts as far as it goes.
		fields, err := in.ReadMIMEHeader()
		action, _, _ := strings.Cut(fields.Get("Action"), " ")
		if strings.EqualFold(strings.TrimSpace(action), "failed") {
			words := slices.DeleteFunc([]string{fields.Get("Status"), fields.Get("Diagnostic-Code")}, func(s string) bool { return s == "" })
			return tidy("the mail system gave up: " + strings.Join(words, " "))
		}
		if err != nil {
			return ""
		}
	}
}

// tidy makes foreign text fit for a log and a terminal: one line of printable ASCII.
func tidy(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
	return s[:min(len(s), maxWhy)]
}
