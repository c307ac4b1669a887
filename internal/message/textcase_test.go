package message_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"signpost/internal/conformance/casefile"
	"signpost/internal/message"
)

// A case of author.txt has a From value, or whole "field" lines, and the expected
// result: want-domains (all, in order), want-problem (a part of it; without this line
// there must be none), want-address as LOCAL at DOMAIN, want-lax, want-empty and
// want-fields. "fault" says why the case does not hold yet; remove it when it does.
func TestTextCasesOfAuthors(t *testing.T) {
	keys := []string{"from", "field", "want-domains", "want-problem", "want-address", "want-lax", "want-empty", "want-fields", "fault"}
	casefile.Run(t, "testdata/cases/author.txt", keys, func(t *testing.T, c casefile.Case) {
		wrong := authorMistakes(c, headerOf(c).Author())
		switch {
		case c.Has("fault") && len(wrong) == 0:
			t.Errorf("%s: strike the line \"fault\", we do what the case wants", c.Where)
		case c.Has("fault"):
			t.Skipf("%s: a known fault: %s\n%s", c.Where, c.First("fault", ""), strings.Join(wrong, "\n"))
		case len(wrong) > 0:
			t.Errorf("%s:\n%s", c.Where, strings.Join(wrong, "\n"))
		}
	})
}

func headerOf(c casefile.Case) message.Header {
	var h message.Header
	for _, l := range c.Lines {
		switch l.Key {
		case "from":
			h = append(h, message.Field{Name: "From", Value: " " + l.Value})
		case "field":
			name, value, _ := strings.Cut(l.Value, ":")
			h = append(h, message.Field{Name: name, Value: value})
		}
	}
	return h
}

// authorMistakes lists the differences between an author and a case.
func authorMistakes(c casefile.Case, a message.Author) []string {
	var wrong []string
	if want := strings.Fields(c.First("want-domains", "")); !slices.Equal(a.Domains, want) {
		wrong = append(wrong, fmt.Sprintf("domains %q, want %q", a.Domains, want))
	}
	problem := c.First("want-problem", "")
	if (a.Problem == "") != (problem == "") || !strings.Contains(a.Problem, problem) {
		wrong = append(wrong, fmt.Sprintf("problem %q, want %q", a.Problem, problem))
	}
	var addresses []string
	for _, one := range a.Addresses {
		addresses = append(addresses, strings.TrimSpace(one.Local+" at "+one.Domain))
	}
	if c.Has("want-address") && !slices.Equal(addresses, c.All("want-address")) {
		wrong = append(wrong, fmt.Sprintf("addresses %q, want %q", addresses, c.All("want-address")))
	}
	for key, got := range map[string]string{"want-lax": fmt.Sprint(a.Lax), "want-empty": fmt.Sprint(a.Empty), "want-fields": fmt.Sprint(a.Fields)} {
		if want := c.First(key, got); got != want {
			wrong = append(wrong, fmt.Sprintf("%s is %s, want %s", key, got, want))
		}
	}
	return wrong
}
