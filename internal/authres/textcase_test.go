package authres_test

import (
	"strconv"
	"strings"
	"testing"

	"signpost/internal/authres"
	"signpost/internal/conformance/casefile"
)

// describe writes one line for each result that was read, each value with its position.
func describe(r authres.Result) string {
	var b strings.Builder
	b.WriteString(r.Method)
	if r.Version != 0 {
		b.WriteString("/" + strconv.Itoa(r.Version))
	}
	b.WriteString("=" + r.Value)
	if r.Reason != "" {
		b.WriteString(" reason=" + strconv.Quote(r.Reason))
	}
	for _, p := range r.Properties {
		b.WriteString(" " + p.Type + "." + p.Name + "=" + p.Value)
	}
	return b.String()
}

// A case of parse.txt has the field's value and the expected content: want-id,
// want-version if written, a want line for each result ("want none" for a field that
// says none), or "want-error" with a part of the text. In claims.txt each "our" line is
// one of our authserv-ids, and want is "removed" or "kept".
func TestTextCasesOfReading(t *testing.T) {
	keys := []string{"field", "want-id", "want-version", "want", "want-error"}
	casefile.Run(t, "testdata/cases/parse.txt", keys, func(t *testing.T, c casefile.Case) {
		f, err := authres.Parse(c.First("field", ""))
		if c.Has("want-error") {
			if err == nil || !strings.Contains(err.Error(), c.First("want-error", "")) {
				t.Errorf("%s: read as %+v, %v", c.Where, f, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", c.Where, err)
		}
		got := []string{}
		for _, r := range f.Results {
			got = append(got, describe(r))
		}
		if len(got) == 0 {
			got = append(got, "none")
		}
		if want := c.All("want"); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: read\n%s\nwant\n%s", c.Where, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if f.AuthservID != c.First("want-id", "mx.example.org") || strconv.Itoa(f.Version) != c.First("want-version", "0") {
			t.Errorf("%s: id %q, version %d", c.Where, f.AuthservID, f.Version)
		}
	})
}

func TestTextCasesOfClaiming(t *testing.T) {
	casefile.Run(t, "testdata/cases/claims.txt", []string{"our", "field", "want"}, func(t *testing.T, c casefile.Case) {
		ids := c.All("our")
		if len(ids) == 0 {
			ids = []string{"mx.example.org"}
		}
		want := map[string]bool{"removed": true, "kept": false}
		for _, field := range c.All("field") {
			if got := authres.Claims(field, ids); got != want[c.First("want", "")] {
				t.Errorf("%s: %q claims to be ours: %v", c.Where, field, got)
			}
		}
	})
}

func TestTextCasesOfNames(t *testing.T) {
	casefile.Run(t, "testdata/cases/names.txt", []string{"name", "want"}, func(t *testing.T, c casefile.Case) {
		want := map[string]bool{"removed": true, "kept": false}
		for _, name := range c.All("name") {
			if got := authres.IsFieldName(name); got != want[c.First("want", "")] {
				t.Errorf("%s: %q could be taken for ours: %v", c.Where, name, got)
			}
		}
	})
}
