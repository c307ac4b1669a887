package manual

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"signpost/internal/config"
)

// A Kind is the form of a key's value.
type Kind int

const (
	Word Kind = iota // one word or text
	Section
	List
	Switch // true or false
	Number // a whole number, not negative
)

// A Key is a key of the configuration.
type Key struct {
	Name string
	Path string // as signer.domains[].selectors
	Kind Kind
	// Choices are all words that the key takes; Pattern is a regular expression of them. Both may be empty.
	Choices []string
	Pattern string
	Default any // as encoding/json decodes it; nil: none, or it is a section
	// Text documents the key: lines, of which those that begin with blanks are an example.
	Text []string
	// Item is an element of a list.
	Item *Key
	// Keys are those of a section. Short says that one word may stand in the place of them.
	Keys  []Key
	Short bool
}

// Keys returns the configuration as a section: its keys from the type of a struct with yaml tags, the texts and
// defaults from an example file that has all of them. choices returns the words that a path takes, or nil.
func Keys(example string, t reflect.Type, choices func(path string) []string) (Key, error) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(example), &root); err != nil || len(root.Content) == 0 {
		return Key{}, fmt.Errorf("the example configuration: %w", err)
	}
	r := keyReader{comments: readComments(example), choices: choices}
	return r.key(t, "", root.Content[0]), nil
}

type keyReader struct {
	comments map[string][]string
	choices  func(path string) []string
}

func (r keyReader) key(t reflect.Type, path string, def *yaml.Node) Key {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	k := Key{Path: path, Kind: kindOf(t), Choices: r.choices(path), Pattern: patternOf(t), Text: r.text(path)}
	switch k.Kind {
	case Section:
		k.Short = reflect.PointerTo(t).Implements(textUnmarshaler)
		k.Keys = r.fields(t, path, def)
		return k
	case List:
		item := r.key(t.Elem(), path+"[]", nil)
		item.Text = nil
		k.Item = &item
	}
	if def != nil {
		k.Default = plain(def)
	}
	return k
}

// text is the comment of the key, or of the nearest key above it that has a line for it.
func (r keyReader) text(path string) []string {
	if text := r.comments[path]; text != nil {
		return text
	}
	above, name := cutLast(path)
	for name = strings.TrimSuffix(name, "[]"); above != ""; above, _ = cutLast(above) {
		if text := words(r.comments[strings.TrimSuffix(above, "[]")], map[string]bool{name: true})[name]; text != nil {
			return text
		}
	}
	return nil
}

func cutLast(path string) (above, name string) {
	i := strings.LastIndex(path, ".")
	return path[:max(i, 0)], path[i+1:]
}

func (r keyReader) fields(t reflect.Type, path string, def *yaml.Node) []Key {
	var keys []Key
	for i := range t.NumField() {
		name := yamlName(t.Field(i))
		if name == "" {
			continue
		}
		k := r.key(t.Field(i).Type, strings.TrimPrefix(path+"."+name, "."), child(def, name))
		k.Name = name
		keys = append(keys, k)
	}
	return keys
}

func yamlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return strings.TrimPrefix(name, "-")
}

// child returns the value of a key in a mapping, or nil.
func child(n *yaml.Node, name string) *yaml.Node {
	if n == nil {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// plain is the value as encoding/json would decode it.
func plain(n *yaml.Node) any {
	var v any
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!int" && n.Tag != "!!bool":
		return n.Value
	case n.Decode(&v) != nil:
		return nil
	case n.Kind == yaml.SequenceNode && v == nil:
		return []any{}
	}
	return v
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

func kindOf(t reflect.Type) Kind {
	switch k := t.Kind(); {
	case k == reflect.Struct && hasKeys(t):
		return Section
	case reflect.PointerTo(t).Implements(textUnmarshaler), t == reflect.TypeFor[time.Duration]():
		return Word
	case k == reflect.Slice:
		return List
	case k == reflect.Bool:
		return Switch
	case reflect.Int <= k && k <= reflect.Uint64:
		return Number
	}
	return Word
}

func hasKeys(t reflect.Type) bool {
	for i := range t.NumField() {
		if yamlName(t.Field(i)) != "" {
			return true
		}
	}
	return false
}

// patternOf is the form of a value with a unit, as package config reads it.
func patternOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return `^(0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)$`
	case reflect.TypeFor[config.Size]():
		return `^(0|[0-9]+ ?([KkMmGg][Ii]?)?[Bb])$`
	case reflect.TypeFor[config.Days]():
		return `^[0-9]+d$`
	case reflect.TypeFor[config.FileMode]():
		return `^[0-7]{3,4}$`
	}
	return ""
}

// Walk calls visit for every key below a section, sections and elements of lists too, in the order of the file.
func (k Key) Walk(visit func(Key)) {
	for _, sub := range k.Keys {
		visit(sub)
		sub.Walk(visit)
	}
	if k.Item != nil {
		k.Item.Walk(visit)
	}
}
