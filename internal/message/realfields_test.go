package message

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// generator builds From fields. Equal seeds give equal fields.
type generator struct{ *rand.Rand }

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

// true once in n calls.
func (g generator) once(n int) bool { return g.IntN(n) == 0 }

// wordsOf are letters of languages in their character sets: for each letter the ranges
// of its octets.
var wordsOf = map[string][]string{
	"us-ascii":     {"az"},
	"iso-8859-1":   {"az", "az", "\xe0\xff"},
	"windows-1252": {"az", "\x80\x9f", "\xc0\xff"},
	"windows-1251": {"\xc0\xff"},
	"koi8-r":       {"\xc0\xff"},
	"iso-8859-8":   {"\xe0\xfa"},
	"gbk":          {"\x81\xfe", "\x40\x7e", "\x81\xfe", "\x80\xfe"},
	"gb18030":      {"\x81\xfe", "09", "\x81\xfe", "09"},
	"big5":         {"\xa4\xf9", "\x40\x7e", "\xa4\xf9", "\xa1\xfe"},
	"shift_jis":    {"\x82\x9f", "\x40\x7e", "\xe0\xef", "\x80\xfc"},
	"euc-kr":       {"\xb0\xc8", "\xa1\xfe"},
	"iso-2022-jp":  {"$%", "\x21\x73"},
}

var charsets = []string{
	"us-ascii", "iso-8859-1", "windows-1252", "windows-1251", "koi8-r", "iso-8859-8", "gbk", "gb18030", "big5", "shift_jis", "euc-kr", "iso-2022-jp", "utf-8",
}

func (g generator) word(charset string) string {
	if charset == "utf-8" {
		return g.pick("Jürgen", "Müller", "Ελένη", "Иван", "王小明", "株式会社", "דוד", "محمد", "Zoë", "Łukasz", "🎉Sale", "naïve", "株式会社＠ホーム")
	}
	if charset == "us-ascii" {
		return g.pick("Bob", "Jane", "O'Neil", "ACME", "Sales", "no-reply", "J.", "Q", "Support", "24/7", "A&B", "von", "R2-D2", "50%", "Team", "#1", "Mail")
	}
	var b []byte
	letters := 1 + g.IntN(4)
	for range letters {
		ranges := wordsOf[charset]
		for _, r := range ranges {
			b = append(b, r[0]+byte(g.IntN(int(r[len(r)-1]-r[0])+1)))
		}
	}
	if strings.ContainsFunc(string(b), func(c rune) bool { return unicode.Is(unicode.Bidi_Control, c) }) {
		return "x" // extremely rare, and not valid UTF-8
	}
	if charset == "iso-2022-jp" {
		return "\x1b$B" + string(b) + "\x1b(B"
	}
	return string(b)
}

func (g generator) words(charset string) string {
	var w []string
	for range 1 + g.IntN(3) {
		w = append(w, g.word(charset))
	}
	return strings.Join(w, " ")
}

// encoded returns a text in encoded words, as written by programs that follow RFC 2047
// and by some that do not.
func (g generator) encoded(charset, text string) string {
	if g.once(2) {
		return fmt.Sprintf("=?%s?B?%s?=", charset, base64.StdEncoding.EncodeToString([]byte(text)))
	}
	var q strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c == ' ':
			q.WriteByte('_')
		case isAlnum(c):
			q.WriteByte(c)
		default:
			fmt.Fprintf(&q, "=%02X", c)
		}
	}
	return fmt.Sprintf("=?%s?%s?%s?=", g.pick(charset, strings.ToUpper(charset)), g.pick("Q", "q"), q.String())
}

// displayName is a name before an address of the domain.
func (g generator) displayName(domain string) string {
	charset := charsets[g.IntN(len(charsets))]
	name := g.words(charset)
	switch g.IntN(16) {
	case 0, 1:
		return name
	case 2, 3:
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	case 4:
		return `"` + name + `"` // octets of the character set may be quotes and backslashes
	case 5:
		return g.encoded(charset, name)
	case 6:
		return g.encoded(charset, name) + g.pick(" ", "\r\n ", ", ") + g.encoded(charset, g.words(charset))
	case 7:
		return `"` + g.encoded(charset, name) + `"`
	case 8:
		return name + g.pick(", Inc.", ", GmbH", " (Shop)", ": news", "; team", " [Bot]", " | ACME", " - x", ", Dr.", " <3", " \\o/")
	case 9:
		return g.pick("info@", "b.o.b@", "'bob@", `"bob@`, "mailto:bob@") + domain + g.pick("", " ", "'", `"`, " via Bob", " (Bob)", "\t")
	case 10:
		return name + g.pick(" @ ", " @", " @ the ", " @-") + g.word("us-ascii")
	case 11:
		return g.encoded(charset, name+" <bob@"+domain+">")
	case 12:
		return g.pick(`"Bob`, `Bob"`, `"Bob\"`, `""Bob""`, `'Bob'`, `"Bob" Q. "Public"`, `\"Bob\"`, `"Bob" `, "(Bob)", "Bob (", "Bob )", "[Bob]", "Bob,", "Bob.", ".", "", " ")
	case 13:
		return g.pick("=?UTF-8?Q?", "=?utf-8?B?", "?=", "=?x?y?z?=", "=?unknown-8bit?Q?B=F6b?=", "=?utf-8?Q?Bob=?=", "=?utf-8?Q?B ob?=") + name
	case 14:
		return name + " " + g.words(charsets[g.IntN(len(charsets))])
	}
	return ""
}

func (g generator) domain() (written, domain string) {
	switch g.IntN(6) {
	case 0:
		return "mail.example.com", "mail.example.com"
	case 1:
		return "Example.COM", "example.com"
	case 2:
		return "bücher.example", "xn--bcher-kva.example"
	case 3:
		return "xn--bcher-kva.example", "xn--bcher-kva.example"
	case 4:
		return "a-b.3c.co.uk", "a-b.3c.co.uk"
	}
	return "strict.example", "strict.example"
}

func (g generator) local() string {
	return g.pick("bob", "b.o.b", "bob+x", "no-reply", "MAILER-DAEMON", "o'neil", `"bob smith"`, "bounces+12=x=y", "a_b", "bob.", ".bob", "b..b", "", "/G=Bob/S=Smith/", "Bob/ACME@NOTES", "bob smith", "<bob", "SRS0=abc=de=ACME=bob")
}

// honestField returns a From field as real programs write it, correct or not, and its
// only domain.
func (g generator) honestField() (value, domain string) {
	written, domain := g.domain()
	for ok := false; !ok; {
		value = g.honestValue(written, domain)
		// A domain beyond ASCII is in UTF-8, and so is the rest of the field.
		ok = written == domain || plainASCII(written) || utf8.ValidString(value)
	}
	return value, domain
}

func (g generator) honestValue(written, domain string) (value string) {
	address := g.local() + "@" + written
	switch g.IntN(8) {
	case 0:
		return address + g.pick("", "", "", ".", ". ", ";")
	case 1:
		value = address + g.pick(" ", "", "\t") + "(" + g.words(charsets[g.IntN(len(charsets)-2)]) + ")"
	case 2:
		address += g.pick("", "", ".")
		value = g.displayName(domain) + g.pick("<", " < ") + address + g.pick(">", " >")
	default:
		address += g.pick("", "", "", ".")
		value = g.displayName(domain) + g.pick(" ", "", "\r\n ", "  ", "\t") + "<" + address + ">"
	}
	switch g.IntN(12) {
	case 0:
		value += g.pick(";", ",", ".", " ", "\r\n\t", ">", " (x)", `"`, " -", " <>")
	case 1:
		value += g.pick(", ", " ", ";", " and ") + g.displayName(domain) + " <" + address + ">"
	case 2:
		value = g.pick(" ", "\t", "<", `"`, ",", "From: ", "\xef\xbb\xbf", "\xa0") + value
	}
	return value
}

// bounceField returns the From field of a message with a null sender. host is the only
// domain that it may have.
func (g generator) bounceField(host string) string {
	return g.pick(
		"MAILER-DAEMON (Mail Delivery System)", "MAILER-DAEMON@"+host+" (Mail Delivery System)", "Mail Delivery System <Mailer-Daemon@"+host+">",
		"Mail Delivery Subsystem <MAILER-DAEMON>", "Mail Delivery Subsystem <MAILER-DAEMON@"+host+">", "MAILER-DAEMON", "<>", "", `""`, "<MAILER-DAEMON>",
		"postmaster", "Postmaster <>", `"Mail Delivery System"`, "Mail Delivery System", "Mail Delivery System:;", "MAILER-DAEMON@localhost", "<MAILER-DAEMON@>",
		"Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@"+host+">", "MAILER-DAEMON@[192.0.2.1]", "<postmaster@[IPv6:2001:db8::1]>",
		g.encoded("utf-8", g.words("utf-8")), g.encoded("iso-2022-jp", g.words("iso-2022-jp")), g.words("gbk"), g.words("iso-8859-1")+" <MAILER-DAEMON>",
		`"Zustellsystem f`+"\xfc"+`r E-Mail" <postmaster@`+host+">", "Zustellung @ Post <postmaster>",
	) + g.pick("", "", "", " ", ";", "\r\n ")
}

// Real mail, well spelled or not, is judged by its one domain; bounces without a domain
// have none.
func TestHonestFieldsAreCertain(t *testing.T) {
	const fields = 320_000
	g := generator{rand.New(rand.NewPCG(9989, 531))}
	wrong := 0
	for range fields {
		value, domain := g.honestField()
		if a := from(value).Author(); !a.Certain() || len(a.Domains) != 1 || a.Domains[0] != domain {
			t.Errorf("%q is not certain to be of %s: %+v", value, domain, a)
			if wrong++; wrong > 20 {
				t.FailNow()
			}
		}
	}
	for range fields / 16 {
		_, host := g.domain()
		value := g.bounceField(host)
		a := from(value).Author()
		if !a.Empty && !a.Certain() || len(a.Domains) > 1 {
			t.Errorf("a bounce from %q has a doubtful author: %+v", value, a)
			if wrong++; wrong > 20 {
				t.FailNow()
			}
		}
	}
}

// forgedField combines parts that mislead one reader or another.
func (g generator) forgedField() string {
	var b strings.Builder
	for range 1 + g.IntN(9) {
		switch g.IntN(3) {
		case 0:
			b.WriteString(g.pick("x@attack.example", "ceo@legit.example", "<x@attack.example>", "<ceo@legit.example>", "@legit.example", "@attack.example", "@", "@home", "@attack.example!legit.example"))
		case 1:
			b.WriteString(g.pick(" ", ",", ";", ":", "<", ">", "(", ")", `"`, `\`, ".", "[", "]", "\r\n ", "\x01", "\x1b(B", "\xfc", "ü", "\u202e", "＠", "=?utf-8?Q?", "?=", "=40", "_", "\u00a0", "\x81", "="))
		default:
			b.WriteString(g.pick("a", "Bob", `"Bob"`, "(Bob)", `"ceo@legit.example"`, "(ceo@legit.example)", "legit", "example", "legit.example", "=?utf-8?Q?ceo=40legit.example?=", "=?utf-8?B?Y2VvQGxlZ2l0LmV4YW1wbGU=?=", "=?utf-7?Q?+AEA-legit.example?=", "attack.example", "[192.0.2.1]"))
		}
	}
	return b.String()
}

// spoiledField is an honest field with a second domain inserted, or octets changed.
func (g generator) spoiledField() string {
	value, _ := g.honestField()
	for range 1 + g.IntN(3) {
		at := g.IntN(len(value) + 1)
		rest := min(len(value), at+g.IntN(3))
		value = value[:at] + g.pick("ceo@legit.example", "@legit.example", "<ceo@legit.example>", "@legit", ".example", "", "", "@", `"`, "(", ")", "<", "\\", " ", ".", "!", "\xff", "\u00a0", "ü", "=") + value[rest:]
	}
	return value
}

// A certain author has one domain for the slow reader too.
func TestForgedFieldsAreNotCertain(t *testing.T) {
	const fields = 150_000
	g := generator{rand.New(rand.NewPCG(11, 5))}
	certain := 0
	for range fields {
		value := g.forgedField()
		if g.once(2) {
			value = g.spoiledField()
		}
		a := from(value).Author()
		checkAuthor(t, value, a)
		if a.Certain() {
			certain++
		}
	}
	if certain < fields/10 || certain > fields*9/10 {
		t.Errorf("%d of %d fields are certain, which tests little", certain, fields)
	}
}

// FuzzHonestAuthor uses the fuzzer's octets as the seed of the fields.
func FuzzHonestAuthor(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		g := generator{rand.New(rand.NewPCG(a, b))}
		for range 100 {
			value, domain := g.honestField()
			if a := from(value).Author(); !a.Certain() || len(a.Domains) != 1 || a.Domains[0] != domain {
				t.Fatalf("%q is not certain to be of %s: %+v", value, domain, a)
			}
			checkAuthor(t, value, from(value).Author())
			for _, forged := range []string{g.forgedField(), g.spoiledField()} {
				checkAuthor(t, forged, from(forged).Author())
			}
		}
	})
}
