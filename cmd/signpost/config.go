package main

import (
	"fmt"
	"io"
	"reflect"

	"signpost"
	"signpost/internal/daemon"
	"signpost/internal/manual"
)

const configText = `Print the documentation of the configuration's keys.

    signpost config schema        the JSON Schema, for editors
    signpost config example       every key with its default and what it means

Each has --help with an example: signpost config schema --help.
signpost check-config looks at a configuration.
`

const schemaText = `Print the JSON Schema (draft 2020-12) of the configuration. Editors that know
it offer keys and words, and mark mistakes while you type. The package has it
in /usr/share/signpost/signpost.schema.json; an editor with the YAML language
server takes it where the first line of the file is

    # yaml-language-server: $schema=/usr/share/signpost/signpost.schema.json

    signpost config schema

Example:

    signpost config schema > signpost.schema.json
`

const exampleText = `Print the example configuration: every key with its default, its documentation
and examples. It is signpost.yaml(5) in the form of a file.

    signpost config example

Example:

    signpost config example | less
`

func configCommands() []command {
	return []command{
		{"schema", "print the JSON Schema of the configuration", schemaCommand},
		{"example", "print the configuration with all keys and their meaning", exampleCommand},
	}
}

func configCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return group{"config", configText, configCommands()}.run(args, stdin, stdout, stderr)
}

func schemaCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	if code, stop := noArguments("config schema", schemaText, args, stdout, stderr); stop {
		return code
	}
	schema, err := schema()
	if err != nil {
		return failure(stderr, "config schema", err)
	}
	_, _ = stdout.Write(schema) // run reports a failed write
	return exitOK
}

func exampleCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	if code, stop := noArguments("config example", exampleText, args, stdout, stderr); stop {
		return code
	}
	fmt.Fprint(stdout, signpost.ExampleConfig)
	return exitOK
}

// noArguments parses the command line of a command without options and arguments.
func noArguments(name, text string, args []string, stdout, stderr io.Writer) (code int, stop bool) {
	rest, code, stop := parse(flags(name, text, stderr), args, stdout)
	if !stop && len(rest) > 0 {
		return wrongUsage(stderr, name, fmt.Sprintf("unexpected argument %q", rest[0])), true
	}
	return code, stop
}

// configurationKeys is the configuration with its documentation.
func configurationKeys() (manual.Key, error) {
	return manual.Keys(signpost.ExampleConfig, reflect.TypeFor[daemon.Config](), daemon.Choices)
}

func schema() ([]byte, error) {
	root, err := configurationKeys()
	if err != nil {
		return nil, err
	}
	return manual.Schema(root)
}
