package manual

import (
	"fmt"
	"strings"
)

// A Page is a manual page in the macros of man(7).
type Page struct {
	File string // as signpost-keys-generate.8
	Text string
}

// Pages returns signpost(8), a page for each command, and signpost.yaml(5) for the configuration. date is in the
// foot of each: 2026-11-30.
func Pages(commands []Command, root Key, date string) []Page {
	list := []Page{overview(commands, date), configPage(root, date)}
	for _, c := range commands {
		list = append(list, commandPage(c, commands, date))
	}
	return list
}

// page writes roff.
type page struct{ strings.Builder }

func newPage(name string, section int, date, summary string) *page {
	p := &page{}
	fmt.Fprintf(p, ".TH %s %d %s Signpost \"System administration\"\n.nh\n.ad l\n", quoted(strings.ToUpper(name)), section, date)
	p.section("Name")
	fmt.Fprintf(p, "%s \\-\n", escape(name))
	p.text(summary)
	return p
}

func (p *page) section(name string) { fmt.Fprintf(p, ".SH %s\n", strings.ToUpper(name)) }

// text writes words to be filled.
func (p *page) text(lines ...string) {
	line := ""
	for _, word := range strings.Fields(strings.Join(lines, " ")) {
		word = escape(word)
		if line != "" && len(line)+1+len(word) > sourceWidth {
			fmt.Fprintln(p, line)
			line = ""
		}
		if line == "" {
			line = word
			continue
		}
		line += " " + strings.TrimPrefix(word, `\&`)
	}
	if line != "" {
		fmt.Fprintln(p, line)
	}
}

// sourceWidth is the longest line of words in a page's source.
const sourceWidth = 79

// code keeps lines as they are, indented.
func (p *page) code(lines []string) {
	p.WriteString(".RS 4\n")
	p.verbatim(lines)
	p.WriteString(".RE\n")
}

func (p *page) verbatim(lines []string) {
	p.WriteString(".nf\n")
	for _, line := range lines {
		fmt.Fprintln(p, escape(line))
	}
	p.WriteString(".fi\n")
}

// item is a term and its meaning.
func (p *page) item(term string, meaning ...string) {
	fmt.Fprintf(p, ".TP\n%s\n", term)
	p.text(meaning...)
}

// blocks writes paragraphs. The first follows a heading, where .PP has no effect.
func (p *page) blocks(list []block) {
	for i, b := range list {
		if i > 0 {
			p.WriteString(".PP\n")
		}
		if b.code {
			p.code(b.lines)
		} else {
			p.text(b.lines...)
		}
	}
}

func bold(s string) string   { return `\fB` + strings.TrimPrefix(escape(s), `\&`) + `\fR` }
func italic(s string) string { return `\fI` + strings.TrimPrefix(escape(s), `\&`) + `\fR` }
func quoted(s string) string { return `"` + escape(s) + `"` }

// escape writes text so that roff changes nothing in it.
func escape(s string) string {
	var b strings.Builder
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		b.WriteString(`\&`)
	}
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '\'':
			b.WriteString(`\(aq`)
		case r == '`':
			b.WriteString(`\(ga`)
		case r == '^':
			b.WriteString(`\(ha`)
		case r == '~':
			b.WriteString(`\(ti`)
		case r > 126:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// pageName is the name of a command's page.
func pageName(command string) string {
	return "signpost-" + strings.ReplaceAll(command, " ", "-")
}

func commandPage(c Command, all []Command, date string) Page {
	parts := c.parts()
	p := newPage(pageName(c.Name), 8, date, c.Summary)
	p.section("Synopsis")
	p.verbatim(parts.synopsis)
	p.section("Description")
	p.blocks(parts.description)
	if len(c.Options) > 0 {
		p.section("Options")
	}
	for _, o := range c.Options {
		term := bold("--" + o.Name)
		if o.Argument != "" {
			term += " " + italic(o.Argument)
		}
		p.item(term, o.Text)
	}
	p.section("Exit status")
	p.text("0: done, and all is well. 1: findings, or it could not be done. 2: wrong usage.")
	if len(parts.examples) > 0 {
		p.section("Examples")
		p.blocks(withoutTitle(parts.examples))
	}
	p.section("See also")
	p.WriteString(seeAlso(c.Name, all))
	return Page{pageName(c.Name) + ".8", p.String()}
}

// withoutTitle takes out the line "Example:"; words after it stay.
func withoutTitle(list []block) []block {
	if title := list[0].lines[0]; title == "Example:" || title == "Examples:" {
		return list[1:]
	}
	first := list[0]
	first.lines = append([]string{strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(first.lines[0], "Examples"), "Example"), ": ")}, first.lines[1:]...)
	return append([]block{first}, list[1:]...)
}

// seeAlso names the pages above, beside and below a command.
func seeAlso(name string, all []Command) string {
	group, _, _ := strings.Cut(name, " ")
	refs := ".BR signpost (8),\n"
	for _, c := range all {
		above, _, isSub := strings.Cut(c.Name, " ")
		if c.Name != name && above == group && (isSub || above != name) {
			refs += ".BR " + escape(pageName(c.Name)) + " (8),\n"
		}
	}
	return refs + ".BR signpost.yaml (5)\n"
}
