package mta

import (
	"cmp"
	"strconv"
	"strings"
)

// The expansion of one value ends at these limits; what is left of it counts as empty. Postfix has
// the same limit of nesting, and refuses to start beyond it.
const (
	maxNesting  = 100
	maxExpanded = 1 << 20
)

// An expander evaluates $name, ${name}, ${name?text}, ${name:text} and ${{a} == {b} ? {text} : {text}},
// postconf(5).
type expander struct {
	lookup func(name string) string
	left   int // octets that may still be written, and steps that may be taken
}

// expand evaluates a value. lookup returns the unexpanded value of a parameter.
func expand(value string, lookup func(name string) string) string {
	e := expander{lookup: lookup, left: maxExpanded}
	var out strings.Builder
	e.write(&out, value, 0)
	return out.String()
}

func (e *expander) spend(n int) bool {
	e.left -= n
	return e.left >= 0
}

func (e *expander) text(value string, depth int) string {
	var out strings.Builder
	e.write(&out, value, depth)
	return out.String()
}

func (e *expander) write(out *strings.Builder, value string, depth int) {
	if depth > maxNesting || !e.spend(len(value)+1) {
		return
	}
	for {
		literal, rest, found := strings.Cut(value, "$")
		out.WriteString(literal)
		if !found || rest == "" {
			return
		}
		switch rest[0] {
		case '$':
			out.WriteByte('$')
			value = rest[1:]
		case '{', '(':
			inner, after, closed := enclosed(rest)
			if !closed {
				return
			}
			e.conditional(out, inner, depth+1)
			value = after
		default:
			n := nameLength(rest)
			e.write(out, e.lookup(rest[:n]), depth+1)
			value = rest[n:]
		}
	}
}

// enclosed returns the text between the bracket that s begins with and the one that closes it.
func enclosed(s string) (inner, after string, closed bool) {
	open, shut := s[0], byte('}')
	if open == '(' {
		shut = ')'
	}
	level := 0
	for i := range len(s) {
		switch s[i] {
		case open:
			level++
		case shut:
			level--
		}
		if level == 0 {
			return s[1:i], s[i+1:], true
		}
	}
	return "", "", false
}

func nameLength(s string) int {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return i
		}
	}
	return len(s)
}

// conditional writes the value of ${inner}.
func (e *expander) conditional(out *strings.Builder, inner string, depth int) {
	inner = strings.TrimLeft(inner, " \t")
	var holds bool
	var rest string
	if strings.HasPrefix(inner, "{") {
		var ok bool
		if holds, rest, ok = e.comparison(inner, depth); !ok {
			return
		}
	} else {
		n := nameLength(inner)
		value := e.lookup(inner[:n])
		if rest = strings.TrimLeft(inner[n:], " \t"); rest == "" {
			e.write(out, value, depth)
			return
		}
		holds = e.text(value, depth) != ""
	}
	yes, no := branches(rest)
	if holds {
		e.write(out, yes, depth)
	} else {
		e.write(out, no, depth)
	}
}

// branches splits "?yes", ":no", "?{yes}:{no}". Without braces, the text reaches to the end.
func branches(rest string) (yes, no string) {
	rest = strings.TrimSpace(rest)
	if after, ok := strings.CutPrefix(rest, "?"); ok {
		if yes, rest = branch(after); rest == "" {
			return yes, ""
		}
	}
	if after, ok := strings.CutPrefix(rest, ":"); ok {
		no, _ = branch(after)
	}
	return yes, no
}

func branch(s string) (text, rest string) {
	trimmed := strings.TrimLeft(s, " \t")
	if strings.HasPrefix(trimmed, "{") {
		if inner, after, ok := enclosed(trimmed); ok {
			return inner, strings.TrimSpace(after)
		}
	}
	return s, ""
}

// comparison evaluates "{left} operator {right}".
func (e *expander) comparison(s string, depth int) (holds bool, rest string, ok bool) {
	left, after, ok := enclosed(s)
	if !ok {
		return false, "", false
	}
	at := strings.IndexByte(after, '{')
	if at < 0 {
		return false, "", false
	}
	operator := strings.TrimSpace(after[:at])
	right, rest, ok := enclosed(after[at:])
	if !ok {
		return false, "", false
	}
	a, b := e.text(left, depth), e.text(right, depth)
	operator, byLevel := strings.CutSuffix(operator, "level")
	return compare(a, strings.TrimSpace(operator), b, byLevel), rest, true
}

func compare(a, operator, b string, byLevel bool) bool {
	order := strings.Compare(a, b)
	if byLevel {
		order = CompareVersions(a, b)
	} else if m, n, ok := numbers(a, b); ok {
		order = cmp.Compare(m, n)
	}
	switch operator {
	case "==":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	}
	return false
}

func numbers(a, b string) (m, n uint64, ok bool) {
	m, err := strconv.ParseUint(a, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	n, err = strconv.ParseUint(b, 10, 64)
	return m, n, err == nil
}

// CompareVersions compares releases such as "3.7.11" and "3.6" by their numbers. A part that is absent counts as 0, and a
// part ends at the first character that is no digit.
func CompareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := cmp.Compare(leadingNumber(x), leadingNumber(y)); c != 0 {
			return c
		}
	}
	return 0
}

func leadingNumber(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || n > 1e6 {
			break
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}
