package tablesource

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// fileSize is the number of entries of a table file.
type fileSize struct {
	path    string
	entries int
}

// Emptied returns an error for each file that had entries before and is blank now: it was
// truncated, or is still being written. A comment line in it shows that it is empty on
// purpose.
func (t Tables) Emptied(before Tables) error {
	had := map[string]int{}
	for _, f := range before.files {
		had[f.path] = f.entries
	}
	var errs []error
	for _, f := range t.files {
		if f.entries == 0 && had[f.path] > 0 && blankFile(f.path) {
			errs = append(errs, fmt.Errorf("%s is empty, and had entries before (%d): put it back, or write a comment line into it if it is to have none", f.path, had[f.path]))
		}
	}
	return errors.Join(errs...)
}

// blankFile reports whether a file has only blanks. A file that cannot be read counts as blank.
func blankFile(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTableLine))
	return err != nil || strings.TrimSpace(string(text)) == ""
}
