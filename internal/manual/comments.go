package manual

import (
	"regexp"
	"strings"
)

var (
	keyLine  = regexp.MustCompile(`^( *)((?:- )?)([a-z][a-z0-9_]*):(?: (.*))?$`)
	wordLine = regexp.MustCompile(`^ {1,3}([a-z][a-z_]*) +(\S.*)$`)
)

// comments collects what a commented YAML file says of each key. A comment belongs to the key that follows it, or
// to the one on whose line it begins; a comment right below a key that begins as an example (two blanks) is that key's.
type comments struct {
	texts   map[string][]string
	parents []parent
	block   []string // lines of the comment above the next key
	last    string   // path of the last key
	column  int      // of the comment on the last key's line; -1: it has none
	below   bool     // the comment block is the last key's
}

type parent struct {
	indent int
	path   string
}

// readComments returns the text for each path.
func readComments(text string) map[string][]string {
	c := &comments{texts: map[string][]string{}, parents: []parent{{-1, ""}}, column: -1}
	for line := range strings.Lines(text) {
		c.line(strings.TrimRight(line, "\n "))
	}
	return c.texts
}

func (c *comments) line(line string) {
	trimmed := strings.TrimLeft(line, " ")
	switch {
	case trimmed == "":
		c.block, c.column, c.below = nil, -1, false
	case trimmed[0] == '#' && c.column >= 0 && len(line)-len(trimmed) >= c.column:
		c.add(c.last, strings.TrimSpace(trimmed[1:]))
	case trimmed[0] == '#':
		c.comment(strings.TrimPrefix(trimmed[1:], " "))
	default:
		c.key(line)
	}
}

func (c *comments) comment(text string) {
	isExample := strings.HasPrefix(text, " ")
	if c.block == nil && isExample && c.column < 0 {
		c.below = true
	}
	if c.below = c.below && isExample; c.below {
		c.add(c.last, text)
		return
	}
	c.block = append(c.block, text)
}

func (c *comments) key(line string) {
	value, comment := cutComment(line)
	m := keyLine.FindStringSubmatch(value)
	if m == nil {
		return
	}
	indent := len(m[1]) + len(m[2])
	for c.parents[len(c.parents)-1].indent >= indent {
		c.parents = c.parents[:len(c.parents)-1]
	}
	path := strings.TrimPrefix(c.parents[len(c.parents)-1].path+"."+m[3], ".")
	c.parents = append(c.parents, parent{indent, path})
	c.last, c.column, c.below = path, -1, false
	for _, text := range c.block {
		c.add(path, text)
	}
	c.block = nil
	if comment != "" {
		c.column = indent + 8 // its other lines stand far to the right, too
		c.add(path, comment)
	}
}

func (c *comments) add(path, text string) {
	c.texts[path] = append(c.texts[path], text)
}

// cutComment splits a line of YAML at its comment.
func cutComment(line string) (value, comment string) {
	quoted := false
	for i := range len(line) {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == '#' && !quoted && i > 0 && line[i-1] == ' ':
			return strings.TrimRight(line[:i], " "), strings.TrimSpace(line[i+1:])
		}
	}
	return line, ""
}

// words returns the lines of a word, blanks and its meaning in the text of a key: the keys of its elements.
func words(lines []string, known map[string]bool) map[string][]string {
	found := map[string][]string{}
	word := ""
	for _, line := range lines {
		m := wordLine.FindStringSubmatch(line)
		switch {
		case m != nil && known[m[1]]:
			word = m[1]
			found[word] = append(found[word], m[2])
		case word != "" && strings.HasPrefix(line, "      "):
			found[word] = append(found[word], strings.TrimSpace(line))
		default:
			word = ""
		}
	}
	return found
}
