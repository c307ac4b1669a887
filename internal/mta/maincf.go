package mta

import (
	"strings"
)

// maxConfigBytes limits one configuration file. Ordinary ones have a few kilobytes.
const maxConfigBytes = 4 << 20

// logicalLines joins the lines of a Postfix configuration file, postconf(5): a line that begins with
// white space continues the one before. Empty lines and comments count for nothing, also between a line
// and its continuation.
func logicalLines(text string) []string {
	var lines []string
	var open []string
	flush := func() {
		if open != nil {
			lines = append(lines, strings.Join(open, " "))
		}
		open = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		content := strings.Trim(line, " \t")
		if content == "" || content[0] == '#' {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' {
			flush()
		}
		open = append(open, content)
	}
	flush()
	return lines
}

// parseMain reads the parameters of main.cf, without the expansion of $name. The last of several
// lines for a parameter counts.
func parseMain(text string) map[string]string {
	params := map[string]string{}
	for _, line := range logicalLines(text) {
		if name, value, ok := nameValue(line); ok {
			params[name] = value
		}
	}
	return params
}

// nameValue splits "name = value". It reports whether there is a name.
func nameValue(text string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	return name, strings.TrimSpace(value), ok && name != "" && !strings.ContainsAny(name, " \t")
}
