package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// width is the width of a terminal that the report fits, where no exact line is longer.
const width = 80

// Print writes the report as text, the most harmful finding first. colour marks severities
// with the colours of a terminal.
func (r Report) Print(w io.Writer, colour bool) {
	for _, f := range r.Findings {
		f.print(w, colour)
	}
	r.printUnseen(w)
	r.printSummary(w)
}

var colours = map[Severity]string{Critical: "\x1b[1;31m", High: "\x1b[31m", Medium: "\x1b[33m", Low: "\x1b[2m"}

func (f Finding) print(w io.Writer, colour bool) {
	severity := strings.ToUpper(string(f.Severity))
	if colour {
		severity = colours[f.Severity] + severity + "\x1b[0m"
	}
	fmt.Fprintf(w, "%s %s: %s\n", severity, f.ID, f.Subject)
	paragraph(w, "  ", f.Finding)
	paragraph(w, "  Effect: ", f.Consequence)
	f.Remedy.print(w)
	paragraph(w, "  See: ", f.Reference)
	fmt.Fprintln(w)
}

func (r Remedy) print(w io.Writer) {
	if r.Text != "" {
		paragraph(w, "  Remedy: ", r.Text)
	} else {
		fmt.Fprintln(w, "  Remedy:")
	}
	for _, line := range r.Lines {
		for _, part := range foldRecord(line) {
			fmt.Fprintln(w, "      "+part)
		}
	}
	for _, words := range r.Commands {
		for _, part := range foldCommand(words) {
			fmt.Fprintln(w, "      "+part)
		}
	}
}

// paragraph writes wrapped text; the lines after the first are indented.
func paragraph(w io.Writer, head, text string) {
	const indent = "    "
	line, empty := head, true
	for word := range strings.FieldsSeq(text) {
		switch {
		case empty:
			line += word
		case len([]rune(line))+1+len([]rune(word)) > width:
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			line = indent + word
		default:
			line += " " + word
		}
		empty = false
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}

// foldCommand breaks a long command between its words, with a backslash at the line's end.
func foldCommand(words []string) []string {
	const room = width - 8
	var lines []string
	line := ""
	for _, word := range words {
		word = command([]string{word})
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > room:
			lines = append(lines, line+` \`)
			line = "    " + word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// foldRecord breaks a long TXT record of a zone file between its character-strings, and long
// strings into shorter ones. Readers join them.
func foldRecord(line string) []string {
	const room = width - 6
	head, value, ok := strings.Cut(line, " IN TXT ")
	if len(line) <= room || !ok {
		return strings.Split(line, "\n")
	}
	lines := []string{head + " IN TXT ("}
	for _, s := range characterStrings(value) {
		for s != "" {
			n := min(len(s), room-6)
			if n < len(s) {
				n = escapeAt(s, n)
			}
			lines = append(lines, `    "`+s[:n]+`"`)
			s = s[n:]
		}
	}
	return append(lines, ")")
}

// characterStrings returns the quoted strings of a record's value, without the quotation marks
// around them; those within have a backslash.
func characterStrings(value string) []string {
	var all []string
	begun := -1
	for i := 0; i < len(value); i++ {
		switch {
		case value[i] == '\\':
			i++
		case value[i] != '"':
		case begun < 0:
			begun = i + 1
		default:
			all, begun = append(all, value[begun:i]), -1
		}
	}
	return all
}

// escapeAt returns the length of the first n octets of a string of a zone file that do not end
// within an escape, \" or \DDD.
func escapeAt(s string, n int) int {
	for at := 0; at < n; {
		size := 1
		if s[at] == '\\' {
			size = 2
			if at+1 < len(s) && '0' <= s[at+1] && s[at+1] <= '9' {
				size = 4
			}
		}
		if at+size > n {
			return at
		}
		at += size
	}
	return n
}

func (r Report) printUnseen(w io.Writer) {
	if len(r.Unseen) == 0 {
		return
	}
	fmt.Fprintln(w, "Not seen:")
	for _, u := range r.Unseen {
		paragraph(w, "  ", u.What+": "+u.Reason)
	}
	fmt.Fprintln(w)
}

func (r Report) printSummary(w io.Writer) {
	count := map[Severity]int{}
	for _, f := range r.Findings {
		count[f.Severity]++
	}
	var parts []string
	for _, s := range []Severity{Critical, High, Medium, Low} {
		if n := count[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	text := "No findings"
	if len(parts) > 0 {
		text = "Findings: " + strings.Join(parts, ", ")
	}
	if n := len(slices.DeleteFunc(slices.Clone(r.Unseen), func(u Unseen) bool { return u.Expected })); n > 0 {
		text += fmt.Sprintf("; %d could not be looked at", n)
	}
	text += fmt.Sprintf(". Domains: %d.", r.Domains)
	if r.DomainsLeft > 0 {
		text += fmt.Sprintf(" Not looked at: %d more domains; --all does.", r.DomainsLeft)
	}
	paragraph(w, "", text)
}

// PrintFix writes a shell script with the commands of all remedies. What has to be done by hand
// stands in it as comments. Running it is up to the administrator.
func (r Report) PrintFix(w io.Writer) {
	fmt.Fprint(w, "#!/bin/sh\n# Made by signpost doctor --fix. Read it before you run it as root.\nset -eu\n")
	for _, f := range r.Findings {
		fmt.Fprintln(w)
		comment(w, fmt.Sprintf("%s %s: %s", strings.ToUpper(string(f.Severity)), f.ID, f.Subject))
		comment(w, f.Finding)
		text := f.Remedy.Text
		if len(f.Remedy.Commands) == 0 {
			text = "By hand: " + text
		}
		comment(w, text)
		for _, line := range f.Remedy.Lines {
			comment(w, "    "+line)
		}
		for _, words := range f.Remedy.Commands {
			fmt.Fprintln(w, command(words))
		}
	}
}

// comment writes a text as comment lines of a shell, so that no part of it can be a command.
func comment(w io.Writer, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(w, strings.TrimRight("# "+oneLine(line), " "))
	}
}
