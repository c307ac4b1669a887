package casefile

import (
	"slices"
	"strings"
	"testing"
)

func TestACaseHasItsLinesInOrder(t *testing.T) {
	cases, err := parse("x.txt", "# c\n\ncase one is first\nin a  b \nin \"c\\r\\n\\xff\"\nin \"a\"; b\nwant\ncase two\nwant-not x\n", []string{"in", "want", "want-not"})
	if err != nil || len(cases) != 2 {
		t.Fatal(cases, err)
	}
	one := cases[0]
	if one.Name != "one is first" || one.Where != "x.txt:3" || !one.Has("want") || one.Has("want-not") || one.First("want", "x") != "" || cases[1].First("in", "x") != "x" {
		t.Errorf("%+v", one)
	}
	if got := one.All("in"); !slices.Equal(got, []string{"a  b ", "c\r\n\xff", `"a"; b`}) {
		t.Errorf("%q", got)
	}
	if got := one.Text("in", ""); got != "a  b \r\nc\r\n\xff\"a\"; b\r\n" {
		t.Errorf("%q", got)
	}
	if cases[1].Text("in", "none") != "none" {
		t.Error("the fallback does not stand in")
	}
}

func TestAFileThatWouldCheckLessThanItSaysIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no line of a case": "case one\nwamt x\n",
		"is no line":        "want x\n",
		"another case's":    "case one\nwant x\ncase one\nwant x\n",
		"is empty":          "case\nwant x\n",
		"wants nothing":     "case one\nin x\n",
		"no cases":          "# nothing\n",
	} {
		if _, err := parse("x.txt", text, []string{"in", "want"}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v, want %q", text, err, name)
		}
	}
}
