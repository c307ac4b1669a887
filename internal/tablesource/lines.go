package tablesource

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Limits of a table file.
const (
	maxTableBytes = 256 << 20
	maxTableLine  = 64 << 10
	maxReported   = 20
)

// readLines calls handle for each line with its words. Comments (from a "#" at the start of the
// line or after a blank) and blank lines are left out. The error has the mistakes that handle
// returns, up to maxReported, with file and line.
func readLines(path string, handle func(line int, words []string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading a table: %w", err)
	}
	defer f.Close()
	limited := &io.LimitedReader{R: f, N: maxTableBytes}
	scan := bufio.NewScanner(limited)
	scan.Buffer(nil, maxTableLine)
	var mistakes []error
	more, number := 0, 0
	for scan.Scan() {
		number++
		text := scan.Text()
		if number == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // the byte order mark of some editors
		}
		words := strings.FieldsFunc(uncommented(text), blank)
		if len(words) == 0 {
			continue
		}
		switch err := handle(number, words); {
		case err == nil:
		case len(mistakes) < maxReported:
			mistakes = append(mistakes, fmt.Errorf("%s:%d: %w", path, number, err))
		default:
			more++
		}
	}
	switch {
	case errors.Is(scan.Err(), bufio.ErrTooLong):
		return fmt.Errorf("%s:%d: the line is longer than %d bytes", path, number+1, maxTableLine)
	case scan.Err() != nil:
		return fmt.Errorf("reading a table: %w", scan.Err())
	case limited.N == 0:
		return fmt.Errorf("%s: the file is larger than %d bytes", path, maxTableBytes)
	case more > 0:
		mistakes = append(mistakes, fmt.Errorf("%s: and %d mistakes more", path, more))
	}
	return errors.Join(mistakes...)
}

func blank(r rune) bool { return r == ' ' || r == '\t' || r == '\r' }

func uncommented(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || blank(rune(line[i-1]))) {
			return line[:i]
		}
	}
	return line
}
