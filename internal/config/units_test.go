package config

import (
	"math"
	"strings"
	"testing"
)

func TestSizesCarryTheirUnit(t *testing.T) {
	for _, c := range []struct {
		text string
		want Size
	}{
		{"0", 0}, {"1B", 1}, {"64KiB", 64 << 10}, {"150MB", 150e6}, {"150 MB", 150e6}, {"1gib", 1 << 30}, {"2GB", 2e9},
		{"9223372036854775807B", math.MaxInt64}, {"8589934591GiB", 8589934591 << 30},
	} {
		var s Size
		if err := s.UnmarshalText([]byte(c.text)); err != nil || s != c.want {
			t.Errorf("%q is %d (%v), want %d", c.text, s, err, c.want)
		}
	}
}

func TestSizesSayWhatToWrite(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"100", `"100" has no unit: write 100B, 100KB or 100MB`},
		{"", `"" is not a size: write a whole number and its unit: 64KiB, 150MB, 1GiB`},
		{"MB", `"MB" is not a size: write a whole number and its unit: 64KiB, 150MB, 1GiB`},
		{"1.5GB", `"1.5GB" is not a size: write a whole number and its unit: 64KiB, 150MB, 1GiB`},
		{"-1MB", `"-1MB" is not a size: write a whole number and its unit: 64KiB, 150MB, 1GiB`},
		{"+1MB", `"+1MB" is not a size: write a whole number and its unit: 64KiB, 150MB, 1GiB`},
		{"10M", `"10M": the unit "M" is none of B, KB, KiB, MB, MiB, GB, GiB`},
		{"8589934592GiB", `"8589934592GiB" is too large a size`},
		{"9223372036854775808B", `"9223372036854775808B" is not a size: write a whole number and its unit: 64KiB, 150MB, 1GiB`},
	} {
		s := Size(7)
		if err := s.UnmarshalText([]byte(c.text)); err == nil || err.Error() != c.want || s != 7 {
			t.Errorf("%q is %d: got %v, want %s", c.text, s, err, c.want)
		}
	}
}

func TestASizeIsWrittenInTheLargestUnitThatFits(t *testing.T) {
	for _, c := range []struct {
		size Size
		want string
	}{
		{0, "0"}, {1, "1B"}, {1000, "1KB"}, {1024, "1KiB"}, {1025, "1025B"}, {150e6, "150MB"}, {1 << 30, "1GiB"}, {-2000, "-2KB"},
	} {
		if got := c.size.String(); got != c.want {
			t.Errorf("%d is written %s, want %s", int64(c.size), got, c.want)
		}
	}
}

func TestFileModes(t *testing.T) {
	for _, text := range []string{"0660", "660", "000", "0777"} {
		var m FileMode
		if err := m.UnmarshalText([]byte(text)); err != nil || !strings.HasSuffix(m.String(), text) {
			t.Errorf("%q is %s (%v)", text, m, err)
		}
	}
	for _, text := range []string{"", "6", "0o660", "rw-rw----", "0888", "01777", "2660", "-660", "+660"} {
		m := FileMode(0o600)
		if err := m.UnmarshalText([]byte(text)); err == nil || m.Perm() != 0o600 {
			t.Errorf("%q is %s", text, m)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, text := range []string{"0", "150MB", "1GiB", "9223372036854775807B", "-1", "1 KB"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, again Size
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s || s < 0 {
			t.Errorf("%q is %d, written %s, read %d (%v)", text, int64(s), s, int64(again), err)
		}
	})
}

func TestDaysCarryTheirUnit(t *testing.T) {
	for text, want := range map[string]struct {
		days    Days
		problem string
	}{
		"90d": {90, ""}, "0d": {0, ""},
		"90": {7, "has no unit: write 90d"}, "24h": {7, "as 90d"}, "-1d": {7, "as 90d"}, "1.5d": {7, "as 90d"}, "d": {7, "as 90d"}, "99999d": {7, "as 90d"},
	} {
		d := Days(7)
		err := d.UnmarshalText([]byte(text))
		if d != want.days || (err == nil) != (want.problem == "") || err != nil && !strings.Contains(err.Error(), want.problem) {
			t.Errorf("%q: %s, %v", text, d, err)
		}
	}
}
