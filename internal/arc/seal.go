package arc

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"signpost/internal/dkim"
	"signpost/internal/message"
)

// ErrEnded says that no set may be added: the newest seal says cv=fail (§5.1, step 2), or
// there are 50 sets.
var ErrEnded = errors.New("the chain has ended, no set can be added")

// SealParams says how a set is to be made. Both signatures are by the same key.
type SealParams struct {
	// Domain and Selector are d= and s= of both signatures, as A-labels.
	Domain, Selector string
	// Key signs, as in dkim.SignParams.
	Key crypto.Signer
	// Headers is h= of the message signature; From must be in it, and ARC fields and
	// Authentication-Results must not (§4.1.2).
	Headers []string
	// Time is t=.
	Time time.Time
	// Body is the hash of the whole body, begun by NewBody.
	Body *dkim.BodyHash
	// Payload is the value of an Authentication-Results field with all results, those of this
	// chain too. Any text is sealed as it is.
	Payload string
}

// NewBody begins the hash of a body, for SealParams.Body: the body comes before it is known
// whether the chain verifies. Write it in pieces, with CRLF line ends.
func NewBody() *dkim.BodyHash { return dkim.NewBodyHash(dkim.Relaxed, sha256.New()) }

// Seal returns the three fields of a set for a message, the top one first; the values have no
// leading space. h is the header as it will leave, and judged is the chain as it came. A chain
// that failed gets a seal that says so and covers its own set alone (§5.1.2). The error is
// ErrEnded, a mistake in the parameters, or that of the key.
func Seal(h message.Header, judged Outcome, p SealParams) ([]message.Field, error) {
	s, err := newSealing(h, judged, p)
	if err != nil {
		return nil, err
	}
	return s.fields()
}

// sealing is the work on one set.
type sealing struct {
	SealParams
	header    message.Header
	sets      []set // those that the seal covers beside its own
	instance  int
	status    Result
	algorithm string
	hash      crypto.Hash
}

func newSealing(h message.Header, judged Outcome, p SealParams) (*sealing, error) {
	s := &sealing{SealParams: p, header: h, status: judged.Result, instance: judged.Instances + 1}
	if judged.Ended || s.instance > MaxSets {
		return nil, ErrEnded
	}
	if s.status == Pass {
		c := Read(h, Options{})
		if c == nil || c.broken != "" || len(c.sets) != judged.Instances {
			return nil, errors.New("the header is not the one whose chain was judged")
		}
		s.sets = c.sets
	}
	return s, s.checkParams()
}

func (s *sealing) checkParams() error {
	for _, name := range []string{s.Domain, s.Selector} {
		if ascii, ok := message.DomainToASCII(name); !ok || ascii != name {
			return fmt.Errorf("%q is not a domain name in lower-case A-labels", name)
		}
	}
	if s.Time.Unix() < 0 {
		return fmt.Errorf("time %v is before 1970", s.Time)
	}
	switch {
	case s.Key == nil:
		return errors.New("there is no key")
	case s.Body == nil:
		return errors.New("there is no hash of the body")
	}
	if s.algorithm, s.hash = dkim.Algorithm(s.Key.Public()); s.algorithm == "" {
		return fmt.Errorf("a key of type %T cannot seal: use RSA of 1,024 bits or more, or Ed25519", s.Key.Public())
	}
	if !slices.ContainsFunc(s.Headers, func(n string) bool { return message.EqualFold(n, "From") }) {
		return errors.New("the header fields to be signed lack From: add it")
	}
	for _, name := range s.Headers {
		if kindOf(name) != other || message.EqualFold(name, "Authentication-Results") || strings.ContainsAny(name, " \t\r\n:;") || name == "" {
			return fmt.Errorf("header field %q cannot be signed (RFC 8617 section 4.1.2)", name)
		}
	}
	return nil
}

func (s *sealing) fields() ([]message.Field, error) {
	s.Body.Close()
	results := message.Field{Name: NameResults, Value: " i=" + strconv.Itoa(s.instance) + "; " + strings.TrimLeft(s.Payload, " \t")}
	signature, err := s.sign(NameMessage, s.messageTags(), func(own message.Field, cut int) [dkim.SumOctets]byte {
		return dkim.SumHeader(s.header, strings.Join(s.Headers, ":"), dkim.Relaxed, own, cut)
	})
	if err != nil {
		return nil, err
	}
	seal, err := s.sign(NameSeal, s.sealTags(), func(own message.Field, cut int) [dkim.SumOctets]byte {
		return s.sealSum(results, signature, own)
	})
	if err != nil {
		return nil, err
	}
	fields := []message.Field{seal, signature, results}
	for i := range fields {
		fields[i].Value = strings.TrimPrefix(fields[i].Value, " ")
	}
	return fields, nil
}

// The tags stand in the order of the alphabet, as other sealers have them, and the value of
// b= is empty.

func (s *sealing) messageTags() []string {
	return []string{"a=" + s.algorithm, "b=", "bh=" + base64.StdEncoding.EncodeToString(s.Body.Sum()), "c=relaxed/relaxed",
		"d=" + s.Domain, "h=" + strings.Join(s.Headers, ":"), "i=" + strconv.Itoa(s.instance), "s=" + s.Selector, s.timeTag()}
}

func (s *sealing) sealTags() []string {
	return []string{"a=" + s.algorithm, "b=", "cv=" + string(s.status),
		"d=" + s.Domain, "i=" + strconv.Itoa(s.instance), "s=" + s.Selector, s.timeTag()}
}

func (s *sealing) timeTag() string { return "t=" + strconv.FormatInt(s.Time.Unix(), 10) }

// sealSum is the hash that the new seal signs (§5.1.1).
func (s *sealing) sealSum(results, signature, own message.Field) [dkim.SumOctets]byte {
	var buf []byte
	for i := range s.sets {
		for _, at := range []int{s.sets[i].at[resultsField], s.sets[i].at[messageField], s.sets[i].at[sealField]} {
			buf = dkim.AppendField(buf, s.header[at], dkim.Relaxed)
		}
	}
	buf = dkim.AppendField(buf, results, dkim.Relaxed)
	buf = dkim.AppendField(buf, signature, dkim.Relaxed)
	buf = dkim.AppendField(buf, own, dkim.Relaxed)
	return sha256.Sum256(buf[:len(buf)-len("\r\n")])
}

// sign writes a field with an empty b=, hashes it as sum says, and puts the signature in.
func (s *sealing) sign(name string, tags []string, sum func(own message.Field, cut int) [dkim.SumOctets]byte) (message.Field, error) {
	text, cut := foldTags(len(name)+1, tags)
	own := message.Field{Name: name, Value: text}
	hashed := sum(own, cut)
	data, err := s.Key.Sign(rand.Reader, hashed[:], s.hash)
	switch {
	case err != nil:
		return own, fmt.Errorf("sealing for domain %q, selector %q: %w", s.Domain, s.Selector, err)
	case len(data) == 0:
		return own, fmt.Errorf("sealing for domain %q, selector %q: the key returned an empty signature", s.Domain, s.Selector)
	}
	own.Value = text[:cut] + foldData(base64.StdEncoding.EncodeToString(data)) + text[cut:]
	return own, nil
}

// lineWidth is the longest line that RFC 5322 §2.1.1 wants, without CRLF.
const lineWidth = 78

// foldTags writes a tag list, which begins in a column, in lines. It also returns where the
// value of b= belongs; the tag has a line of its own.
func foldTags(column int, tags []string) (text string, cut int) {
	var b strings.Builder
	for i, tag := range tags {
		if i < len(tags)-1 {
			tag += ";"
		}
		isData := tag == "b=;"
		if isData || column+1+len(tag) > lineWidth {
			b.WriteString("\r\n")
			column = 0
		}
		b.WriteByte(' ')
		column++
		for len(tag) > lineWidth-column {
			colon := strings.LastIndexByte(tag[:lineWidth-column], ':') + 1
			if colon == 0 {
				break
			}
			b.WriteString(tag[:colon] + "\r\n ")
			tag, column = tag[colon:], 1
		}
		if isData {
			cut = b.Len() + len("b=")
			column = lineWidth
		}
		b.WriteString(tag)
		column += len(tag)
	}
	return b.String(), cut
}

// foldData writes base64 in lines, the first after " b=".
func foldData(data string) string {
	var b strings.Builder
	room := lineWidth - len(" b=;")
	for len(data) > room {
		b.WriteString(data[:room] + "\r\n ")
		data, room = data[room:], lineWidth-len(" ;")
	}
	return b.String() + data
}
