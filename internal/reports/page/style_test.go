package page

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Text has a contrast of 4.5 at least in both schemes, and the parts of a chart of 3 (WCAG 2.2, 1.4.3 and 1.4.11).
func TestContrast(t *testing.T) {
	css := string(stylesheet())
	roots := regexp.MustCompile(`:root \{([^}]*)\}`).FindAllStringSubmatch(css, -1)
	if len(roots) != 2 {
		t.Fatalf("%d sets of colours, want a light and a dark one", len(roots))
	}
	for i, scheme := range []string{"light", "dark"} {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z]+): #([0-9a-f]{6})`).FindAllStringSubmatch(roots[i][1], -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"text", "page", 4.5}, {"text", "panel", 4.5}, {"soft", "page", 4.5}, {"link", "page", 4.5}, {"link", "panel", 4.5}, {"good", "page", 4.5}, {"bad", "page", 4.5}, {"warn", "page", 4.5},
			{"pass", "panel", 3}, {"fail", "panel", 3}, {"soft", "panel", 3},
		} {
			front, back := colours[pair.front], colours[pair.back]
			if front == 0 && back == 0 {
				t.Fatalf("%s: no colours %s and %s", scheme, pair.front, pair.back)
			}
			if ratio := (math.Max(front, back) + 0.05) / (math.Min(front, back) + 0.05); ratio < pair.least {
				t.Errorf("%s: %s on %s has a contrast of %.1f, want %.1f", scheme, pair.front, pair.back, ratio, pair.least)
			}
		}
	}
}

// luminance is the relative luminance of a colour (WCAG 2.2).
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func TestTheStyleSheetLoadsNothing(t *testing.T) {
	if css := string(stylesheet()); strings.Contains(css, "url(") || strings.Contains(css, "@import") {
		t.Error("it names something else to load")
	}
}
