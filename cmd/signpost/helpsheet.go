package main

import (
	"flag"
	"strings"

	"signpost/internal/manual"
)

// helpSheet takes the help of a command, and its options as values. It stands in the place of standard output.
type helpSheet struct {
	text strings.Builder
	list []manual.Option
}

func (h *helpSheet) Write(p []byte) (int, error) { return h.text.Write(p) }

func (h *helpSheet) options(f *flag.FlagSet) {
	f.VisitAll(func(o *flag.Flag) {
		argument, text := optionHelp(o)
		h.list = append(h.list, manual.Option{Name: o.Name, Argument: argument, Text: text})
	})
}

// described is every command and subcommand with its help.
func described() []manual.Command {
	var list []manual.Command
	for _, c := range commands() {
		list = append(list, describeCommand(c, c.name))
		for _, sub := range subcommands(c.name) {
			list = append(list, describeCommand(sub, c.name+" "+sub.name))
		}
	}
	return list
}

func describeCommand(c command, name string) manual.Command {
	sheet := &helpSheet{}
	c.run([]string{"--help"}, nil, sheet, sheet)
	text, _, _ := strings.Cut(sheet.text.String(), "\nOptions:\n")
	return manual.Command{Name: name, Summary: c.summary, Text: text, Options: sheet.list}
}
