package tablesource

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// fileSize is how many entries a table file gave.
type fileSize struct {
	path    string
	entries int
}

// Emptied returns an error for each table file, and the file of senders, that gave
// entries to the generation before and is blank now: it was cut off, or is still being
// written. A comment in it says that it has no entries on purpose.
func (t Tables) Emptied(before Tables) error {
	had := map[string]int{}
	for _, f := range before.files {
		had[f.path] = f.entries
	}
	var errs []error
	for _, f := range t.files {
		if f.entries == 0 && had[f.path] > 0 && blankFile(f.path) {
			errs = append(errs, fmt.Errorf("%s is empty, and had %d entries before: put it back, or write a comment line into it if it is to have none", f.path, had[f.path]))
		}
	}
	return errors.Join(errs...)
}

// blankFile reports whether a file has nothing but blanks in it. One that cannot be
// read counts as blank.
func blankFile(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTableLine))
	return err != nil || strings.TrimSpace(string(text)) == ""
}
