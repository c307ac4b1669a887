package manual

import (
	"encoding/json"
	"fmt"
	"strings"
)

const configIntro = `This is every key of the configuration, /etc/signpost/signpost.yaml, with what an absent key
means. A key that is not known is refused, and so is a file without any key.

signpost check-config lists the mistakes by line and says what the configuration means.
systemctl reload signpost puts a changed file in force; a file with mistakes changes nothing.

Sizes have a unit (B, KB, KiB, MB, MiB, GB, GiB), and so have times (ms, s, m, h) and days (d).
In the names below, [] stands for each element of a list.`

// configPage is signpost.yaml(5).
func configPage(root Key, date string) Page {
	p := newPage("signpost.yaml", 5, date, "configuration of Signpost")
	p.section("Description")
	p.blocks(blocks(configIntro))
	for _, top := range root.Keys {
		p.section("Section " + top.Name)
		p.text(top.Text...)
		top.Walk(p.key)
	}
	p.section("Files")
	p.text("/usr/share/signpost/signpost.schema.json is the JSON Schema for editors; signpost config schema prints it, signpost config example the example.")
	p.section("See also")
	p.WriteString(".BR signpost (8),\n.BR signpost\\-check\\-config (8),\n.BR signpost\\-config (8)\n")
	return Page{"signpost.yaml.5", p.String()}
}

func (p *page) key(k Key) {
	if k.Name == "" {
		return
	}
	fmt.Fprintf(p, ".TP\n%s (%s)\n", bold(k.Path), escape(k.value()))
	var list []block
	for i, line := range k.Text {
		code := strings.HasPrefix(line, " ")
		if i == 0 || code != list[len(list)-1].code {
			list = append(list, block{code: code})
		}
		list[len(list)-1].lines = append(list[len(list)-1].lines, line)
	}
	for i, b := range list {
		if i > 0 {
			p.WriteString(".IP\n") // goes on in the item
		}
		if b.code {
			p.verbatim(b.lines)
		} else {
			p.text(b.lines...)
		}
	}
}

// value is the form of a key's value and its default.
func (k Key) value() string {
	var words string
	switch k.Kind {
	case Section:
		words = "keys"
	case List:
		words = "list"
	case Switch:
		words = "true or false"
	case Number:
		words = "number"
	default:
		words = "text"
		if k.Choices != nil {
			words = strings.Join(k.Choices, " | ")
		}
	}
	if k.Default != nil {
		text, _ := json.Marshal(k.Default) //nolint:errcheck // it came from YAML: strings, numbers, lists
		words += "; default " + string(text)
	}
	return words
}
