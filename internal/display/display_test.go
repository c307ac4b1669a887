package display

import "testing"

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Thousands(0), "0"},
		{Thousands(999), "999"},
		{Thousands(1000), "1,000"},
		{Thousands(-1000), "-1,000"},
		{Thousands(-999), "-999"},
		{Thousands(1234567890), "1,234,567,890"},
		{Percent(1, 0), "-"},
		{Percent(0, 7), "0.0 %"},
		{Percent(9999, 10000), "99.9 %"},
		{Percent(7, 7), "100.0 %"},
		{Count(0, "message"), "0 messages"},
		{Count(1, "message"), "1 message"},
		{Count(int64(2), "entry"), "2 entries"},
		{Count(2, "key"), "2 keys"},
	} {
		if c.got != c.want {
			t.Errorf("%q, not %q", c.got, c.want)
		}
	}
}
