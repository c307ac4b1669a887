package display

import "testing"

func TestPercentOfManyMessages(t *testing.T) {
	for _, c := range []struct {
		part, all int64
		want      string
	}{{982, 1000, "98.2 %"}, {0, 0, "-"}, {400_000_000_000_000_000, 400_000_000_000_000_000, "100.0 %"}, {1 << 61, 1 << 62, "50.0 %"}} {
		if got := Percent(c.part, c.all); got != c.want {
			t.Errorf("%d of %d: %s, want %s", c.part, c.all, got, c.want)
		}
	}
}
