package manual

import (
	"slices"
	"strings"
)

// A Candidate is a word that may stand at the cursor.
type Candidate struct{ Word, Meaning string }

// A Place says what may stand at the cursor beside the candidates.
type Place int

const (
	Words   Place = iota // the candidates alone
	Files                // file names too
	Folders              // folders too
)

// Names are the names of the configuration at hand. They are looked up only where one may stand.
type Names struct {
	Domains   func() []string
	Selectors func(domain string) []string
}

// Complete returns what may stand in the place of the last of words, which may be empty or begun. words are those after
// signpost.
func Complete(commands []Command, names Names, words []string) ([]Candidate, Place) {
	if len(words) == 0 {
		words = []string{""}
	}
	if words[0] == "help" && len(words) > 1 {
		return begin(below(commands, strings.Join(words[1:len(words)-1], " ")), words[len(words)-1]), Words
	}
	current, before := words[len(words)-1], words[:len(words)-1]
	c, used, found := lookUp(commands, before)
	switch subs := below(commands, strings.Join(before, " ")); {
	case len(subs) > 0 && !strings.HasPrefix(current, "-"):
		return begin(subs, current), Words
	case !found:
		return nil, Words
	}
	before = before[used:]
	if len(before) > 0 {
		if o, takes := c.takesArgument(before[len(before)-1]); takes {
			return names.argument(o.Argument, o, before, current)
		}
	}
	if strings.HasPrefix(current, "-") {
		return begin(c.options(before), current), Words
	}
	return names.positional(c, before, current)
}

// lookUp finds the longest command that words begin with; used is its number of words.
func lookUp(commands []Command, words []string) (c Command, used int, found bool) {
	for n := min(2, len(words)); n > 0; n-- {
		name := strings.Join(words[:n], " ")
		if i := slices.IndexFunc(commands, func(c Command) bool { return c.Name == name }); i >= 0 {
			return commands[i], n, true
		}
	}
	return c, 0, false
}

// below returns the commands directly below a name, "" for the first words.
func below(commands []Command, name string) []Candidate {
	var list []Candidate
	for _, c := range commands {
		rest, ok := c.Name, name == ""
		if name != "" {
			rest, ok = strings.CutPrefix(c.Name, name+" ")
		}
		if ok && !strings.Contains(rest, " ") {
			list = append(list, Candidate{rest, c.Summary})
		}
	}
	return list
}

func begin(list []Candidate, current string) []Candidate {
	return slices.DeleteFunc(list, func(c Candidate) bool { return !strings.HasPrefix(c.Word, current) })
}

// takesArgument returns the option that a word names, if the next word is its argument.
func (c Command) takesArgument(word string) (Option, bool) {
	name, isOption := strings.CutPrefix(word, "--")
	for _, o := range c.Options {
		if isOption && o.Name == name && o.Argument != "" {
			return o, true
		}
	}
	return Option{}, false
}

// options are those that may still be given.
func (c Command) options(before []string) []Candidate {
	list := []Candidate{}
	for _, o := range c.Options {
		repeated := strings.Contains(o.Text, "may be given more than once") || strings.Contains(o.Text, "may be repeated")
		if repeated || !slices.Contains(before, "--"+o.Name) {
			list = append(list, Candidate{"--" + o.Name, firstWords(o.Text)})
		}
	}
	return append(list, Candidate{"--help", "show the options and an example"})
}

// firstWords is the text up to its first aside.
func firstWords(text string) string {
	for _, end := range []string{" (", "; ", ": "} {
		text, _, _ = strings.Cut(text, end)
	}
	return text
}

func (n Names) positional(c Command, before []string, current string) ([]Candidate, Place) {
	given := c.given(before)
	arguments := c.arguments()
	if len(arguments) == 0 {
		return nil, Words
	}
	argument := arguments[min(len(given), len(arguments)-1)]
	if len(given) >= len(arguments) && argument != "DOMAIN" {
		return nil, Words
	}
	return n.argument(argument, Option{}, given, current)
}

// given returns the arguments among words, without options and theirs.
func (c Command) given(words []string) []string {
	var list []string
	for i := 0; i < len(words); i++ {
		if _, takes := c.takesArgument(words[i]); takes {
			i++
		} else if !strings.HasPrefix(words[i], "-") {
			list = append(list, words[i])
		}
	}
	return list
}

// argument completes an argument by its name in the help.
func (n Names) argument(name string, o Option, before []string, current string) ([]Candidate, Place) {
	var words []string
	switch name {
	case "FILE", "OPENDKIM.CONF":
		return nil, Files
	case "FOLDER", "DIR":
		return nil, Folders
	case "DOMAIN":
		words = n.Domains()
	case "SELECTOR":
		if len(before) > 0 {
			words = n.Selectors(before[len(before)-1])
		}
	case "SHELL":
		words = Shells()
	default:
		words = o.words()
	}
	list := []Candidate{}
	for _, w := range words {
		list = append(list, Candidate{Word: w})
	}
	return begin(list, current), Words
}
