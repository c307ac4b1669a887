package message

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// MaxAuthorDomains limits the listed author domains (RFC 9989 §11.5: a receiver
	// bounds the look-ups for one message).
	MaxAuthorDomains = 5
	// MaxAuthors limits the listed author addresses.
	MaxAuthors = 100
	// maxFrom limits how many octets of a From field are read. A hundred addresses
	// with long names have less.
	maxFrom = 16 << 10
	// maxCommentNesting limits the depth of nested comments in From.
	maxCommentNesting = 10
)

// An Address is a mailbox's address. Local is its content, without quotes and quoting
// backslashes, its case kept. Domain is the result of DomainToASCII, "" for an address
// literal or an unusable name.
type Address struct{ Local, Domain string }

// Author is the content of the From fields of a header. The whole daemon uses this one
// parser.
type Author struct {
	// Addresses are the author addresses, in order, at most MaxAuthors. If Lax is set,
	// every reader finds these and no others, or there are none. With any other
	// Problem they are those that the grammar finds before the error.
	Addresses []Address
	// Domains are the distinct author domains of two labels or more, in order, at most
	// MaxAuthorDomains. With a Problem they are all domains that some mail reader
	// could find. Evaluate each; the strictest outcome counts.
	Domains []string
	// Problem is "" if there is exactly one well-formed From field with an address.
	// Otherwise it names the mistake, for a person. It quotes at most a few octets of
	// the message.
	Problem string
	// Lax says that the Problem is only a matter of spelling: the From fields were
	// read to their end, and every domain in them, in every reading, is Domains[0].
	// Real mail has such fields ("Foo, Inc. <a@x.example>"). One of them is judged and
	// signed by this domain like a well-formed one.
	Lax bool
	// Empty says that there is a Problem, and that all From fields were read and
	// contain no domain of two labels in any reading, as in a bounce from
	// MAILER-DAEMON.
	Empty bool
	// Incomplete says that Domains may lack author domains: a limit was reached, or a
	// name cannot be looked up as written.
	Incomplete bool
	// Fields counts the From fields, including those with white space before the
	// colon, which Postfix passes on as From.
	Fields int
}

// Certain reports whether every reader of the message finds the same single author
// domain, or none: no limit was reached, and every address, in every possible reading,
// has the same domain. No other author may get a pass. A repeated From field is never
// certain: nothing is aligned with it (RFC 9989 §4.4).
func (a Author) Certain() bool {
	return len(a.Domains) <= 1 && a.Fields <= 1 && (a.Problem == "" || a.Lax)
}

// Author reads the author domains from the From field (RFC 9989 §5.3.1). No other field
// replaces it (not Sender, not Resent-From). Its time is linear in the header's size.
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
	}
	return c.finish()
}

// collector builds an Author. The first problem found is reported.
type collector struct {
	author Author
	// doubtful: some reading may find an author that is not listed or is cut off.
	doubtful bool
	literal  bool // there is an address literal
	inexact  bool // a malformed field has addresses that readers may take differently
	reread   bool // an address of the present field has no usable domain
	mappings int  // non-ASCII domain names found by rereading
	// Memory for the one that nearly every message has.
	addresses [1]Address
	domains   [1]string
}

func (c *collector) finish() Author {
	a := &c.author
	if a.Problem != "" {
		a.Lax = a.Fields > 0 && len(a.Domains) == 1 && !c.doubtful && !c.literal
		a.Empty = len(a.Domains) == 0 && !c.doubtful
	}
	if a.Lax && c.inexact || len(a.Addresses) == 0 {
		a.Addresses = nil
	}
	if len(a.Domains) == 0 {
		a.Domains = nil
	}
	return *a
}

func (c *collector) problem(text string) {
	if c.author.Problem == "" {
		c.author.Problem = text
	}
}

// doubt records a problem that rereading cannot resolve.
func (c *collector) doubt(text string) {
	c.problem(text)
	c.doubtful = true
}

// missing records a doubt about domains that are not listed.
func (c *collector) missing(text string) {
	c.doubt(text)
	c.author.Incomplete = true
}

// front puts a problem before those found within the fields.
func (c *collector) front(text string) {
	if c.author.Problem != "" {
		text += "; " + c.author.Problem
	}
	c.author.Problem = text
}

func (c *collector) field(f Field) {
	switch nameKind(f.Name) {
	case otherName:
		c.hidden(f)
		return
	case oddName:
		// RFC 5322 §2.2: names are of printing ASCII. Some readers treat such a line
		// as a continuation of the field above it.
		c.problem(fmt.Sprintf("the header field name %s is malformed", excerpt(f.Name)))
		if strings.IndexByte(f.Name, '@') >= 0 {
			c.doubtful = true
			c.everyName(f.Name + ":" + f.Value)
		}
		c.hidden(Field{f.Name, f.Name + ":" + f.Value}) // the name may have line ends, too
		return
	case lookAlikeName:
		c.doubt(fmt.Sprintf("the header field name %s looks like From and is not", excerpt(f.Name)))
		c.everyName(f.Value)
		return
	case spacedFromName:
		c.problem("the From field has white space before its colon")
	}
	c.author.Fields++
	c.from(f.Value)
}

// hidden looks for From fields inside another field that some readers find.
func (c *collector) hidden(f Field) {
	for inner := range f.Hidden() {
		switch nameKind(inner.Name) {
		case fromName, spacedFromName, lookAlikeName:
			c.doubt(fmt.Sprintf("the header field %s has a From field behind a line end that does not fold it", excerpt(f.Name)))
			c.everyName(inner.Value)
		}
	}
}

// from reads one From field's value: by the grammar, and if that leaves a doubt, as
// every other reader could.
func (c *collector) from(value string) {
	if len(value) > maxFrom {
		c.missing("the From field is longer than 16 KiB")
		c.everyName(value[:maxFrom])
		return
	}
	if fault := badText(value); fault.what != "" {
		c.problem("the From field has " + fault.what)
		c.doubtful = c.doubtful || fault.splits
		c.reparse(value, len(c.author.Addresses))
		return
	}
	known := len(c.author.Addresses)
	c.reread = false
	p := addressList{scanner: scanner{s: value}, to: c}
	switch ok := p.parse(); {
	case !ok:
		c.problem("the From field is malformed: " + p.problem)
		c.doubtful = c.doubtful || p.limit
	case p.doubt != "":
		c.problem("the From field has " + p.doubt)
		c.doubtful = c.doubtful || p.reordered
	case c.reread: // its problem is recorded
	case len(c.author.Addresses) == known:
		c.problem("the From field has no address")
	case p.gaps:
		c.gaps(value)
		return
	default:
		return
	}
	c.reparse(value, known)
}

// reparse replaces the addresses found by the grammar, from index known on, with those
// that every reader finds.
func (c *collector) reparse(value string, known int) {
	found, exact := c.everyName(value)
	switch {
	case !exact:
		c.inexact = true
	case known+len(found) > MaxAuthors:
		c.doubt(fmt.Sprintf("the From field has more than %d addresses", MaxAuthors))
	default:
		c.author.Addresses = append(c.author.Addresses[:known], found...)
	}
}

// gaps rereads a well-formed field with white space or comments inside an address:
// "a@good.example .bad.example" is displayed as the first domain and is the second.
func (c *collector) gaps(value string) {
	domains, doubtful := len(c.author.Domains), c.doubtful
	c.everyName(value)
	if len(c.author.Domains) > domains || c.doubtful != doubtful {
		c.doubt("the From field has white space or comments inside an address, which make it look like another")
	}
}

// mailbox adds one address of a From field.
func (c *collector) mailbox(m mailbox) {
	if len(c.author.Addresses) >= MaxAuthors { // before the domain is converted, which is expensive
		c.doubt(fmt.Sprintf("the From field has more than %d addresses", MaxAuthors))
		c.reread = true
		return
	}
	a := Address{Local: m.local}
	domain, ok := DomainToASCII(m.domain)
	switch {
	case m.literal:
		c.problem("the From field has an address literal instead of a domain")
		c.reread = true
	case !ok:
		c.problem("the From field has a domain that is no domain name: " + excerpt(m.domain))
		c.reread = true
	case strings.IndexByte(domain, '.') < 0:
		a.Domain = domain // "root@localhost": a local name, without a policy
	case !isFQDN(domain):
		a.Domain = domain
		c.problem("the From field has an address without brackets instead of a domain, " + excerpt(domain))
		c.reread = true
	default:
		a.Domain = domain
		c.domain(domain)
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
		c.missing(fmt.Sprintf("the From field has more than %d author domains", MaxAuthorDomains))
		return
	}
	c.author.Domains = append(c.author.Domains, domain)
}

// textFault is a fault that a From field must not contain.
type textFault struct {
	what   string // "" for none
	splits bool   // readers may end the text there
}

// badText finds the first fault of a text: RFC 5322 §2.2, RFC 6532 §3.1. A fault that
// splits the text has priority.
func badText(value string) textFault {
	var control textFault
	for i := 0; i < len(value); i++ {
		switch b := value[i]; {
		case b == '\r' && i+2 < len(value) && value[i+1] == '\n' && (value[i+2] == ' ' || value[i+2] == '\t'):
			i += 2
		case b == '\r' || b == '\n':
			return textFault{"a line end that does not fold it", true}
		case b == 0:
			return textFault{"a NUL", true}
		case isControl(b) && b != '\t' && control.what == "":
			control.what = fmt.Sprintf("the control character 0x%02x", b)
		}
	}
	if control.what == "" && !utf8.ValidString(value) {
		return textFault{what: "octets that are not UTF-8"}
	}
	return control
}

// excerpt quotes foreign text for a person, in ASCII and shortened.
func excerpt(s string) string {
	const longest = 64
	if len(s) > longest {
		return fmt.Sprintf("%+q...", s[:longest])
	}
	return fmt.Sprintf("%+q", s)
}
