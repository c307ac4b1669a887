package main

import (
	"cmp"
	"flag"
	"fmt"
	"strings"
)

// helpWidth is the width of a terminal that every help text fits.
const helpWidth = 80

// configHelp is the help of --config.
const configHelp = "configuration `FILE` (default: " + defaultConfig + ", if it is there)"

// argumentNames are the names of the values of options that name none themselves.
var argumentNames = map[string]string{"duration": "TIME", "int": "N", "string": "TEXT", "value": "VALUE"}

// printOptions writes every option with its argument, what it does and its default.
func printOptions(f *flag.FlagSet) {
	title := "\nOptions:\n"
	f.VisitAll(func(o *flag.Flag) {
		fmt.Fprint(f.Output(), title)
		title = ""
		argument, text := optionHelp(o)
		fmt.Fprintln(f.Output(), strings.TrimRight("  --"+o.Name+" "+argument, " "))
		for _, line := range wrapped(text, helpWidth-8) {
			fmt.Fprintln(f.Output(), "        "+line)
		}
	})
}

// optionHelp is the name of an option's argument, and what it does.
func optionHelp(o *flag.Flag) (argument, text string) {
	argument, text = flag.UnquoteUsage(o)
	argument = cmp.Or(argumentNames[argument], strings.ToUpper(argument))
	if o.DefValue != "" && o.DefValue != "false" && o.DefValue != "0" {
		text += " (default " + o.DefValue + ")"
	}
	return argument, text
}

// wrapped breaks a text at its blanks into lines of at most width octets; a longer word
// has a line of its own.
func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
