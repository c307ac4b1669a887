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
		{"in: {addresses: [dmarc@example.com], domains: [parked.example], after: discard, max_raw: 1GiB}\ndatabase: sqlite:/x.db", ""},
		{"in: {addresses: [dmarc@example.com]}", "in.addresses: reports that come by mail need a database"},
		{"in: {addresses: [dmarc]}\ndatabase: sqlite:/x.db", `in.addresses[0]: "dmarc" is not an address: write one such as`},
		{"in: {domains: [example]}", `in.domains[0]: "example" is not a domain: write one such as`},
		{"in: {after: delete}", `in.after: "delete" is not one of deliver, discard`},
		{"in: {max_raw: 1KiB}", "in.max_raw: 1KiB is too little: write 1MiB or more"},
		{"notify: {to: postmaster@example.com, over: 0.5%}", ""},
		{"notify: {over: 5}", `"5" is not a share: write a number and %, as 5%`},
		{"notify: {over: 0%}", "notify.over: 0% is out of range"},
		{"notify: {to: postmaster}", `notify.to: "postmaster" is not an address`},
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
