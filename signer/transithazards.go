package signer

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"

	"signpost/internal/dkim"
	"signpost/internal/message"
)

// maxLine is the longest line of a message without its CRLF (RFC 5322 §2.1.1).
const maxLine = 998

// examined is how much of a body is checked octet by octet. Hazards nearly always show in
// the first part. The length of lines is checked to the end.
const examined = 256 << 10

// textHazards finds text that hosts on the way change, which invalidates the signature:
// 8-bit octets, lines that are too long, CR and LF that do not stand together (RFC 6376
// §5.3). It takes the text piece by piece and allocates nothing.
type textHazards struct {
	eightBit, bareCR, bareLF, tooLong bool

	column int  // octets of the line so far, its CR included
	cr     bool // the last octet was a CR
	seen   int  // up to examined
}

// write checks the next piece.
func (o *textHazards) write(p []byte) {
	o.lines(p)
	p = p[:min(len(p), examined-o.seen)]
	o.seen += len(p)
	const few = 64 // octets, before the fast way is tried again
	for len(p) > 0 {
		p = p[o.plain(p):]
		n := min(len(p), few)
		o.oneByOne(p[:n])
		p = p[n:]
	}
}

// Constants for eight octets at once.
const (
	high  = 0x8080808080808080
	low7  = 0x7f7f7f7f7f7f7f7f
	allCR = 0x0d0d0d0d0d0d0d0d
	allLF = 0x0a0a0a0a0a0a0a0a
)

// plain skips 7-bit text in which each CR has its LF and each LF its CR, eight octets at a
// time. It returns the number of octets.
func (o *textHazards) plain(p []byte) int {
	var before uint64 = 0x80 // the high bit of the octet before p, as below
	if o.cr {
		before = 0
	}
	i := 0
	for ; i+8 <= len(p); i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		// If w is 7-bit, the high bit of each octet means: not CR, not LF.
		noCR, noLF := (w^allCR)+low7, (w^allLF)+low7
		if (w|((noCR<<8|before)^noLF))&high != 0 {
			break
		}
		before = noCR >> 56
	}
	o.cr = before&0x80 == 0
	return i
}

// oneByOne checks any text.
func (o *textHazards) oneByOne(p []byte) {
	for _, c := range p {
		switch {
		case c >= 0x80:
			o.eightBit = true
			o.bareCR = o.bareCR || o.cr
		case c == '\n' && !o.cr:
			o.bareLF = true
		case c != '\n' && o.cr:
			o.bareCR = true
		}
		o.cr = c == '\r'
	}
}

// lines measures the length of lines. It looks only for an LF within the longest length, so
// it reads few octets of ordinary text.
func (o *textHazards) lines(p []byte) {
	const longest = maxLine + len("\r")
	for len(p) > 0 {
		room := longest - o.column
		if room >= len(p) {
			if last := bytes.LastIndexByte(p, '\n'); last >= 0 {
				o.column = len(p) - last - 1
			} else {
				o.column += len(p)
			}
			return
		}
		last := bytes.LastIndexByte(p[:room+1], '\n')
		if last < 0 {
			o.tooLong = true
			if last = bytes.IndexByte(p, '\n'); last < 0 {
				o.column = longest
				return
			}
		}
		p, o.column = p[last+1:], 0
	}
}

// end is called after the last piece.
func (o *textHazards) end() { o.bareCR = o.bareCR || (o.cr && o.seen < examined) }

// transitHazards collects what can invalidate a message's signatures on the way.
type transitHazards struct {
	body     textHazards
	header   textHazards
	declared bool // the header says that the body is 8-bit
}

// fields checks a header.
func (f *transitHazards) fields(h message.Header) {
	f.declared = declared8Bit(h)
	var usual [1024]byte
	line := usual[:0]
	for _, field := range h {
		line = append(line[:0], field.Name...)
		line = append(line, ':')
		line = append(line, field.Value...)
		f.header.write(append(line, "\r\n"...))
	}
}

// noHazard is the result in a trace if a hazard is absent.
const noHazard = "no hazard"

// hazard is one possible cause of an invalid signature.
type hazard struct {
	rule     string
	present  bool
	absent   string        // the result in a trace if it is absent; "": noHazard
	problem  string        // the cause, its effect and the remedy
	compared func() string // for a trace
}

// note describes all hazards that were found, with remedies; "" for none.
func (f *transitHazards) note(env *message.Envelope, canon dkim.Canonicalization, trace *message.Trace) string {
	f.body.end()
	const encode = "have the sending program encode it (quoted-printable or base64)"
	body, header := &f.body, &f.header
	well8Bit := ""
	if body.eightBit {
		well8Bit = noHazard + " where every host on the way has 8BITMIME; before one without, Postfix converts the body, whatever BODY= says: " +
			"set disable_mime_output_conversion = yes in main.cf, or " + encode
	}
	hazards := [...]hazard{{
		"8-bit body", body.eightBit && !f.declared && !env.EightBit, well8Bit,
		"the body is 8-bit and its header does not say so (RFC 2045 §6), a host on the way may convert it: " + encode +
			", or write MIME-Version: 1.0, a charset and Content-Transfer-Encoding: 8bit",
		func() string {
			return fmt.Sprintf("8-bit octets: %t; declared in the header: %t; BODY=8BITMIME: %t", body.eightBit, f.declared, env.EightBit)
		},
	}, {
		"8-bit header", header.eightBit && !env.SMTPUTF8, "",
		"the header is 8-bit without SMTPUTF8 (RFC 6532), a host on the way may rewrite or refuse it: have the sending program use encoded words (RFC 2047)",
		func() string { return fmt.Sprintf("8-bit octets: %t; SMTPUTF8: %t", header.eightBit, env.SMTPUTF8) },
	}, {
		"lines over 998 octets", body.tooLong || header.tooLong, "",
		"a line is longer than 998 octets (RFC 5322 §2.1.1), a host on the way will break it: " + encode,
		func() string { return fmt.Sprintf("in the body: %t; in the header: %t", body.tooLong, header.tooLong) },
	}, {
		"bare CR or LF", body.bareCR || body.bareLF || header.bareCR || header.bareLF, "",
		"a CR or LF stands alone (RFC 5322 §2.3), a host on the way will mend it: have the sending program end its lines with CRLF and encode others",
		func() string {
			return fmt.Sprintf("CR: %t; LF: %t", body.bareCR || header.bareCR, body.bareLF || header.bareLF)
		},
	}, {
		"simple header canonicalization", canon == dkim.Simple && env.BlanksGuessed, "",
		"the MTA does not show the blanks after the colon, which c=simple counts: write signer.canonicalization: relaxed/relaxed",
		func() string { return fmt.Sprintf("%s; blanks seen: %t", canon, !env.BlanksGuessed) },
	}}
	found := ""
	for _, r := range hazards {
		result := cmp.Or(r.absent, noHazard)
		if r.present {
			result = r.problem
			if found != "" {
				found += "; "
			}
			found += r.problem
		}
		if trace != nil {
			trace.Add(r.rule, r.compared(), result)
		}
	}
	return found
}
