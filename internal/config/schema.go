package config

import (
	"reflect"
	"slices"
	"strings"
)

// schema is the set of keys of a struct type.
type schema struct {
	names []string       // in the order of the fields
	index map[string]int // name to field
}

func (d *decoder) schema(t reflect.Type) schema {
	if s, ok := d.schemas[t]; ok {
		return s
	}
	s := schema{index: map[string]int{}}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		s.names = append(s.names, name)
		s.index[name] = i
	}
	d.schemas[t] = s
	return s
}

func (d *decoder) hasKeys(t reflect.Type) bool { return len(d.schema(t).names) > 0 }

// unknown reports a key that the section does not have, and the one that was probably
// meant: a similar name, or the same name in another section.
func (d *decoder) unknown(at *place, known schema) {
	if d.source.full() {
		d.source.more++
		return
	}
	keys := "this section takes " + strings.Join(known.names, ", ")
	if near, ok := Nearest(at.key, known.names); ok {
		d.bad(at, "unknown key: did you mean %s? (%s)", near, keys)
		return
	}
	if paths := d.elsewhere(at.key, d.top, "", 0); len(paths) > 0 {
		d.bad(at, "unknown key here: it belongs under %s (%s)", alternatives(paths), keys)
		return
	}
	d.bad(at, "unknown key (%s)", keys)
}

// elsewhere returns the sections of the type t at the path that have the key, in the order of
// the fields. It compares names only, and descends a few levels.
func (d *decoder) elsewhere(key string, t reflect.Type, path string, depth int) []string {
	const deepest = 8
	list := ""
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		if t.Kind() == reflect.Slice {
			list = "[]"
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || depth > deepest {
		return nil
	}
	known := d.schema(t)
	path += list
	var found []string
	if _, ok := known.index[key]; ok {
		found = append(found, path)
		if path == "" {
			found[0] = "the top level"
		}
	}
	for _, name := range known.names {
		found = append(found, d.elsewhere(key, t.Field(known.index[name]).Type, join(path, name), depth+1)...)
	}
	return found
}

// alternatives joins the first of the words, those of the fewest levels.
func alternatives(words []string) string {
	const most = 3
	levels := func(s string) int { return strings.Count(s, ".") + strings.Count(s, "[") }
	slices.SortStableFunc(words, func(a, b string) int { return levels(a) - levels(b) })
	words = words[:min(most, len(words))]
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Nearest returns the name that key is probably a misspelling of.
func Nearest(key string, names []string) (string, bool) {
	const longest = 64 // limits the work for one key
	if len(key) > longest {
		return "", false
	}
	key = strings.ReplaceAll(strings.ToLower(key), "-", "_")
	best, least := "", len(key)
	for _, name := range names {
		if n := distance(key, name); n < least {
			best, least = name, n
		}
	}
	// A third of the letters may differ, at most three.
	return best, best != "" && least <= min(3, max(1, len(best)/3))
}

// maxDistance limits the words that Distance compares, in octets.
const maxDistance = 64

// Distance returns the number of letters to insert, delete, replace or swap with a
// neighbour to turn a into b. If one is longer than 64 octets, it returns the longer
// length.
func Distance(a, b string) int {
	if max(len(a), len(b)) > maxDistance {
		return max(len(a), len(b))
	}
	return distance(a, b)
}

func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// OneOf calls bad if value is not one of the allowed words. The problem lists them and
// names the one that was probably meant.
func OneOf[T ~string](bad func(path, problem string), path string, value T, allowed ...T) {
	words := make([]string, len(allowed))
	for i, w := range allowed {
		if value == w {
			return
		}
		words[i] = string(w)
	}
	problem := quote(string(value)) + " is not one of " + strings.Join(words, ", ")
	if near, ok := Nearest(string(value), words); ok {
		problem += ": did you mean " + near + "?"
	}
	bad(path, problem)
}
