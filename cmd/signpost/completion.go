package main

import (
	"fmt"
	"io"
	"strings"

	"signpost/internal/daemon"
	"signpost/internal/manual"
	"signpost/signer"
)

const completionText = `Print the completion script of a shell: bash, zsh or fish. Commands, options,
the words that options take, and the domains and selectors of the
configuration, if you may read it, are completed. The package installs all
three scripts.

    signpost completion SHELL

Examples: for the running shell, and for all users of bash

    source <(signpost completion bash)
    signpost completion bash > /etc/bash_completion.d/signpost
`

func completionCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	rest, code, stop := parse(flags("completion", completionText, stderr), args, stdout)
	if stop {
		return code
	}
	script := ""
	if len(rest) == 1 {
		script = manual.Script(rest[0])
	}
	if script == "" {
		return wrongUsage(stderr, "completion", "name one shell: "+strings.Join(manual.Shells(), ", "))
	}
	fmt.Fprint(stdout, script)
	return exitOK
}

// completeCommand prints what may stand in the place of the last of args.
func completeCommand(args []string, _ io.Reader, stdout, _ io.Writer) int {
	list, place := manual.Complete(described(), configuredNames(configOption(args)), args)
	switch place {
	case manual.Files:
		fmt.Fprintln(stdout, ":files")
	case manual.Folders:
		fmt.Fprintln(stdout, ":folders")
	}
	for _, c := range list {
		fmt.Fprintln(stdout, strings.TrimRight(c.Word+"\t"+c.Meaning, "\t"))
	}
	return exitOK
}

// configOption is the argument of --config, or "".
func configOption(args []string) string {
	for i, a := range args {
		if value, ok := strings.CutPrefix(a, "--config="); ok {
			return value
		}
		if a == "--config" && i+1 < len(args)-1 {
			return args[i+1]
		}
	}
	return ""
}

// configuredNames reads the names of the YAML file alone: a database may take its time.
func configuredNames(path string) manual.Names {
	return manual.Names{
		Domains: func() []string {
			var names []string
			for _, d := range signingDomains(path) {
				if !strings.ContainsAny(d.Domain, "*@") {
					names = append(names, d.Domain)
				}
			}
			return names
		},
		Selectors: func(domain string) []string {
			var names []string
			for _, d := range signingDomains(path) {
				for _, s := range d.Selectors {
					if d.Domain == domain {
						names = append(names, s.Selector)
					}
				}
			}
			return names
		},
	}
}

// signingDomains is what can be read of signer.domains: a file with mistakes has names, too.
func signingDomains(path string) []signer.Domain {
	c, _, _ := daemon.Read(path) //nolint:errcheck // names of a faulty file are better than none
	return c.Signer.Domains
}
