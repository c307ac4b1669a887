package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"signpost/internal/message"
)

// SignParams describes one signature to make.
type SignParams struct {
	// Domain is the SDID, Selector the key's; both as A-labels or U-labels.
	Domain, Selector string
	// AUID is i=, not encoded: an address in Domain or a subdomain. Its local part may
	// be empty. If AUID is empty, i= is not written.
	AUID string
	// Key signs. Its public key is an *rsa.PublicKey of at least 1024 bits, or an
	// ed25519.PublicKey. Sign is called for PKCS #1 v1.5 with SHA-256 (crypto.SHA256),
	// or for PureEdDSA (crypto.Hash(0)).
	Key crypto.Signer
	// HeaderCanon and BodyCanon are relaxed if empty.
	HeaderCanon, BodyCanon Canonicalization
	// Headers is h=: a name for each field to sign, the lowest field of a name first,
	// and one more for each name to which no field may be added (oversigning). It must
	// contain From.
	Headers []string
	// Time is t=; zero writes no t=.
	Time time.Time
	// Expire is how long after Time the signature is valid (x=); 0 means without
	// limit.
	Expire time.Duration
	// UTF8 writes d=, s= and i= with U-labels. RFC 8616 §5 wants them in messages with
	// an internationalized header, and only there.
	UTF8 bool
}

// Signing makes all signatures of one message with one pass over the body.
type Signing struct {
	header headerHasher
	plans  []plan
	bodies []body
}

// plan is one signature to be made.
type plan struct {
	SignParams
	algorithm string
	body      int
}

// NewSigning checks whether the message can be signed with params. If any of them
// fails, nothing is signed; the error says why.
func NewSigning(h message.Header, params []SignParams) (*Signing, error) {
	s := new(Signing)
	s.header.begin(h)
	// RFC 5322 §3.6; RFC 6376 §5.4. A mail reader would display one From, and we
	// cannot know which.
	if n := s.header.index.count("From"); n != 1 {
		return nil, fmt.Errorf("the message has %d From fields: only one with exactly one can be signed", n)
	}
	s.plans = make([]plan, len(params))
	for i, p := range params {
		if err := s.plans[i].prepare(p, &s.header.index); err != nil {
			return nil, fmt.Errorf("signature for domain %q, selector %q: %w", p.Domain, p.Selector, err)
		}
		s.plans[i].body = s.wantBody(s.plans[i].BodyCanon)
	}
	return s, nil
}

func (s *Signing) wantBody(c Canonicalization) int {
	for i := range s.bodies {
		if s.bodies[i].canon == c {
			return i
		}
	}
	s.bodies = append(s.bodies, body{c, crypto.SHA256, NewBodyHash(c, newHash(crypto.SHA256))})
	return len(s.bodies) - 1
}

// prepare checks the parameters and converts them to their written form.
func (p *plan) prepare(params SignParams, x *fieldIndex) error {
	p.SignParams = params
	if p.HeaderCanon == "" {
		p.HeaderCanon = Relaxed
	}
	if p.BodyCanon == "" {
		p.BodyCanon = Relaxed
	}
	if canonicalization(string(p.HeaderCanon)) != p.HeaderCanon || canonicalization(string(p.BodyCanon)) != p.BodyCanon {
		return fmt.Errorf("canonicalization %q/%q is unknown: use simple or relaxed", p.HeaderCanon, p.BodyCanon)
	}
	if err := p.prepareKey(); err != nil {
		return err
	}
	if err := p.prepareIdentity(); err != nil {
		return err
	}
	if p.Expire < 0 || p.Expire > 0 && (p.Time.IsZero() || p.Expire < time.Second) {
		return fmt.Errorf("expiry of %v after %v: it must lie a second or more after a known time", p.Expire, p.Time)
	}
	if !p.Time.IsZero() && p.Time.Unix() < 0 {
		return fmt.Errorf("time %v is before 1970", p.Time)
	}
	return p.prepareHeaders(x)
}

func (p *plan) prepareKey() error {
	if p.Key == nil {
		return fmt.Errorf("there is no key")
	}
	switch public := p.Key.Public().(type) {
	case *rsa.PublicKey:
		// RFC 8301 §3.2
		if bits := public.N.BitLen(); bits < defaultMinRSABits {
			return fmt.Errorf("the RSA key has %d bits: verifiers do not accept fewer than %d", bits, defaultMinRSABits)
		}
		p.algorithm = rsaSHA256
	case ed25519.PublicKey:
		p.algorithm = ed25519SHA256
	default:
		return fmt.Errorf("a key of type %T cannot sign: use RSA or Ed25519", public)
	}
	return nil
}

func (p *plan) prepareIdentity() error {
	domain, selector := domainName(p.Domain), domainName(p.Selector)
	switch {
	case domain == "" || !strings.Contains(domain, "."):
		return fmt.Errorf("domain %q is not a domain name of two labels or more", p.Domain)
	case selector == "":
		return fmt.Errorf("selector %q is not one or more labels of a domain name", p.Selector)
	case len(selector)+len(keyLabel)+len(domain) > 253:
		return fmt.Errorf("selector and domain together are too long for DNS")
	}
	if p.AUID != "" {
		at := strings.LastIndexByte(p.AUID, '@')
		auid := domainName(p.AUID[at+1:])
		if at < 0 || auid == "" || !within(auid, domain) {
			return fmt.Errorf("identity %q is not an address in %s or below: its signature would be invalid", p.AUID, domain)
		}
		p.AUID = encodeQP(p.AUID[:at], p.UTF8) + "@" + p.written(auid)
	}
	p.Domain, p.Selector = p.written(domain), p.written(selector)
	return nil
}

// written returns a domain name as this signature writes it.
func (p *plan) written(ascii string) string {
	if !p.UTF8 || !strings.Contains(ascii, "xn--") {
		return ascii
	}
	if u, err := idna.ToUnicode(ascii); err == nil && domainName(u) == ascii {
		return u
	}
	return ascii
}

// prepareHeaders checks h=, and that the fields it selects will arrive unchanged.
func (p *plan) prepareHeaders(x *fieldIndex) error {
	if len(p.Headers) > maxSignedNames {
		return fmt.Errorf("%d header fields are to be signed, at most %d can be", len(p.Headers), maxSignedNames)
	}
	from := false
	x.restart()
	for _, name := range p.Headers {
		if !isFieldName(name) {
			return fmt.Errorf("header field name %q cannot be signed: it is not a field name", name)
		}
		from = from || message.EqualFold(name, "From")
		f, ok := x.take(name, -1)
		// Other signatures, ours or those added later, would break it.
		if !ok && message.EqualFold(name, fieldName) {
			return fmt.Errorf("header field name %q stands more often than the field", name)
		}
		// RFC 5322 §2.2, §2.3: a later MTA will change these.
		if hasStrayControl(f.Value) {
			return fmt.Errorf("header field %q has a NUL, or a CR or LF that folds no line", name)
		}
	}
	if !from {
		return fmt.Errorf("the header fields to be signed lack From: add it")
	}
	return nil
}

func hasStrayControl(value string) bool {
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case 0, '\n':
			return true
		case '\r':
			if i+2 >= len(value) || value[i+1] != '\n' || !isWSP(value[i+2]) {
				return true
			}
			i++
		}
	}
	return false
}

// Write adds the next piece of the body, cut anywhere, with CRLF line ends. It does not
// keep the slice and returns no error.
func (s *Signing) Write(chunk []byte) (int, error) {
	for i := range s.bodies {
		s.bodies[i].pass.Write(chunk)
	}
	return len(chunk), nil
}

// Fields ends the body and signs. It returns one DKIM-Signature field for each of the
// params, in their order, for the top of the header. The values have no leading space,
// but the signatures cover the space after the colon. An error comes from a key.
func (s *Signing) Fields() ([]message.Field, error) {
	for i := range s.bodies {
		s.bodies[i].pass.Close()
	}
	fields := make([]message.Field, len(s.plans))
	for i := range s.plans {
		value, err := s.sign(&s.plans[i])
		if err != nil {
			return nil, fmt.Errorf("signing for domain %q, selector %q: %w", s.plans[i].Domain, s.plans[i].Selector, err)
		}
		fields[i] = message.Field{Name: fieldName, Value: value}
	}
	return fields, nil
}

// sign makes one signature and returns the field's value.
func (s *Signing) sign(p *plan) (string, error) {
	line := p.compose(s.bodies[p.body].pass.Sum())
	unsigned := Signature{Headers: strings.Join(p.Headers, ":"), HeaderCanon: p.HeaderCanon, hash: crypto.SHA256}
	unsigned.cutStart, unsigned.cutEnd = 1+len(line.text), 1+len(line.text)
	var sum [maxHashOctets]byte
	s.header.sum(&unsigned, message.Field{Name: fieldName, Value: " " + string(line.text)}, -1, &sum)

	// RFC 8463 §3: Ed25519 signs the hash as its message.
	hash := crypto.Hash(0)
	if p.algorithm == rsaSHA256 {
		hash = crypto.SHA256
	}
	data, err := p.Key.Sign(rand.Reader, sum[:], hash)
	if err != nil {
		return "", err
	}
	if len(data) == 0 {
		return "", fmt.Errorf("the key returned an empty signature")
	}
	line.split(base64.StdEncoding.EncodeToString(data))
	return string(line.text), nil
}

// compose writes the field up to "b=".
func (p *plan) compose(bodyHash []byte) *folding {
	line := newFolding(len(fieldName) + len(": "))
	line.word("v=1;")
	line.word("a=" + p.algorithm + ";")
	line.word("c=" + string(p.HeaderCanon) + "/" + string(p.BodyCanon) + ";")
	line.word("d=" + p.Domain + ";")
	line.word("s=" + p.Selector + ";")
	if p.AUID != "" {
		line.word("i=" + p.AUID + ";")
	}
	if !p.Time.IsZero() {
		t := p.Time.Unix()
		line.word("t=" + strconv.FormatInt(t, 10) + ";")
		if p.Expire > 0 {
			line.word("x=" + strconv.FormatInt(t+int64(p.Expire/time.Second), 10) + ";")
		}
	}
	for i, name := range p.Headers {
		end := ":"
		if i == len(p.Headers)-1 {
			end = ";"
		}
		if i == 0 {
			line.word("h=" + name + end)
		} else {
			line.attach(name + end)
		}
	}
	line.word("bh=" + base64.StdEncoding.EncodeToString(bodyHash) + ";")
	line.newLine()
	line.append("b=")
	return line
}
