package config

import (
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. In a file it has a unit: B, KB, MB, GB (thousands) or KiB,
// MiB, GiB (1024s); only 0 needs none.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}, {"B", 1},
}

// UnmarshalText leaves the size unchanged if text is not one.
func (s *Size) UnmarshalText(text []byte) error {
	word := string(text)
	digits := strings.TrimRight(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := word[len(digits):]
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 63)
	switch {
	case err != nil:
		return fmt.Errorf("%s is not a size: write a whole number and its unit: 64KiB, 150MB, 1GiB", quote(word))
	case unit == "" && n == 0:
		*s = 0
		return nil
	case unit == "":
		return fmt.Errorf("%s has no unit: write %dB, %dKB or %dMB", quote(word), n, n, n)
	}
	for _, u := range sizeUnits {
		if !strings.EqualFold(u.name, unit) {
			continue
		}
		if int64(n) > math.MaxInt64/u.bytes {
			return fmt.Errorf("%s is too large a size", quote(word))
		}
		*s = Size(int64(n) * u.bytes)
		return nil
	}
	return fmt.Errorf("%s: the unit %s is none of B, KB, KiB, MB, MiB, GB, GiB", quote(word), quote(unit))
}

// String writes the size as UnmarshalText reads it, in the largest unit that gives a
// whole number.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return "0"
}

// MarshalText is String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// FileMode is a file's permission bits, in a file three or four octal digits.
type FileMode uint16

// UnmarshalText leaves the mode unchanged if text is not one.
func (m *FileMode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 16)
	if err != nil || len(text) < 3 || len(text) > 4 || n > uint64(fs.ModePerm) {
		return fmt.Errorf(`%s is not a file mode: write it in octal, "0660"`, quote(string(text)))
	}
	*m = FileMode(n)
	return nil
}

// Perm returns the mode for os.Chmod.
func (m FileMode) Perm() fs.FileMode { return fs.FileMode(m) & fs.ModePerm }

// String writes the mode as UnmarshalText reads it.
func (m FileMode) String() string { return fmt.Sprintf("%04o", uint16(m)) }

// MarshalText is String.
func (m FileMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Days is a number of whole days, in a file with the unit d.
type Days int

// UnmarshalText leaves the days unchanged if text is not a number of them.
func (d *Days) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(strings.TrimSuffix(string(text), "d"), 10, 16)
	switch {
	case err != nil:
		return fmt.Errorf("%s is not a number of days: write a whole number and its unit, as 90d", quote(string(text)))
	case !strings.HasSuffix(string(text), "d"):
		return fmt.Errorf("%s has no unit: write %dd", quote(string(text)), n)
	}
	*d = Days(n)
	return nil
}

// String writes the days as UnmarshalText reads them.
func (d Days) String() string { return strconv.Itoa(int(d)) + "d" }

// MarshalText is String.
func (d Days) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
