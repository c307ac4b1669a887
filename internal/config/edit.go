package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Replace returns text with the one scalar at path changed to value, and everything
// else unchanged: comments, order, spaces, line ends. The path is written as in a
// [Problem], for example "signer.domains[0].selectors[1]". value must be a plain YAML
// word: letters, digits, hyphens, dots. An error says why the text cannot be edited; it
// is then unchanged.
func Replace(text []byte, path, value string) ([]byte, error) {
	if !plainWord(value) {
		return nil, fmt.Errorf("%s cannot be written into a configuration without quotes", quote(value))
	}
	before, err := document(text)
	if err != nil {
		return nil, err
	}
	n := at(before, path)
	if n == nil || n.Kind != yaml.ScalarNode {
		return nil, fmt.Errorf("there is no single value at %s", path)
	}
	start, ok := offset(text, n.Line, n.Column)
	length := written(text[start:], n)
	if !ok || length == 0 {
		return nil, fmt.Errorf("line %d: the value of %s is written in an unusual way", n.Line, path)
	}
	var out bytes.Buffer
	out.Write(text[:start])
	if n.Style&yaml.DoubleQuotedStyle != 0 {
		value = `"` + value + `"`
	} else if n.Style&yaml.SingleQuotedStyle != 0 {
		value = "'" + value + "'"
	}
	out.WriteString(value)
	out.Write(text[start+length:])

	after, err := document(out.Bytes())
	if err != nil {
		return nil, err
	}
	n.Value = strings.Trim(value, `"'`)
	if !same(before, after) {
		return nil, fmt.Errorf("line %d: the value of %s cannot be changed without changing more", n.Line, path)
	}
	return out.Bytes(), nil
}

// document parses a text that Decode has accepted.
func document(text []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := next(yaml.NewDecoder(bytes.NewReader(text)), &doc); err != nil {
		return nil, fmt.Errorf("this is not YAML: %w", err)
	}
	return doc.Content[0], nil
}

func at(n *yaml.Node, path string) *yaml.Node {
	for path != "" && n != nil {
		var key string
		key, path = cutStep(path)
		n, _ = step(n, key)
	}
	return n
}

func plainWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == "" &&
		!strings.HasPrefix(s, "-") && !strings.HasPrefix(s, ".")
}

// offset returns the position in the text of a line and column of the parser. Columns
// are counted in characters.
func offset(text []byte, line, column int) (int, bool) {
	i := 0
	for ; line > 1; line-- {
		end := bytes.IndexByte(text[i:], '\n')
		if end < 0 {
			return 0, false
		}
		i += end + 1
	}
	for ; column > 1; column-- {
		if i >= len(text) || text[i] == '\n' {
			return 0, false
		}
		_, size := utf8.DecodeRune(text[i:])
		i += size
	}
	return i, true
}

// written returns the length of the scalar at the beginning of text, in bytes; 0 if
// that is not certain.
func written(text []byte, n *yaml.Node) int {
	form := n.Value
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		form = `"` + form + `"`
	case n.Style&yaml.SingleQuotedStyle != 0:
		form = "'" + form + "'"
	case n.Style != 0:
		return 0 // a block, or with a tag
	}
	if n.Value == "" || n.Anchor != "" || !bytes.HasPrefix(text, []byte(form)) {
		return 0
	}
	return len(form)
}

// same compares the content and the comments of two documents.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.Style != b.Style || len(a.Content) != len(b.Content) ||
		a.HeadComment != b.HeadComment || a.LineComment != b.LineComment || a.FootComment != b.FootComment {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
