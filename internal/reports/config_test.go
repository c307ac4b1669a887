package reports_test

import (
	"strings"
	"testing"

	"signpost/internal/config"
	"signpost/internal/reports"
)

func TestTheSectionIsHeldToItsRules(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"database: sqlite:/var/lib/x.db", ""},
		{`database: ""`, ""},
		{"database: postgres://u@h/d", ""},
		{"database: reports.db", "database: this is no database: write sqlite:/PATH"},
		{"database: sqlite:x.db", "database: the path of a database is absolute"},
		{"keep: 1d", "keep: 1d is out of range: write a time from 2d to 3650d"},
		{"keep: 90", `keep: "90" has no unit: write 90d`},
		{"max_size: 1MiB", "max_size: 1MiB is too little: write 16MiB or more"},
		{"kept: 1d", "kept"},
	} {
		s := reports.Defaults()
		src := config.Decode("test.yaml", []byte(c.yaml+"\n"), &s)
		s.Validate(src.Bad)
		err := src.Err()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.yaml, err, c.want)
		}
	}
}
