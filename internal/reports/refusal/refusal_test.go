package refusal

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestEveryReasonIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/reports.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range Reasons() {
		if row := fmt.Sprintf("| `%s` | %s | %s |", r.ID, r.Text, r.Remedy); !strings.Contains(string(text), row) || r.Remedy == "" || seen[r.ID] {
			t.Errorf("docs/reports.md lacks the row\n%s", row)
		}
		seen[r.ID] = true
	}
}

func TestOfFindsTheRefusal(t *testing.T) {
	wrapped := fmt.Errorf("reading: %w", Doctype.With("x"))
	if e := Of(wrapped); e.Reason != Doctype || e.Error() != "doctype: XML with a document type or entities, which no report needs (x)" {
		t.Errorf("%v", e)
	}
	if e := Of(errors.New("disk full")); e.Reason != NotStored {
		t.Errorf("%v", e)
	}
	if Of(nil) != nil {
		t.Error("nil is a refusal")
	}
}
