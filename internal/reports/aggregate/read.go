package aggregate

import (
	"errors"
	"io"
	"slices"
	"strings"

	"signpost/internal/reports/refusal"
)

// MaxRecords is how many records Read takes of one report.
const MaxRecords = 500_000

// Read reads one report, and calls each for every record as it comes: where a reporter puts the
// policy last, before the policy is known. The record is valid until each returns; an error of
// each ends the reading. Errors of the report are *refusal.Error; those of in are returned as they are.
//
// Read takes both namespaces, wrong ones and none, any order of elements, any encoding, elements
// that were not closed, values that are no XML, and the words that reporters use instead of those of the RFC;
// docs/reports.md has the list. It reads up to the end of the root element, and not beyond.
// The memory does not depend on the number of records.
func Read(in io.Reader, each func(*Record) error) (*Report, error) {
	r := &reader{scan: scanner{in: utf8Text(in)}, each: each}
	err := r.read()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, refusal.Truncated.With("%d records were read", r.records)
	case err != nil:
		return nil, err
	}
	return r.finish()
}

// A reader builds one report from its tokens.
type reader struct {
	scan   scanner
	each   func(*Record) error
	stack  []*element // from the root down
	prefix string     // of the root's name; see ours
	value  strings.Builder

	opaque []string // names of open elements that we do not know, from the outermost

	report    Report
	record    Record
	count     bool // the record has one
	records   int
	sawPolicy bool
	sawMeta   bool
	begin     string
	end       string
}

// read reads up to the end of the root element.
func (r *reader) read() error {
	if err := r.findRoot(); err != nil {
		return err
	}
	for len(r.stack) > 0 {
		t, err := r.scan.next()
		if err != nil {
			return err
		}
		if err := r.token(t); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) findRoot() error {
	for {
		t, err := r.scan.next()
		switch {
		case errors.Is(err, io.EOF):
			return refusal.NoReport.With("no element feedback")
		case err != nil:
			return err
		case t.kind == tokenStart && t.name == "feedback":
			r.report.Namespace = clean(namespaceIn(string(t.text), t.prefix))
			r.stack, r.prefix = append(r.stack, &root), t.prefix
			if t.empty {
				r.stack = nil
			}
			return nil
		case t.kind == tokenStart && t.name != "schema":
			return refusal.NoReport.With("the root element is %q", clean(t.name))
		}
	}
}

// namespaceIn returns the namespace that a tag declares for a prefix.
func namespaceIn(tag, prefix string) string {
	name := "xmlns"
	if prefix != "" {
		name += ":" + prefix
	}
	for {
		_, rest, found := strings.Cut(tag, name)
		if !found {
			return ""
		}
		tag = rest
		rest, found = strings.CutPrefix(strings.TrimLeft(rest, " \t\r\n"), "=")
		rest = strings.TrimLeft(rest, " \t\r\n")
		if found && rest != "" && (rest[0] == '"' || rest[0] == '\'') {
			value, _, _ := strings.Cut(rest[1:], rest[:1])
			return value
		}
	}
}

func (r *reader) token(t token) error {
	switch t.kind {
	case tokenStart:
		return r.startTag(t)
	case tokenEnd:
		return r.endTag(t)
	}
	return r.text(t.text)
}

// text adds to the value, if we are in an element that has one.
func (r *reader) text(text []byte) error {
	if len(r.opaque) > 0 || !r.top().isValue() {
		return nil
	}
	if r.value.Len()+len(text) > maxValue {
		return refusal.Token.With("a value of more than %d octets", maxValue)
	}
	r.value.Write(text)
	return nil
}

func (r *reader) top() *element { return r.stack[len(r.stack)-1] }

// startTag opens an element that we know here or in an element around; the ones in between
// were not closed. Another tag is text where a value stands, and else opaque.
func (r *reader) startTag(t token) error {
	if len(r.opaque) > 0 && !r.recovers(t.name) {
		return r.openOpaque(t)
	}
	r.opaque = nil
	for depth := len(r.stack) - 1; depth >= 0 && r.ours(t); depth-- {
		if child := r.stack[depth].child(t.name); child != nil {
			return r.open(depth, child, t.empty)
		}
	}
	if r.top().isValue() {
		return r.text(t.text)
	}
	return r.openOpaque(t)
}

// ours tells a tag of the report from one of an extension by its prefix: the root's (RFC 9990), or none
// (the schema of RFC 7489 qualifies the root alone).
func (r *reader) ours(t token) bool { return t.prefix == r.prefix || t.prefix == "" }

// recovers tells whether an element in one that we do not know is the report's own after all: the
// metadata or the policy, where it has none yet. Some reports have a tag that is never closed.
func (r *reader) recovers(name string) bool {
	return len(r.stack) == 1 && (name == "report_metadata" && !r.sawMeta || name == "policy_published" && !r.sawPolicy)
}

func (r *reader) openOpaque(t token) error {
	if t.empty || t.name == "schema" {
		return nil
	}
	if len(r.stack)+len(r.opaque) >= maxDepth {
		return refusal.TooDeep.With("more than %d elements", maxDepth)
	}
	r.opaque = append(r.opaque, t.name)
	return nil
}

// open closes what is below depth, and opens e.
func (r *reader) open(depth int, e *element, empty bool) error {
	if err := r.closeBelow(depth + 1); err != nil {
		return err
	}
	r.stack = append(r.stack, e)
	if e.start != nil {
		e.start(r)
	}
	r.value.Reset()
	if empty {
		return r.closeBelow(depth + 1)
	}
	return nil
}

// closeBelow closes elements until depth remain.
func (r *reader) closeBelow(depth int) error {
	for len(r.stack) > depth {
		e := r.top()
		r.stack = r.stack[:len(r.stack)-1]
		if e.set != nil {
			e.set(r, clean(r.value.String()))
		}
		r.value.Reset()
		if e.end != nil {
			if err := e.end(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// endTag closes the innermost element of this name, and all within it. In a value, the end of
// nothing is text.
func (r *reader) endTag(t token) error {
	if i := lastIndex(r.opaque, t.name); i >= 0 {
		r.opaque = r.opaque[:i]
		return nil
	}
	for depth := len(r.stack) - 1; depth >= 0; depth-- {
		if r.ours(t) && r.stack[depth].named(t.name) {
			r.opaque = nil
			return r.closeBelow(depth)
		}
	}
	if len(r.opaque) == 0 && r.top().isValue() {
		return r.text(t.text)
	}
	return nil
}

func lastIndex(names []string, name string) int {
	for i, n := range slices.Backward(names) {
		if n == name {
			return i
		}
	}
	return -1
}
