package page

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
)

// writeCSV writes a table. What it leaves out is told in a last row. A cell that a spreadsheet would take for a formula begins with an apostrophe.
func writeCSV(w io.Writer, t *table) error {
	c := csv.NewWriter(w)
	names := make([]string, 0, len(t.Columns))
	for _, column := range t.Columns {
		names = append(names, column.Name)
	}
	if err := c.Write(names); err != nil {
		return err
	}
	for _, r := range t.Rows {
		cells := make([]string, 0, len(r.Cells))
		for _, one := range r.Cells {
			cells = append(cells, plain(one))
		}
		if err := c.Write(cells); err != nil {
			return err
		}
	}
	if t.Left > 0 {
		last := make([]string, max(len(names), 1))
		last[0] = fmt.Sprintf("%d more rows are left out", t.Left)
		if err := c.Write(last); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// plain is the text of a cell for other programs.
func plain(c cell) string {
	s := c.Text
	if c.Number {
		return strings.ReplaceAll(strings.TrimSuffix(s, " %"), ",", "")
	}
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
