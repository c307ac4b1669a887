package page

import (
	"fmt"

	"signpost/internal/display"
)

// chart is a bar chart of messages by day: those that passed DMARC below, those that did not above.
type chart struct {
	Label string // for those who do not see it
	Bars  []bar
	Most  string // the value of the top
	First string // day
	Last  string
}

// bar has the rectangles of one day in units of the drawing.
type bar struct {
	X, Width          string
	PassY, PassHeight string
	FailY, FailHeight string
	Title             string
}

// The size of the drawing. It is scaled to the page's width.
const (
	chartWidth, chartHeight = 720, 160
	leastBar                = 1.5 // of a value that is not 0
)

// day is what reports of one day say.
type day struct {
	Name          string
	Passed, Other int64
}

// newChart draws the days in their order.
func newChart(days []day) *chart {
	if len(days) == 0 {
		return nil
	}
	var most, passed, all int64
	for _, d := range days {
		most = max(most, d.Passed+d.Other)
		passed += d.Passed
		all += d.Passed + d.Other
	}
	c := &chart{
		Label: fmt.Sprintf("Messages by day from %s to %s: %s of %s passed DMARC", days[0].Name, days[len(days)-1].Name, display.Thousands(passed), display.Thousands(all)),
		Most:  display.Thousands(most), First: days[0].Name, Last: days[len(days)-1].Name,
	}
	step := float64(chartWidth) / float64(len(days))
	for i, d := range days {
		pass, fail := height(d.Passed, most), height(d.Other, most)
		c.Bars = append(c.Bars, bar{
			X: units(float64(i)*step + step*0.1), Width: units(step * 0.8),
			PassY: units(chartHeight - pass), PassHeight: units(pass),
			FailY: units(chartHeight - pass - fail), FailHeight: units(fail),
			Title: fmt.Sprintf("%s: %s passed, %s did not", d.Name, display.Thousands(d.Passed), display.Thousands(d.Other)),
		})
	}
	return c
}

func height(n, most int64) float64 {
	if n <= 0 || most <= 0 {
		return 0
	}
	return max(leastBar, float64(n)/float64(most)*(chartHeight-2*leastBar))
}

func units(f float64) string { return fmt.Sprintf("%.1f", f) }
