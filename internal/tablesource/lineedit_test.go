package tablesource

import (
	"strings"
	"testing"

	"signpost/signer"
)

func TestASelectorIsReplacedInALineOfATable(t *testing.T) {
	for line, want := range map[string]string{
		"a.test s1":                       "a.test s9",
		"a.test\ts1,e1   subdomains # s1": "a.test\ts9,e1   subdomains # s1",
		"  a.test e1,s1 keys_of=s1.test":  "  a.test e1,s9 keys_of=s1.test",
		"s1.test e1 s1":                   "s1.test e1 s9",
		"a.test ,s1,, \r":                 "a.test ,s9,, \r",
		"a.test S1":                       "a.test s9",
		"a.test s11,s1.s1,s1":             "a.test s11,s1.s1,s9",
		"a.test keys_of=b.test s1":        "a.test keys_of=b.test s9",
		"a.test e1":                       "",
		"a.test sdid=b.test":              "",
		"# a.test s1":                     "",
		"a.test s9,s1":                    "", // twice the same
		"":                                "",
	} {
		got, err := ReplaceSelector(line, "s1", "s9")
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q becomes %q, %v; want %q", line, got, err, want)
		}
	}
}

func FuzzReplaceSelector(f *testing.F) {
	f.Add("a.test s1,e1 subdomains # s1", "s1", "s2")
	f.Add("\ta.test,s1 s1\r", "s1", "x")
	f.Fuzz(func(t *testing.T, line, from, to string) {
		got, err := ReplaceSelector(line, from, to)
		if err != nil {
			return
		}
		d, err := signer.ParseEntry(strings.FieldsFunc(uncommented(got), blank))
		if err != nil {
			t.Fatalf("%q becomes %q: %v", line, got, err)
		}
		if old := strings.TrimPrefix(line, uncommented(line)); !strings.HasSuffix(got, old) || len(d.Selectors) == 0 {
			t.Fatalf("%q becomes %q", line, got)
		}
	})
}
