package main

import (
	"fmt"
	"os"
	"strings"

	"signpost/internal/config"
	"signpost/internal/tablesource"
	"signpost/keys"
)

// editedFile is a file before and after a rotation.
type editedFile struct {
	path        string
	was, edited []byte
}

// edits are the files that have to be changed, the configuration last.
type edits struct {
	files  map[string]*editedFile
	tables []string // in order
	config string
}

func (e *edits) at(path string) (*editedFile, error) {
	if f := e.files[path]; f != nil {
		return f, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading what is to be edited: %w", err)
	}
	f := &editedFile{path: path, was: text, edited: text}
	e.files[path] = f
	if path != e.config {
		e.tables = append(e.tables, path)
	}
	return f, nil
}

// replace puts the new selector into an entry.
func (e *edits) replace(c Config, u keyUse, r rotation) error {
	if u.place.Source == "" {
		return e.replaceYAML(c, u, r)
	}
	f, err := e.at(u.place.Source)
	if err != nil {
		return err
	}
	f.edited, err = replaceInLine(f.edited, u.place.Line, r.Old, r.New)
	if err != nil {
		return byHand(u.Where, err, r)
	}
	return nil
}

func (e *edits) replaceYAML(c Config, u keyUse, r rotation) error {
	f, err := e.at(e.config)
	if err != nil {
		return err
	}
	for j, s := range c.Signer.Domains[u.entry].Selectors {
		if !strings.EqualFold(s.Selector, r.Old) {
			continue
		}
		path := fmt.Sprintf("signer.domains[%d].selectors[%d]", u.entry, j)
		next, err := config.Replace(f.edited, path+".selector", r.New)
		if err != nil {
			next, err = config.Replace(f.edited, path, r.New)
		}
		if err != nil {
			return byHand(e.config, err, r)
		}
		f.edited = next
	}
	return nil
}

func byHand(where string, err error, r rotation) error {
	return fmt.Errorf("%s: %w; put %s in the place of %s by hand, after signpost keys generate %s %s", where, err, r.New, r.Old, r.Domain, r.New)
}

// replaceInLine changes one line of a table, counted from 1.
func replaceInLine(text []byte, number int, from, to string) ([]byte, error) {
	lines := strings.SplitAfter(string(text), "\n")
	if number < 1 || number > len(lines) {
		return nil, fmt.Errorf("the file has no line %d any more", number)
	}
	line := strings.TrimSuffix(lines[number-1], "\n")
	edited, err := tablesource.ReplaceSelector(line, from, to)
	if err != nil {
		return nil, err
	}
	lines[number-1] = edited + lines[number-1][len(line):]
	return []byte(strings.Join(lines, "")), nil
}

// rotate writes the keys and then the files that list them, or nothing of either in a
// dry run: there, only whether the files can be edited is found out.
func (c Config) rotate(path string, todo []rotation, dry bool) error {
	e := &edits{files: map[string]*editedFile{}, config: path}
	for _, r := range todo {
		for _, u := range r.Entries {
			if !u.Changed || u.entry < 0 || u.place.Database {
				continue
			}
			if err := e.replace(c, u, r); err != nil {
				return err
			}
		}
	}
	if dry {
		return nil
	}
	for i := range todo {
		r := &todo[i]
		k, err := keys.Generate(c.Keys.Dir, r.Domain, r.New, r.Algorithm, r.bits)
		if err != nil {
			return err
		}
		info := describe(k)
		r.Record = &info
	}
	return e.write()
}

// write replaces the files, tables first: they do no harm before the configuration is
// read again.
func (e *edits) write() error {
	var done []string
	for _, path := range append(e.tables, e.config) {
		f := e.files[path]
		if f == nil {
			continue
		}
		if err := replaceFile(path, f.was, f.edited); err != nil {
			state := "nothing else is changed"
			if len(done) > 0 {
				state = "changed is " + strings.Join(done, ", ")
			}
			return fmt.Errorf("the new keys are there, and %s: %w", state, err)
		}
		done = append(done, path)
	}
	return nil
}
