// Package display writes numbers as people read them, for the output of commands, logs and the pages of reports.
package display

import (
	"fmt"
	"strconv"
	"strings"
)

// Thousands writes a number as 12,345.
func Thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Percent writes part of all as "98.2 %", and "-" where all is 0. It rounds down: only all is 100.0 %.
func Percent(part, all int64) string {
	if all <= 0 {
		return "-"
	}
	for all > 1<<50 { // a thousand times as much has to fit
		part, all = part/2, all/2
	}
	tenths := part * 1000 / all
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}

// Count writes a number with its noun, which is given in the singular: "1 entry", "2 entries".
func Count[N int | int64](n N, noun string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "ry"):
		noun = strings.TrimSuffix(noun, "y") + "ies"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
