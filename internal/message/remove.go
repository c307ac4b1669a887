package message

import "bytes"

// RemoveFields returns a message file without some of its header fields, and leaves
// everything else as it is. The indexes are those of the Header that Split returns for the
// file, in ascending order.
func RemoveFields(file []byte, indexes []int) []byte {
	kept := make([]byte, 0, len(file))
	at, removing := -1, false // the field of the line
	for first := true; len(file) > 0; first = false {
		end := bytes.IndexByte(file, '\n') + 1
		if end == 0 {
			end = len(file)
		}
		switch text := trimLineEnd(file[:end]); {
		case len(text) == 0:
			return append(kept, file...)
		case first && isMboxFrom(text):
		case at >= 0 && (text[0] == ' ' || text[0] == '\t'): // it continues the field
		case fieldColon(text) < 0: // the body begins without an empty line
			return append(kept, file...)
		default:
			at++
			removing = len(indexes) > 0 && indexes[0] == at
			if removing {
				indexes = indexes[1:]
			}
		}
		if !removing {
			kept = append(kept, file[:end]...)
		}
		file = file[end:]
	}
	return kept
}

// AppendWithout appends the fields of the header to another one, except those with the indexes
// in removed, which are in ascending order.
func (h Header) AppendWithout(to Header, removed []int) Header {
	for i, f := range h {
		if len(removed) > 0 && removed[0] == i {
			removed = removed[1:]
			continue
		}
		to = append(to, f)
	}
	return to
}
