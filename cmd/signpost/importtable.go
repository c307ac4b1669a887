package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// column is the width of each of the three columns of a comparison, in characters: the
// table has 80.
const column = 26

// print writes the differences as a table, and how much was compared.
func (c comparison) print(w io.Writer) {
	if len(c.Differences) > 0 {
		printRow(w, "From, or client", "opendkim", "Signpost")
		printRow(w, strings.Repeat("-", column), strings.Repeat("-", column), strings.Repeat("-", column))
	}
	for _, d := range c.Differences {
		printRow(w, d.From+d.Client, d.OpenDKIM.words(d.onlyKeys()), d.Signpost.words(d.onlyKeys()))
	}
	if len(c.Differences) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, c.summary())
}

// summary counts the comparisons and their results.
func (c comparison) summary() string {
	result := "all are treated as by opendkim"
	if n := len(c.Differences); n > 0 {
		result = fmt.Sprintf("%d differ", n)
	}
	s := fmt.Sprintf("%d authors and %d clients compared: %s", c.Authors, c.Clients, result)
	if c.LeftOut > 0 {
		s += fmt.Sprintf("\n%d more authors are left out: name those that matter with --from-file", c.LeftOut)
	}
	if len(c.NotCompared) > 0 {
		s += "\nnot compared, although they decide about signing: " + strings.Join(c.NotCompared, "; ")
	}
	return s
}

// onlyKeys reports whether the signatures differ in nothing but their keys.
func (d difference) onlyKeys() bool {
	return slices.EqualFunc(d.OpenDKIM.Signatures, d.Signpost.Signatures, func(a, b madeBy) bool { return a.Domain == b.Domain && a.Selector == b.Selector })
}

// words names the treatment of the mail, with the keys if withKeys is set.
func (t treats) words(withKeys bool) string {
	switch {
	case t.Ours != nil && *t.Ours:
		return "signed"
	case t.Ours != nil:
		return "not signed"
	case t.Refused:
		return "refused (451): " + t.Why
	case len(t.Signatures) == 0:
		return "unsigned"
	}
	var all []string
	for _, s := range t.Signatures {
		one := fmt.Sprintf("d=%s s=%s", s.Domain, s.Selector)
		if withKeys {
			one += " key " + s.Key
		}
		all = append(all, one)
	}
	return strings.Join(all, " + ")
}

// line is a difference in one line.
func (d difference) line() string {
	return fmt.Sprintf("%s: opendkim: %s; here: %s", d.From+d.Client, d.OpenDKIM.words(d.onlyKeys()), d.Signpost.words(d.onlyKeys()))
}

// printRow writes three cells side by side, each over as many lines as it takes.
func printRow(w io.Writer, cells ...string) {
	var wrapped [][]string
	height := 0
	for _, cell := range cells {
		lines := wrap(cell, column)
		wrapped, height = append(wrapped, lines), max(height, len(lines))
	}
	for i := range height {
		var row strings.Builder
		for _, lines := range wrapped {
			text := ""
			if i < len(lines) {
				text = lines[i]
			}
			fmt.Fprintf(&row, "%-*s ", column, text)
		}
		fmt.Fprintln(w, strings.TrimRight(row.String(), " "))
	}
}

// wrap breaks a text into lines of at most width characters, at blanks where there are
// any.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		for line += word; len(line) > width; {
			lines, line = append(lines, line[:width]), line[width:]
		}
	}
	return append(lines, line)
}
