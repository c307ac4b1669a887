package manual

import (
	"regexp"
	"slices"
	"strings"
)

// A Command is a command of signpost, as its own help describes it.
type Command struct {
	Name    string // as typed after signpost: "keys generate"
	Summary string
	// Text is the help without the options: paragraphs, and lines indented by four blanks: synopsis, tables, examples.
	Text    string
	Options []Option
}

// An Option is one option of a command.
type Option struct {
	Name     string // without dashes
	Argument string // "" for a switch
	Text     string
}

// A block is a paragraph of a help text. Code is indented lines; they are kept as they are.
type block struct {
	lines []string
	code  bool
}

// blocks splits a help text where a blank line or the indentation says so.
func blocks(text string) []block {
	var list []block
	fresh := true
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n ")
		code := strings.HasPrefix(line, "    ")
		switch {
		case line == "":
			fresh = true
			continue
		case fresh || list[len(list)-1].code != code:
			list = append(list, block{code: code})
		}
		b := &list[len(list)-1]
		b.lines = append(b.lines, strings.TrimPrefix(line, "    "))
		fresh = false
	}
	return list
}

// Parts of a help text: what follows a line that begins with "Example" is examples.
type parts struct {
	synopsis    []string
	description []block
	examples    []block
}

func (c Command) parts() parts {
	var p parts
	list := blocks(c.Text)
	for i, b := range list {
		switch {
		case p.examples != nil || strings.HasPrefix(b.lines[0], "Example"):
			p.examples = append(p.examples, b)
		case b.code && p.synopsis == nil && strings.HasPrefix(b.lines[0], "signpost") && !c.isGroup(list[i]):
			p.synopsis = b.lines
		default:
			p.description = append(p.description, b)
		}
	}
	if p.synopsis == nil {
		p.synopsis = []string{"signpost " + c.Name + " COMMAND [OPTIONS] [ARGUMENTS]"}
	}
	return p
}

// isGroup reports whether the block is the list of a command's own commands.
func (c Command) isGroup(b block) bool {
	return len(c.Options) == 0 && len(b.lines) > 0 && groupLine.MatchString(b.lines[0])
}

var groupLine = regexp.MustCompile(`^signpost [a-z-]+ [a-z-]+ .*  \S`)

// arguments returns the words in capitals of the synopsis, without those of options: what a command takes by position.
func (c Command) arguments() []string {
	var words []string
	for _, line := range c.parts().synopsis {
		line = optionInSynopsis.ReplaceAllString(line, "")
		for _, w := range argumentWord.FindAllString(line, -1) {
			if w != "OPTIONS" && !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	return words
}

var (
	optionInSynopsis = regexp.MustCompile(`--[a-z-]+( [A-Z]+)?`)
	argumentWord     = regexp.MustCompile(`\b[A-Z]{2,}(\.[A-Z]+)?\b`)
)

// words are the words that an option takes, where its text lists them after a colon: "rsa or ed25519".
func (o Option) words() []string {
	m := choiceText.FindStringSubmatch(o.Text)
	if o.Argument == "" || m == nil {
		return nil
	}
	return strings.Split(strings.ReplaceAll(m[1], " or ", ", "), ", ")
}

var choiceText = regexp.MustCompile(`(?:: |ROLE of our listener: |WAY: )((?:[a-z0-9-]+, )*[a-z0-9-]+ or [a-z0-9-]+)(?:$| \(|;)`)
