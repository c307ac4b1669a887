package tablesource

import (
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

// readFile returns the text of the table file that the key of the configuration names.
func readFile(key, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	defer f.Close()
	var text strings.Builder
	if info, err := f.Stat(); err == nil && info.Size() < maxTableBytes {
		text.Grow(int(info.Size()))
	}
	limited := &io.LimitedReader{R: f, N: maxTableBytes}
	if _, err := io.Copy(&text, limited); err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	if limited.N == 0 {
		return "", fmt.Errorf("%s: the file is larger than %d bytes", path, maxTableBytes)
	}
	return text.String(), nil
}

// eachLine calls handle for each line of a file's text with its words, which the next call
// overwrites. Comments (from a "#" at the start of the line or after a blank) and blank lines
// are left out. The error has the mistakes that handle returns, up to maxReported, with file and
// line.
func eachLine(path, text string, handle func(line int, words []string) error) error {
	text = strings.TrimPrefix(text, "\ufeff") // the byte order mark of some editors
	var mistakes []error
	var words []string
	more, number := 0, 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if len(line) >= maxTableLine {
			return fmt.Errorf("%s:%d: the line is longer than %d bytes", path, number, maxTableLine)
		}
		words = appendWords(words[:0], uncommented(line))
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
	if more > 0 {
		mistakes = append(mistakes, fmt.Errorf("%s: and %d mistakes more", path, more))
	}
	return errors.Join(mistakes...)
}

// entriesIn estimates the number of entries in a text: lines that are long enough, and no
// comments.
func entriesIn(text string) int {
	const shortest = len("a.bc s\n")
	n := 0
	for line := range strings.Lines(text) {
		if len(line) >= shortest && line[0] != '#' {
			n++
		}
	}
	return n
}

func appendWords(words []string, line string) []string {
	for {
		line = strings.TrimLeftFunc(line, blank)
		if line == "" {
			return words
		}
		end := strings.IndexFunc(line, blank)
		if end < 0 {
			return append(words, line)
		}
		words = append(words, line[:end])
		line = line[end:]
	}
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
