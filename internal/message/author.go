package message

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// MaxAuthorDomains is how many author domains are listed (RFC 9989 §11.5: a
	// receiver bounds what one message makes it look up).
	MaxAuthorDomains = 5
	// MaxAuthors is how many author addresses are listed.
	MaxAuthors = 100
	// maxFrom is how many octets of a From field are read. A hundred addresses with
	// long names have less.
	maxFrom = 16 << 10
	// maxCommentNesting is how deep comments may stand in comments in From.
	maxCommentNesting = 10
)

// An Address is a mailbox's address. Local is its content, without quotes and
// quoting backslashes, its case kept. Domain is as DomainToASCII gives it, "" for
// an address literal or for what is no usable name.
type Address struct{ Local, Domain string }

// Author is what the From fields of a header say, read by the one parser that
// the whole daemon uses.
type Author struct {
	// Addresses are the author addresses as far as the grammar goes, in order,
	// at most MaxAuthors.
	Addresses []Address
	// Domains are the distinct author domains, in order, at most
	// MaxAuthorDomains; none where the only domain is of one label. With a Problem they are all that some reader of mail
	// could take for one, to be evaluated each, the strictest outcome counting.
	Domains []string
	// Problem is "" when there is exactly one well-formed From field with an
	// address. Else it says what is wrong, for a person; no domain may get a pass
	// then, unless Lax. It quotes at most a few octets of the message.
	Problem string
	// Lax says that the Problem is one of grammar alone and hides nothing: there is
	// one From field, and however it is read, the only domain in it is Domains[0].
	// Real mail has such fields ("Foo, Inc. <a@x.example>"), so that they may be
	// judged and signed by this domain like well-formed ones.
	Lax bool
	// Empty says that the one From field is well-formed and has no mailbox: a group
	// without members, as a bounce may have (RFC 6854).
	Empty bool
	// Fields counts the From fields, with those that have white space before the
	// colon, which Postfix hands on as From.
	Fields int
}

// Author reads the author domains out of the From field (RFC 9989 §5.3.1). No
// other field stands in for it (not Sender, not Resent-From). The time it takes
// is linear in the header's size.
func (h Header) Author() Author {
	c := collector{}
	c.author.Addresses, c.author.Domains = c.addresses[:0], c.domains[:0]
	for _, f := range h {
		c.field(f)
	}
	switch {
	case c.author.Fields == 0:
		c.front("there is no From field")
	case c.author.Fields > 1:
		// RFC 5322 §3.6
		c.front(fmt.Sprintf("there are %d From fields, one is allowed", c.author.Fields))
	case c.author.Problem == "" && len(c.author.Addresses) == 0:
		c.author.Empty = c.group
		c.problem("the From field has no address")
	}
	if len(c.author.Addresses) == 0 {
		c.author.Addresses = nil
	}
	if len(c.author.Domains) == 0 {
		c.author.Domains = nil
	}
	c.author.Lax = c.lax && c.problems == 1 && len(c.author.Domains) == 1
	return c.author
}

// collector gathers an Author. The first problem met is the one that is told.
type collector struct {
	author   Author
	problems int
	lax      bool // a From field that is malformed and hides nothing
	group    bool // a From field that is well-formed and has a group
	// Room for the one that nearly every message has.
	addresses [1]Address
	domains   [1]string
}

func (c *collector) problem(text string) {
	c.problems++
	if c.author.Problem == "" {
		c.author.Problem = text
	}
}

// front puts a problem before what was found within the fields.
func (c *collector) front(text string) {
	c.problems++
	if c.author.Problem != "" {
		text += "; " + c.author.Problem
	}
	c.author.Problem = text
}

func (c *collector) field(f Field) {
	kind := nameKind(f.Name)
	switch kind {
	case otherName:
		return
	case oddName:
		// RFC 5322 §2.2: names are of printing ASCII.
		c.problem(fmt.Sprintf("the header field name %s is malformed", excerpt(f.Name)))
		return
	case lookAlikeName:
		c.problem(fmt.Sprintf("the header field name %s looks like From and is not", excerpt(f.Name)))
		c.glean(f.Value)
		return
	case spacedFromName:
		c.author.Fields++
		c.problem("the From field has white space before its colon")
	case fromName:
		c.author.Fields++
	}
	c.from(f.Value)
}

// from reads one From field's value.
func (c *collector) from(value string) {
	if len(value) > maxFrom {
		c.problem("the From field is longer than 16 KiB")
		c.glean(value[:maxFrom])
		return
	}
	if why := badText(value); why != "" {
		c.problem("the From field has " + why)
		c.glean(value)
		return
	}
	p := addressList{scanner: scanner{s: value}, to: c}
	if !p.parse() {
		c.problem("the From field is malformed: " + p.problem)
		c.lax = hidesNothing(value)
		c.glean(value)
		return
	}
	c.group = strings.IndexByte(value, ':') >= 0 // quoted or not, with no address it can only be one
	if p.doubt != "" {
		c.problem("the From field has " + p.doubt)
	}
	if p.ambiguous || p.gaps {
		known := len(c.author.Domains)
		c.glean(value)
		if len(c.author.Domains) > known || known >= MaxAuthorDomains {
			c.problem("the From field has white space or comments inside an address, which make it look like another")
		}
	}
}

// mailbox takes one address of a From field.
func (c *collector) mailbox(m mailbox) {
	if len(c.author.Addresses) >= MaxAuthors { // before the domain, whose conversion has its cost
		c.problem(fmt.Sprintf("the From field has more than %d addresses", MaxAuthors))
		return
	}
	a := Address{Local: m.local}
	switch {
	case m.literal:
		c.problem("the From field has an address literal instead of a domain")
	default:
		domain, ok := DomainToASCII(m.domain)
		switch {
		case !ok:
			c.problem("the From field has a domain that is no domain name: " + excerpt(m.domain))
		case strings.IndexByte(domain, '.') < 0:
			a.Domain = domain // "root@localhost": a name of nobody's, without a policy
		case !isFQDN(domain):
			a.Domain = domain
			c.problem("the From field has an address without brackets instead of a domain, " + excerpt(domain))
		default:
			a.Domain = domain
			c.domain(domain)
		}
	}
	c.author.Addresses = append(c.author.Addresses, a)
}

func (c *collector) domain(domain string) {
	for _, d := range c.author.Domains {
		if d == domain {
			return
		}
	}
	if len(c.author.Domains) >= MaxAuthorDomains {
		c.problem(fmt.Sprintf("the From field has more than %d author domains", MaxAuthorDomains))
		return
	}
	c.author.Domains = append(c.author.Domains, domain)
}

// glean takes every domain name that follows an "@", wherever it stands: in a
// field that cannot be parsed nobody knows which of them a reader of mail shows. It
// looks at the first MaxAuthors of them.
func (c *collector) glean(value string) {
	for range MaxAuthors {
		if len(c.author.Domains) >= MaxAuthorDomains {
			return
		}
		at := strings.IndexByte(value, '@')
		if at < 0 {
			return
		}
		value = strings.TrimLeft(value[at+1:], " \t\r\n")
		ascii := 0
		for ascii < len(value) && isNameOctet(value[ascii]) {
			ascii++
		}
		end := ascii
		for end < len(value) && (isNameOctet(value[end]) || value[end] >= utf8.RuneSelf) {
			end++
		}
		if !c.gleaned(value[:end]) && ascii < end {
			c.gleaned(value[:ascii])
		}
		value = value[end:]
	}
}

// gleaned takes a name if it is a public domain's.
func (c *collector) gleaned(name string) bool {
	d, ok := DomainToASCII(strings.Trim(name, "."))
	if ok && isFQDN(d) {
		c.domain(d)
		return true
	}
	return false
}

// isNameOctet: what an ASCII domain name is made of.
func isNameOctet(c byte) bool { return isLDH(c) || c == '.' || c == '_' }

// hidesNothing says of a malformed field that every reading of it, however lax,
// meets the same domains: each "@" is followed by a domain name, and there is no
// comment, escape, encoded word, route or group in which another could stand.
func hidesNothing(value string) bool {
	if strings.ContainsAny(value, "()\\:;[]") || strings.Contains(value, "=?") {
		return false
	}
	for {
		at := strings.IndexByte(value, '@')
		if at < 0 {
			return true
		}
		value = value[at+1:]
		n := 0
		for n < len(value) && isNameOctet(value[n]) {
			n++
		}
		d, ok := DomainToASCII(value[:n])
		if !ok || !isFQDN(d) || !endsDomain(value[n-1], value[n:]) {
			return false
		}
		value = value[n:]
	}
}

// endsDomain says that a domain with this last octet cannot go on in what follows,
// not even for a reader that drops white space and quotes.
func endsDomain(last byte, rest string) bool {
	after := strings.TrimLeft(rest, " \t\r\n")
	return last != '.' && (after == "" || after[0] == ',' || after[0] == '<' || (after[0] == '>' && len(after) == len(rest)))
}

// badText says what a From field must not contain anywhere, "" if it does not:
// RFC 5322 §2.2, RFC 6532 §3.1.
func badText(value string) string {
	for i := 0; i < len(value); i++ {
		switch b := value[i]; {
		case b == '\r' && i+2 < len(value) && value[i+1] == '\n' && (value[i+2] == ' ' || value[i+2] == '\t'):
			i += 2
		case b == '\r' || b == '\n':
			return "a line end that does not fold it"
		case b == 0:
			return "a NUL"
		case isControl(b) && b != '\t':
			return fmt.Sprintf("the control character 0x%02x", b)
		}
	}
	if !utf8.ValidString(value) {
		return "octets that are not UTF-8"
	}
	return ""
}

type kindOfName int

const (
	otherName kindOfName = iota
	fromName
	spacedFromName // "From " and the like
	lookAlikeName  // "-From", "From" with a no-break space or 8-bit octets
	oddName        // malformed, though nothing like From
)

// nameKind says what a field name is for the purpose of finding the author. A
// name that a lax reader could take for From is a look-alike, never From.
func nameKind(name string) kindOfName {
	if EqualFold(name, "From") {
		return fromName
	}
	// RFC 5322 §4.5.8 allows white space before the colon.
	trimmed := strings.TrimRight(name, " \t\r\n")
	if EqualFold(trimmed, "From") {
		return spacedFromName
	}
	clean := trimmed != ""
	for i := range len(trimmed) {
		if trimmed[i] < '!' || trimmed[i] > '~' {
			clean = false
		}
	}
	if clean && isAlnum(trimmed[0]) && isAlnum(trimmed[len(trimmed)-1]) {
		return otherName
	}
	if EqualFold(letters(trimmed), "From") {
		return lookAlikeName
	}
	if !clean {
		return oddName
	}
	return otherName
}

func isAlnum(c byte) bool { return isLDH(c) && c != '-' }

// letters drops from a name what is no printing ASCII, then the marks around what
// remains. It gives up, with "", on names much longer than any look-alike.
func letters(name string) string {
	const longest = 32
	if len(name) > longest {
		return ""
	}
	var kept []byte
	for i := range len(name) {
		if name[i] > ' ' && name[i] < 0x7f {
			kept = append(kept, name[i])
		}
	}
	return strings.TrimFunc(string(kept), func(r rune) bool { return !isAlnum(byte(r)) })
}

// excerpt quotes foreign text for a message to people, in ASCII and short.
func excerpt(s string) string {
	const longest = 64
	if len(s) > longest {
		return fmt.Sprintf("%+q...", s[:longest])
	}
	return fmt.Sprintf("%+q", s)
}
