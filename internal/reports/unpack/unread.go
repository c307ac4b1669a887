package unpack

import (
	"bytes"
	"strings"
)

// unreadFormats are archives and compressions that are named and not read, by where their first octets stand.
var unreadFormats = []struct {
	name  string
	at    int
	magic string
}{
	{"tar", 257, "ustar"},
	{"bzip2", 4, "1AY&SY"},
	{"xz", 0, "\xfd7zXZ\x00"},
	{"7-Zip", 0, "7z\xbc\xaf\x27\x1c"},
	{"RAR", 0, "Rar!\x1a\x07"},
	{"Zstandard", 0, "\x28\xb5\x2f\xfd"},
	{"Outlook (.msg); save it as .eml", 0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"},
	{"Outlook (TNEF)", 0, "\x78\x9f\x3e\x22"},
}

// unreadFormat is the name of the format that data has, "" for all others.
func unreadFormat(head []byte) string {
	for _, f := range unreadFormats {
		if len(head) > f.at && bytes.HasPrefix(head[f.at:], []byte(f.magic)) {
			return f.name
		}
	}
	return ""
}

// startsUuencode tells whether a line begins a file in uuencode, which next goes on with: its first character says how many
// octets a line has.
func startsUuencode(line, next []byte) bool {
	fields := strings.Fields(string(line[:min(len(line), 200)]))
	if len(fields) < 3 || fields[0] != "begin" || strings.Trim(fields[1], "01234567") != "" || len(fields[1]) < 3 || len(next) == 0 {
		return false
	}
	octets := int(next[0]-' ') & 63
	digits := (octets + 2) / 3 * 4
	return octets > 0 && len(next) >= digits && len(next) <= 1+digits+2
}
