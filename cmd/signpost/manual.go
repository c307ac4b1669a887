package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"signpost/internal/manual"
)

const manualText = `Write the manual pages, the JSON Schema of the configuration and the completion
scripts into folders man, schema and completion below FOLDER, for a package.

    signpost __manual --date DATE FOLDER

Example:

    signpost __manual --date 2026-11-30 bin/reference
`

// manualCommand is run by make install-files.
func manualCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	f := flags("__manual", manualText, stderr)
	date := f.String("date", "", "the `DATE` in the foot of the pages")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) != 1 || *date == "" {
		return wrongUsage(stderr, "__manual", "give --date and one folder")
	}
	if err := writeReference(rest[0], *date); err != nil {
		return failure(stderr, "__manual", err)
	}
	return exitOK
}

func writeReference(folder, date string) error {
	root, err := configurationKeys()
	if err != nil {
		return err
	}
	schema, err := manual.Schema(root)
	if err != nil {
		return err
	}
	err = writeBelow(folder, "schema/signpost.schema.json", string(schema))
	for _, p := range manual.Pages(described(), root, date) {
		err = errors.Join(err, writeBelow(folder, "man/"+p.File, p.Text))
	}
	for _, shell := range manual.Shells() {
		err = errors.Join(err, writeBelow(folder, "completion/signpost."+shell, manual.Script(shell)))
	}
	return err
}

func writeBelow(folder, name, text string) error {
	path := filepath.Join(folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
