package tail

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"signpost/internal/message"
	"signpost/milter"
)

// A message is kept as one record: its facts in the order of encode, each number as a
// varint and each text with its length.
const (
	maxRecord = 4 << 10 // octets of a record
	maxText   = 512     // of each foreign text
	maxLong   = 1 << 10 // of a reply, a reason and a note
	maxListed = 5       // domains of authors and of recipients
	maxRows   = 16      // results, signatures and notes

	// overhead is room for the numbers and for texts without an octet.
	overhead = 256
)

// encoder writes a record.
type encoder struct {
	b    []byte
	hide hider
	cut  bool
}

// encode writes the record of a message over b.
func encode(b []byte, d *milter.Decided, now time.Time, localParts bool) []byte {
	e := encoder{b: b[:0], hide: hider{off: localParts, env: d.Envelope, author: d.Outcome.Author}}
	o := &d.Outcome
	e.b = append(e.b, 0) // whether facts are missing
	e.number(now.UnixNano())
	e.flag(d.Outbound)
	e.envelope(d)
	e.authors(o.Author)
	e.text(e.hide.text(d.Rule), maxText)
	e.results(o)
	e.text(string(o.Disposition), maxText)
	e.text(o.Would, maxText)
	e.reply(o)
	e.text(e.hide.text(o.Rule), maxText)
	reason := why(d)
	e.flag(reason == o.Rule)
	if reason != o.Rule {
		e.text(e.hide.text(reason), maxLong)
	}
	e.flag(o.Unsigned != "")
	e.number(d.Waited.Milliseconds())
	e.notes(o.Log)
	if e.cut {
		e.b[0] = 1
	}
	return e.b
}

// why is the one reason that a person wants to read first.
func why(d *milter.Decided) string {
	o := &d.Outcome
	for _, reason := range []string{d.Problem, o.Failure, o.Refused, o.Unsigned, o.Unjudged} {
		if reason != "" {
			return reason
		}
	}
	if o.Disposition != message.Accept || o.Would != "" {
		return o.Rule
	}
	return o.Fragile
}

func (e *encoder) number(n int64) { e.b = binary.AppendVarint(e.b, n) }

func (e *encoder) flag(on bool) {
	n := int64(0)
	if on {
		n = 1
	}
	e.number(n)
}

// text writes at most limit octets, fewer where the record is nearly full.
func (e *encoder) text(s string, limit int) {
	limit = min(limit, max(0, maxRecord-len(e.b)-overhead))
	if len(s) > limit {
		s, e.cut = s[:limit], true
	}
	e.b = append(binary.AppendUvarint(e.b, uint64(len(s))), s...)
}

// listed writes the texts that there is room for.
func (e *encoder) listed(n, most int, write func(i int)) {
	if n > most {
		n, e.cut = most, true
	}
	e.number(int64(n))
	for i := range n {
		write(i)
	}
}

func (e *encoder) envelope(d *milter.Decided) {
	env := d.Envelope
	if env == nil {
		env = &message.Envelope{}
	}
	e.text(env.QueueID, maxText)
	if env.ClientAddr.IsValid() {
		var text [64]byte
		address := env.ClientAddr.AppendTo(text[:0])
		e.b = append(binary.AppendUvarint(e.b, uint64(len(address))), address...)
	} else {
		e.text(env.ClientName, maxText)
	}
	e.text(env.Helo, maxText)
	if env.Sender == "" {
		e.text("<>", maxText)
	} else {
		e.path(env.Sender)
	}
	var domains [maxListed]string
	found := e.recipients(domains[:0], env.Recipients)
	e.listed(len(found), maxListed, func(i int) { e.text(found[i], maxText) })
	e.number(int64(d.Recipients))
}

// path writes an address, or its domain alone.
func (e *encoder) path(path string) {
	if e.hide.off {
		e.text(path, maxText)
		return
	}
	_, domain := splitPath(path)
	e.text(domain, maxText)
}

// recipients appends the first distinct domains, or addresses, of the recipients.
func (e *encoder) recipients(found, paths []string) []string {
	for _, path := range paths {
		if !e.hide.off {
			_, path = splitPath(path)
		}
		if len(found) < maxListed && !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	return found
}

func (e *encoder) authors(a *message.Author) {
	if a == nil {
		a = &message.Author{}
	}
	e.listed(len(a.Domains), maxListed, func(i int) { e.text(a.Domains[i], maxText) })
}

func (e *encoder) results(o *message.Outcome) {
	e.listed(len(o.Results), maxRows, func(i int) {
		r := &o.Results[i]
		for _, s := range [...]string{r.Method, r.Value, r.Domain, r.Selector} {
			e.text(s, maxText)
		}
	})
	e.listed(len(o.Signatures), maxRows, func(i int) {
		s := &o.Signatures[i]
		for _, s := range [...]string{s.Domain, s.Selector, s.Algorithm} {
			e.text(s, maxText)
		}
	})
}

// reply writes the reply to the client: the code, 0 for none, and the text.
func (e *encoder) reply(o *message.Outcome) {
	e.number(int64(o.Reply.Code))
	if o.Reply.Code != 0 {
		e.text(o.Reply.Enhanced, maxText)
		e.text(e.hide.text(o.Reply.Text), maxLong)
	}
}

func (e *encoder) notes(notes []message.Note) {
	e.listed(len(notes), maxRows, func(i int) {
		e.text(notes[i].Key, maxText)
		e.text(e.hide.text(notes[i].Value), maxLong)
	})
}

// decoder reads a record.
type decoder struct {
	b   []byte
	bad bool
}

// decode returns the event of a record.
func decode(b []byte) (Event, error) {
	d := &decoder{b: b}
	var e Event
	e.Cut = d.octet() != 0
	e.Time = time.Unix(0, d.number()).UTC()
	e.Direction = Inbound
	if d.number() != 0 {
		e.Direction = Outbound
	}
	e.QueueID, e.Client, e.Helo, e.Sender = d.text(), d.text(), d.text(), d.text()
	e.To = d.texts()
	e.Recipients = int(d.number())
	e.FromDomains = d.texts()
	e.Ours = d.text()
	for range d.rows() {
		e.Results = append(e.Results, Result{d.text(), d.text(), d.text(), d.text()})
	}
	for range d.rows() {
		e.Signatures = append(e.Signatures, Signature{d.text(), d.text(), d.text()})
	}
	e.Disposition, e.Would = message.Disposition(d.text()), d.text()
	if code := d.number(); code != 0 {
		e.Reply = strconv.FormatInt(code, 10) + " " + d.text() + " " + d.text()
	}
	e.Rule = d.text()
	if e.Why = e.Rule; d.number() == 0 {
		e.Why = d.text()
	}
	e.Unsigned = d.number() != 0
	e.WaitedMS = d.number()
	for range d.rows() {
		e.Notes = append(e.Notes, Note{d.text(), d.text()})
	}
	if d.bad || len(d.b) > 0 {
		return Event{}, fmt.Errorf("a record of %d octets cannot be read", len(b))
	}
	return e, nil
}

func (d *decoder) octet() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) number() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) text() string {
	length, n := binary.Uvarint(d.b)
	if n <= 0 || length > uint64(len(d.b)-n) {
		d.b, d.bad = nil, true
		return ""
	}
	s := string(d.b[n : n+int(length)])
	d.b = d.b[n+int(length):]
	return s
}

// rows returns how many rows of a list follow.
func (d *decoder) rows() int {
	n := d.number()
	if n < 0 || n > maxRows {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) texts() []string {
	list := []string{}
	for range d.rows() {
		list = append(list, d.text())
	}
	return list
}
