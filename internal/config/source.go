package config

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxProblems limits the problems that are listed; the rest are counted.
const maxProblems = 100

// A Source is one configuration text that was read. It collects its problems, and knows
// the line of each path.
type Source struct {
	file     string
	root     *yaml.Node
	sum      [sha256.Size]byte
	problems []Problem
	more     int
	// unread are the paths of values that could not be read.
	unread map[string]bool
}

// Sum identifies the text that was read: the hexadecimal SHA-256 of its octets.
func (s *Source) Sum() string { return hex.EncodeToString(s.sum[:]) }

// A Problem is one mistake. Path is "" if it concerns the file as a whole. Line and Column begin
// with 1; Column counts characters, and is 0 where only the line is known.
type Problem struct {
	Line, Column int
	Path         string
	Text         string
}

// Error has all problems of one file, by line. More is the number of problems that are
// not listed.
type Error struct {
	File     string
	Problems []Problem
	More     int
}

// Error has one line for each problem: FILE:LINE:COLUMN: path: problem.
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s:%d:", e.File, p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, "%d:", p.Column)
		}
		b.WriteByte(' ')
		if p.Path != "" {
			b.WriteString(p.Path + ": ")
		}
		b.WriteString(p.Text)
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "\n%s: %d more problems", e.File, e.More)
	}
	return b.String()
}

// Err returns nil, or an [*Error] with every problem found so far.
func (s *Source) Err() error {
	if len(s.problems) == 0 {
		return nil
	}
	sorted := slices.Clone(s.problems)
	slices.SortStableFunc(sorted, func(a, b Problem) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return &Error{File: s.file, Problems: sorted, More: s.more}
}

// Bad adds a problem with the value at path, such as "signer.domains[0].selectors". Its
// place is that of the path, or of the nearest parent that the file has. It adds no
// second problem for a value that could not be read, or is inside one that could not.
func (s *Source) Bad(path, problem string) {
	for p := path; ; p = parent(p) {
		if s.unread[p] {
			return
		}
		if p == "" {
			break
		}
	}
	if s.full() {
		s.more++
		return
	}
	s.add(s.mark(path), path, problem)
}

// Section returns Bad for paths that begin at the named section; the path "" is
// the section itself.
func (s *Source) Section(name string) func(path, problem string) {
	return func(path, problem string) { s.Bad(join(name, path), problem) }
}

func (s *Source) full() bool { return len(s.problems) >= maxProblems }

// mark is a position in the text; column 0 is none.
type mark struct{ line, column int }

func markOf(n *yaml.Node) mark { return mark{n.Line, n.Column} }

func (s *Source) add(at mark, path, text string) {
	s.problems = append(s.problems, Problem{Line: max(1, at.line), Column: at.column, Path: oneLine(path), Text: oneLine(text)})
}

// fatal adds a problem that makes the whole text unreadable.
func (s *Source) fatal(line int, text string) {
	s.unread[""] = true
	s.add(mark{line: line}, "", text)
}

// oneLine keeps a problem on one line for any keys in the file.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return '?'
		}
		return r
	}, s)
}

// Has reports whether the file has a value at path.
func (s *Source) Has(path string) bool {
	n := s.root
	for path != "" && n != nil {
		var key string
		key, path = cutStep(path)
		n, _ = step(n, key)
	}
	return n != nil
}

// mark returns the position of the path or of its nearest parent in the file.
func (s *Source) mark(path string) mark {
	n, found := s.root, mark{line: 1}
	for path != "" && n != nil {
		var key string
		key, path = cutStep(path)
		var at mark
		if n, at = step(n, key); n != nil {
			found = at
		}
	}
	return found
}

// step goes one key or one "[index]" down from n, and returns its position.
func step(n *yaml.Node, key string) (*yaml.Node, mark) {
	if index, ok := strings.CutPrefix(key, "["); ok {
		i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err != nil || n.Kind != yaml.SequenceNode || i < 0 || i >= len(n.Content) {
			return nil, mark{}
		}
		return n.Content[i], markOf(n.Content[i])
	}
	if n.Kind != yaml.MappingNode {
		return nil, mark{}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1], markOf(n.Content[i])
		}
	}
	return nil, mark{}
}

// cutStep splits the first key or index off a path.
func cutStep(path string) (first, rest string) {
	for i := 1; i < len(path); i++ {
		switch path[i] {
		case '[':
			return path[:i], path[i:]
		case '.':
			return path[:i], path[i+1:]
		}
	}
	return path, ""
}

func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

func join(path, key string) string {
	if path == "" || key == "" || key[0] == '[' {
		return path + key
	}
	return path + "." + key
}

// unreadable finds the first byte that a configuration must not contain. The YAML
// parser would report it without its line.
func unreadable(text []byte) (line int, problem string) {
	line = 1
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return line, "a byte here is not UTF-8: save the file as UTF-8"
		case r == '\n':
			line++
		case r < ' ' && r != '\t' && r != '\r', r == 0x7f:
			return line, fmt.Sprintf("a control character (%U) stands here: take it out", r)
		}
		i += size
	}
	return line, ""
}

// syntax reports the YAML parser's error in our own form.
func (s *Source) syntax(text []byte, err error) {
	problem := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if rest, ok := strings.CutPrefix(problem, "line "); ok {
		number, after, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			line, problem = n, after
		}
		// The parser counts the lines of its own errors from zero; its scanner does
		// not.
		if strings.HasPrefix(problem, "did not find expected") {
			line++
		}
	}
	for _, h := range syntaxHints {
		if strings.Contains(problem, h.says) {
			problem += ": " + h.hint
			break
		}
	}
	if n := tabIndent(text); n > 0 {
		line, problem = n, "the line is indented with a tab: use spaces"
	}
	s.fatal(line, "this is not YAML: "+problem)
}

// syntaxHints name the usual cause of an error of the YAML parser.
var syntaxHints = []struct{ says, hint string }{
	{"mapping values are not allowed", "put a value with a colon in it in quotes, and keys of one section in one column"},
	{"cannot start any token", "put a value that begins with @, % or ` in quotes"},
	{"unexpected end of stream", "a quote may not be closed"},
	{"could not find expected ':'", "a key without its colon?"},
	// These are reported with the line where the section or list begins.
	{"did not find expected", "look here and below for keys that are not in one column, an open quote or bracket, or a value that needs quotes"},
}

// tabIndent returns the first line that has a tab in its indentation, or 0.
func tabIndent(text []byte) int {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if bytes.IndexByte(indent, '\t') >= 0 {
			return number
		}
	}
	return 0
}
