package dkim

// lineWidth is the longest line that RFC 5322 §2.1.1 recommends, without CRLF.
const lineWidth = 78

// folding writes a field's value in lines. It folds only where a tag list may have
// white space.
type folding struct {
	text   []byte
	column int
}

// newFolding begins a value after so many columns.
func newFolding(column int) *folding {
	return &folding{text: make([]byte, 0, 1024), column: column}
}

// word appends a blank and a text that must not be split.
func (f *folding) word(s string) {
	if len(f.text) > 0 {
		if f.column+1+len(s) > lineWidth {
			f.newLine()
		} else {
			f.text = append(f.text, ' ')
			f.column++
		}
	}
	f.append(s)
}

// attach appends a text without a blank, or puts it on a new line.
func (f *folding) attach(s string) {
	if f.column+len(s) > lineWidth {
		f.newLine()
	}
	f.append(s)
}

// split appends a text that may be split anywhere.
func (f *folding) split(s string) {
	for {
		n := max(lineWidth-f.column, 0)
		if len(s) <= n {
			f.append(s)
			return
		}
		f.append(s[:n])
		s = s[n:]
		f.newLine()
	}
}

func (f *folding) append(s string) {
	f.text = append(f.text, s...)
	f.column += len(s)
}

func (f *folding) newLine() {
	f.text = append(f.text, "\r\n "...)
	f.column = 1
}
