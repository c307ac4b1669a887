package main

import (
	"fmt"
	"io"
)

// group is a command that has commands of its own and nothing else.
type group struct {
	name, text string
	commands   []command
}

// run runs the command that args begin with.
func (g group) run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, g.text)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		if len(args) > 1 && args[0] == "help" {
			return g.run(append(args[1:], "--help"), stdin, stdout, stderr)
		}
		fmt.Fprint(stdout, g.text)
		return exitOK
	}
	var names []string
	for _, c := range g.commands {
		if c.name == args[0] {
			return c.run(args[1:], stdin, stdout, stderr)
		}
		names = append(names, c.name)
	}
	return wrongUsage(stderr, g.name, fmt.Sprintf("no command %q", args[0])+maybe("", args[0], names))
}
