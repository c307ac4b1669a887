// Package casefile reads the project's own cases, which are text files under
// testdata/cases, so that a report can be pasted as a test. It serves tests
// only.
//
//	# a comment
//	case the name, a sentence
//	key value up to the end of the line
//	key "a value in the escapes of a Go string\r\n"
//
// A key may occur several times. The test defines the meaning of its keys.
package casefile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Case is one case of a file.
type Case struct {
	Name  string
	Where string // file and line, for messages
	Lines []Line
}

// Line is one line of a case. Exact says that the value was quoted and is used octet by
// octet.
type Line struct {
	Key, Value string
	Exact      bool
}

// Run runs check on each case of the file as a subtest. Keys lists the allowed keys; a
// case with another key, or without any that begins with "want", fails, since it would
// check less than it says.
func Run(t *testing.T, path string, keys []string, check func(t *testing.T, c Case)) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cases, err := parse(filepath.Base(path), string(text), keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { check(t, c) })
	}
}

func parse(file, text string, keys []string) ([]Case, error) {
	var cases []Case
	names := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		where := fmt.Sprintf("%s:%d", file, i+1)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		if key == "case" {
			if value == "" || names[value] {
				return nil, fmt.Errorf("%s: the name %q is empty or another case's too", where, value)
			}
			names[value] = true
			cases = append(cases, Case{Name: value, Where: where})
			continue
		}
		if len(cases) == 0 || !slices.Contains(keys, key) {
			return nil, fmt.Errorf("%s: %q is no line of a case; write one of %s", where, line, strings.Join(keys, ", "))
		}
		l := Line{Key: key, Value: value}
		if strings.HasPrefix(value, `"`) {
			if exact, err := strconv.Unquote(value); err == nil {
				l.Value, l.Exact = exact, true
			}
		}
		c := &cases[len(cases)-1]
		c.Lines = append(c.Lines, l)
	}
	for _, c := range cases {
		if !slices.ContainsFunc(c.Lines, func(l Line) bool { return strings.HasPrefix(l.Key, "want") }) {
			return nil, fmt.Errorf("%s: case %q wants nothing", c.Where, c.Name)
		}
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("%s: no cases", file)
	}
	return cases, nil
}

// All returns the values of a key, in order.
func (c Case) All(key string) []string {
	var values []string
	for _, l := range c.Lines {
		if l.Key == key {
			values = append(values, l.Value)
		}
	}
	return values
}

// Has reports whether the case has the key.
func (c Case) Has(key string) bool { return len(c.All(key)) > 0 }

// First returns the first value of a key, or the fallback.
func (c Case) First(key, fallback string) string {
	if all := c.All(key); len(all) > 0 {
		return all[0]
	}
	return fallback
}

// Text joins the lines of a key as lines of a message, each with CRLF; quoted ones are
// unchanged.
func (c Case) Text(key, fallback string) string {
	if !c.Has(key) {
		return fallback
	}
	var b strings.Builder
	for _, l := range c.Lines {
		if l.Key != key {
			continue
		}
		b.WriteString(l.Value)
		if !l.Exact {
			b.WriteString("\r\n")
		}
	}
	return b.String()
}
