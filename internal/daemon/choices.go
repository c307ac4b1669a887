package daemon

import (
	"encoding"
	"errors"
	"reflect"
	"strings"

	"signpost/internal/config"
	"signpost/signer"
)

// Choices returns the words that the value at a path takes, such as verifier.overrides[].mode, where it takes
// certain words alone; else nil. It asks the validation itself, with a word that no key takes.
func Choices(path string) []string {
	c := Defaults()
	v, ok := leaf(reflect.ValueOf(&c).Elem(), path)
	if !ok {
		return nil
	}
	if v.Type() == reflect.TypeFor[signer.Canonicalization]() {
		return []string{"relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"}
	}
	if _, isText := v.Addr().Interface().(encoding.TextUnmarshaler); isText || v.Kind() != reflect.String {
		return nil
	}
	v.SetString("?")
	src := config.Decode("", []byte("log: {}"), &struct {
		Log struct{} `yaml:"log"`
	}{})
	c.validate(src)
	var found *config.Error
	if !errors.As(src.Err(), &found) {
		return nil
	}
	concrete := strings.ReplaceAll(path, "[]", "[0]")
	for _, p := range found.Problems {
		_, words, isChoice := strings.Cut(p.Text, " is not one of ")
		if p.Path == concrete && isChoice {
			words, _, _ = strings.Cut(words, ": ")
			return strings.Split(words, ", ")
		}
	}
	return nil
}

// leaf returns the field at a path; each list on the way gets one element.
func leaf(v reflect.Value, path string) (reflect.Value, bool) {
	for name := range strings.SplitSeq(path, ".") {
		name, isList := strings.CutSuffix(name, "[]")
		if v.Kind() != reflect.Struct {
			return v, false
		}
		i := fieldOf(v.Type(), name)
		if i < 0 {
			return v, false
		}
		if v = v.Field(i); isList {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			v = v.Index(0)
		}
	}
	return v, true
}

// fieldOf returns the index of the field with a yaml tag, or -1.
func fieldOf(t reflect.Type, name string) int {
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); tag == name && name != "" {
			return i
		}
	}
	return -1
}
