package config

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxFile is the largest configuration file that is read, in bytes. It is enough for
// about 200,000 signing domains.
const MaxFile = 16 << 20

// Read decodes the file at path as Decode does. The error says that the file could not
// be read; mistakes in it are in the Source.
func Read(path string, v any) (*Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	// One byte more than allowed, so that Decode sees the excess.
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Decode(path, text, v), nil
}

// Decode reads text into v, a pointer to a struct that holds the defaults. Keys are
// named by the fields' yaml tags; a field without a tag cannot be set. After a mistake,
// Decode continues and leaves the field at its default, so that v can be validated and
// all problems reported together: check [Source.Err] before you use v. file names the
// text in problems.
func Decode(file string, text []byte, v any) *Source {
	s := &Source{file: file, sum: sha256.Sum256(text), unread: map[string]bool{}}
	root := s.parse(text)
	if root == nil || isNull(root) || (root.Kind == yaml.MappingNode && len(root.Content) == 0) {
		s.withoutKeys()
		return s
	}
	s.root = root
	d := decoder{source: s, top: reflect.TypeOf(v).Elem(), schemas: map[reflect.Type]schema{}}
	d.value(root, reflect.ValueOf(v).Elem(), &place{mark: mark{line: 1}})
	return s
}

// withoutKeys reports a text without any key, unless it could not be read. Such a file
// was truncated or is still being written: it must not count as the defaults.
func (s *Source) withoutKeys() {
	if len(s.problems) == 0 {
		s.fatal(1, "the file has no key at all: it is empty, or was cut off when it was written; put it back, or write one key, such as verifier: {mode: monitor}")
	}
}

// parse returns the root of the only document, or nil if there is none: the text is
// empty or is not YAML.
func (s *Source) parse(text []byte) *yaml.Node {
	if len(text) > MaxFile {
		s.fatal(1, fmt.Sprintf("the file is larger than %d bytes", MaxFile))
		return nil
	}
	if line, problem := unreadable(text); problem != "" {
		s.fatal(line, problem)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	switch err := next(dec, &doc); {
	case err == io.EOF:
		return nil
	case err != nil:
		s.syntax(text, err)
		return nil
	}
	switch err := next(dec, &second); {
	case err == nil:
		s.add(markOf(&second), "", `a second document begins here: one file is one configuration, take out the "---"`)
	case err != io.EOF:
		s.syntax(text, err)
		return nil
	}
	return doc.Content[0]
}

// next reads one document. The parser panics on internal errors; a panic must not end a
// daemon during a reload.
func next(dec *yaml.Decoder, doc *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the parser gives up: %v", r)
		}
	}()
	if err := dec.Decode(doc); err != nil {
		return err
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return io.EOF
	}
	return nil
}

// A place is the current position, kept as a chain so that the path is formatted only
// for a problem.
type place struct {
	up    *place
	key   string
	item  bool // in a list, at index
	index int
	mark
}

func (p *place) String() string {
	switch {
	case p.up == nil:
		return ""
	case p.item:
		return fmt.Sprintf("%s[%d]", p.up, p.index)
	}
	return join(p.up.String(), p.key)
}

// decoder walks the nodes of one document and the fields of one type together. It
// descends only as deep as the type does.
type decoder struct {
	source  *Source
	top     reflect.Type
	schemas map[reflect.Type]schema
}

func (d *decoder) bad(at *place, format string, args ...any) {
	if d.source.full() {
		d.source.more++
		return
	}
	d.source.add(at.mark, at.String(), fmt.Sprintf(format, args...))
}

// unread records that a value could not be read and keeps its default, so that no
// further problem is reported for it.
func (d *decoder) unread(at *place, format string, args ...any) {
	if !d.source.full() {
		d.source.unread[at.String()] = true
	}
	d.bad(at, format, args...)
}

// value decodes a node into v; v must be settable.
func (d *decoder) value(n *yaml.Node, v reflect.Value, at *place) {
	if problem := unwanted(n); problem != "" {
		d.unread(at, "%s", problem)
		return
	}
	if v.Kind() == reflect.Pointer {
		d.pointer(n, v, at)
		return
	}
	if isNull(n) {
		d.nothing(v, at)
		return
	}
	if isScalarType(v.Type()) && (n.Kind == yaml.ScalarNode || v.Kind() != reflect.Struct || !d.hasKeys(v.Type())) {
		d.scalar(n, v, at)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, v, at)
	case reflect.Slice:
		d.list(n, v, at)
	default:
		d.unread(at, "this build cannot read a value of the type %s", v.Type())
	}
}

// nothing handles an empty value: a section with all keys commented out keeps its
// defaults; elsewhere the meaning is unclear.
func (d *decoder) nothing(v reflect.Value, at *place) {
	switch {
	case at.item:
		d.unread(at, "nothing is written after the dash: write %s, or take the line out", example(v.Type()))
	case v.Kind() != reflect.Struct || isScalarType(v.Type()):
		d.unread(at, "nothing is written here: write %s, or take the key out to have its default", example(v.Type()))
	}
}

func (d *decoder) pointer(n *yaml.Node, v reflect.Value, at *place) {
	target := reflect.New(v.Type().Elem())
	if !v.IsNil() {
		target.Elem().Set(v.Elem())
	}
	d.value(n, target.Elem(), at)
	v.Set(target)
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, at *place) {
	known := d.schema(v.Type())
	if n.Kind != yaml.MappingNode {
		d.unread(at, "expected keys with values (%s), found %s", strings.Join(known.names, ", "), kind(n))
		return
	}
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		here := &place{up: at, key: key.Value, mark: markOf(key)}
		if problem := badKey(key); problem != "" {
			section := *at
			section.mark = markOf(key)
			d.bad(&section, "%s", problem)
			continue
		}
		if first, twice := seen[key.Value]; twice {
			d.bad(here, "this key stands on line %d already: keep one of the two", first)
			continue
		}
		seen[key.Value] = key.Line
		field, ok := known.index[key.Value]
		if !ok {
			d.unknown(here, known)
			continue
		}
		d.value(val, v.Field(field), here)
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, at *place) {
	if n.Kind != yaml.SequenceNode {
		form := example(v.Type())
		if n.Kind == yaml.ScalarNode {
			form = "[" + brief(n.Value) + "]"
		}
		d.unread(at, "expected a list, found %s: write %s", kind(n), form)
		return
	}
	items := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, items.Index(i), &place{up: at, item: true, index: i, mark: markOf(item)})
	}
	v.Set(items)
}

// unwanted reports the features of YAML that are refused.
func unwanted(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.AliasNode:
		return fmt.Sprintf("aliases (*%s) are not taken: write the value out", brief(n.Value))
	case n.Anchor != "":
		return fmt.Sprintf("anchors (&%s) are not taken: write the value without it", brief(n.Anchor))
	case n.Style&yaml.TaggedStyle != 0:
		return fmt.Sprintf("tags (%s) are not taken: write the value without it", brief(n.Tag))
	}
	return ""
}

func badKey(key *yaml.Node) string {
	switch {
	case key.Tag == "!!merge":
		return "merge keys (<<) are not taken: write the keys out"
	case key.Kind == yaml.AliasNode, key.Anchor != "", key.Style&yaml.TaggedStyle != 0:
		return unwanted(key)
	case key.Kind != yaml.ScalarNode:
		return fmt.Sprintf("a key is one word, found %s", kind(key))
	}
	return ""
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "keys with values"
	case n.Kind == yaml.ScalarNode && !isNull(n):
		return fmt.Sprintf("%q", brief(n.Value))
	}
	return "nothing"
}

// brief shortens s for a line of a problem.
func brief(s string) string {
	const limit = 60
	if len(s) <= limit {
		return s
	}
	cut := 0
	for i := range s {
		if i > limit {
			break
		}
		cut = i
	}
	return s[:cut] + "…"
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
