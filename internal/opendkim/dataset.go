package opendkim

import (
	"fmt"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// dataSet is a data set of opendkim(8), as far as it is a list or a file.
type dataSet struct {
	name   string // of the setting
	kind   string // csl, file, refile
	fold   bool   // case does not count
	rows   []row
	notes  []string // what opendkim does not read as it was meant
	exact  map[string][]int
	suffix map[string][]int // rows of a refile such as *@example.com and *@*.example.com, by what follows the last star
	wild   []int            // all other patterns of a refile
}

// row is one element: a key, or a pattern, with its value.
type row struct {
	key, value string
	line       int // in the file; 0 in a list
	re         *regexp.Regexp
}

// where names a row for people.
func (d *dataSet) where(r row) string {
	if r.line == 0 {
		return fmt.Sprintf("%s (csl), %s", d.name, r.key)
	}
	return fmt.Sprintf("%s, line %d: %s", d.name, r.line, r.key)
}

// otherKinds are the data sets that are programs or databases.
var otherKinds = []string{"db", "dsn", "ldap", "ldaps", "ldapi", "lua", "memcache", "repute", "erlang", "mdb", "socket"}

// foldedSets compare without regard to case.
var foldedSets = []string{"signingtable", "domain", "exemptdomains", "internalhosts", "externalignorelist", "peerlist",
	"signheaders", "omitheaders", "oversignheaders", "senderheaders", "dontsignmailto"}

// kindOf returns the kind of a data set and what is behind it, as opendkim guesses it.
func kindOf(value string) (kind, rest string) {
	colon, comma := strings.IndexByte(value, ':'), strings.IndexByte(value, ',')
	switch {
	case colon >= 0 && (comma < 0 || comma > colon):
		return strings.ToLower(value[:colon]), value[colon+1:]
	case strings.HasSuffix(value, ".db"):
		return "db", value
	case strings.HasPrefix(value, "/"):
		return "file", value
	}
	return "csl", value
}

// dataSet opens the data set of a setting.
func (c *Config) dataSet(name string) (*dataSet, error) {
	s, _ := c.value(name)
	kind, rest := kindOf(s.Value)
	d := &dataSet{name: s.Name, kind: kind, fold: slices.Contains(foldedSets, strings.ToLower(name)), exact: map[string][]int{}, suffix: map[string][]int{}}
	switch {
	case kind == "csl":
		for element := range strings.SplitSeq(rest, ",") {
			if element == "" {
				continue
			}
			key, value, _ := strings.Cut(element, "=")
			d.add(row{key: strings.TrimSpace(key), value: strings.TrimSpace(value)})
		}
		return d, nil
	case kind == "file" || kind == "refile":
		text, err := c.read(c.path(rest))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		return d, d.parse(text)
	case slices.Contains(otherKinds, kind):
		return nil, fmt.Errorf("%s: this is a data set of the kind %s:, and only file:, refile: and csl: can be read; write what it has into files and give these with --keytable and --signingtable, or name a database in signer.tables", s, kind)
	}
	return nil, fmt.Errorf("opendkim does not start: %s %s: %q is not a kind of data set; a list whose first element has a colon needs csl: in front", s, s.Value, kind)
}

// path is where a file of the configuration is.
func (c *Config) path(name string) string {
	if base := c.text("BaseDirectory"); base != "" && !filepath.IsAbs(name) {
		return filepath.Join(base, name)
	}
	return name
}

// parse reads the lines of a file.
func (d *dataSet) parse(text string) error {
	if len(text) > maxText {
		return fmt.Errorf("%s is larger than %d octets", d.name, maxText)
	}
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		if number == 1 && strings.HasPrefix(line, "\xef\xbb\xbf") {
			d.notes = append(d.notes, fmt.Sprintf("%s, line 1: the file begins with a byte order mark (BOM), which opendkim takes for a part of the line: it never matches; save the file without and import again", d.name))
		}
		if len(line) > lineSize {
			d.notes = append(d.notes, fmt.Sprintf("%s, line %d: it has more than %d octets, and opendkim takes the rest for lines of their own; put a key of this length into a file", d.name, number, lineSize))
		}
		for len(line) > lineSize {
			if err := d.parseLine(line[:lineSize], number); err != nil {
				return err
			}
			line = line[lineSize:]
		}
		if err := d.parseLine(line, number); err != nil {
			return err
		}
	}
	return nil
}

const blanks = " \t\r\v\f"

func (d *dataSet) parseLine(line string, number int) error {
	line, _, _ = strings.Cut(line, "#")
	if strings.Trim(line, blanks) == "" {
		return nil
	}
	if d.kind == "refile" && strings.ContainsAny(line[:1], blanks) {
		d.notes = append(d.notes, fmt.Sprintf("%s, line %d: it begins with a blank, and in a refile opendkim skips such a line; take the blank out if it is to count", d.name, number))
		return nil
	}
	line = strings.Trim(line, blanks)
	r := row{key: line, line: number}
	if i := strings.IndexAny(line, blanks); i >= 0 {
		r.key, r.value = line[:i], strings.Trim(line[i:], blanks)
	}
	if d.kind == "refile" && strings.ContainsAny(r.key, `?[]()|{}\^$`) {
		var err error
		if r.re, err = compile(r.key, d.fold); err != nil {
			return fmt.Errorf("opendkim does not start: %s: it is not a regular expression: %w", d.where(r), err)
		}
	}
	d.add(r)
	return nil
}

// compile makes of a pattern what opendkim does: an extended regular expression in
// which "*" is ".*", and "." and "+" stand for themselves.
func compile(pattern string, fold bool) (*regexp.Regexp, error) {
	flags := syntax.POSIX
	if fold {
		flags |= syntax.FoldCase
	}
	tree, err := syntax.Parse("^"+strings.NewReplacer("*", ".*", "+", `\+`, ".", `\.`).Replace(pattern)+"$", flags)
	if err != nil {
		return nil, err
	}
	return regexp.Compile(tree.String())
}

func (d *dataSet) add(r row) {
	i := len(d.rows)
	d.rows = append(d.rows, r)
	key := d.folded(r.key)
	end, starred := strings.CutPrefix(key, "*@")
	switch {
	case d.kind != "refile" || (r.re == nil && !strings.Contains(key, "*")):
		d.exact[key] = append(d.exact[key], i)
	case r.re == nil && starred && !strings.Contains(end, "*"):
		d.suffix["@"+end] = append(d.suffix["@"+end], i)
	case r.re == nil && starred && strings.HasPrefix(end, "*.") && !strings.Contains(end[1:], "*"):
		d.suffix[end[1:]] = append(d.suffix[end[1:]], i)
	default:
		d.wild = append(d.wild, i)
	}
}

func (d *dataSet) folded(s string) string {
	if d.fold {
		return lower(s)
	}
	return s
}

// matches returns the rows whose key is a text, or whose pattern fits it, in order.
func (d *dataSet) matches(text string) []int {
	text = d.folded(text)
	found := slices.Clone(d.exact[text])
	if d.kind != "refile" {
		return found
	}
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		found = append(found, d.suffix[text[at:]]...)
		for i := at; i < len(text); i++ {
			if text[i] == '.' {
				found = append(found, d.suffix[text[i:]]...)
			}
		}
	}
	for _, i := range d.wild {
		r := d.rows[i]
		if (r.re != nil && r.re.MatchString(text)) || (r.re == nil && glob(d.folded(r.key), text)) {
			found = append(found, i)
		}
	}
	slices.Sort(found)
	return found
}

func (d *dataSet) has(text string) bool { return d != nil && len(d.matches(text)) > 0 }

// first returns the row that counts for a text.
func (d *dataSet) first(text string) (row, bool) {
	if found := d.matches(text); len(found) > 0 {
		return d.rows[found[0]], true
	}
	return row{}, false
}

// lower is strings.ToLower for ASCII alone, as opendkim compares.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// glob reports whether a text fits a pattern in which each "*" stands for any run of
// characters. Its time is at most the product of both lengths.
func glob(pattern, text string) bool {
	star, from := -1, 0
	p, n := 0, 0
	for n < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && pattern[p] == text[n]:
			p, n = p+1, n+1
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
