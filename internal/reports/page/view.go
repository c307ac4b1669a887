package page

import (
	"signpost/internal/display"
)

// view is the content of one page.
type view struct {
	Title  string
	Lead   string // one sentence below the title
	Blocks []block

	// These are set by the one who renders it.
	Links   links
	Query   Query
	Choices []int  // of days; empty where nothing can be chosen
	Self    string // the page's own address, without its query
	CSV     string // the address of its first table as CSV, "" if there is none
	Policy  string // for a meta element, where no server sends the header
}

// block is one part of a page. One of Table, Chart, Text and Document is set.
type block struct {
	Heading  string
	Note     string // a sentence below the heading
	Facts    []fact
	Table    *table
	Chart    *chart
	Document string // as it was received
}

type fact struct{ Name, Value, Link string }

// table is a table whose first column names its rows.
type table struct {
	Caption string
	Columns []column
	Rows    []row
	Empty   string // said in place of a table without rows
	Left    int    // rows that are not shown
	Beside  bool   // it is not the table of the page that is in CSV
	Hidden  int    // rows without a problem that are not shown
}

type column struct {
	Name   string
	Number bool
}

type row struct {
	Cells   []cell
	Problem bool
}

type cell struct {
	Text, Link string
	Mark       string // good, bad, warn: the class of a mark before the text; the text says it too
	Number     bool
}

func text(s string) cell         { return cell{Text: s} }
func link(s, to string) cell     { return cell{Text: s, Link: to} }
func number(n int64) cell        { return cell{Text: display.Thousands(n), Number: true} }
func share(part, of int64) cell  { return cell{Text: percent(part, of), Number: true} }
func marked(s, mark string) cell { return cell{Text: s, Mark: mark} }

// add adds a row that the page shows, with the cells that the function returns. With problems, a row without one is
// only counted, and so is one beyond the first most rows: a report may have half a million. 0 is no limit.
func (t *table) add(problems bool, most int, problem bool, cells func() []cell) {
	switch {
	case problems && !problem:
		t.Hidden++
	case most > 0 && len(t.Rows) >= most:
		t.Left++
	default:
		t.Rows = append(t.Rows, row{Problem: problem, Cells: cells()})
	}
}

// only adds the rows of a table again, with these limits.
func (t *table) only(problems bool, most int) *table {
	all := t.Rows
	t.Rows = nil
	for _, r := range all {
		t.add(problems, most, r.Problem, func() []cell { return r.Cells })
	}
	return t
}

// beside bounds a table that is not in CSV: strangers may make it long.
func (t *table) beside() *table {
	t.Beside = true
	return t.only(false, maxRows)
}

// first returns the first table of the view, for CSV.
func (v *view) first() *table {
	for _, b := range v.Blocks {
		if b.Table != nil {
			return b.Table
		}
	}
	return nil
}

func percent(part, of int64) string {
	if of <= 0 {
		return orNone("")
	}
	return display.Percent(part, of)
}

// orNone shows that a text is empty.
func orNone(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
