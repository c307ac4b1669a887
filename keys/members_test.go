package keys

import (
	"fmt"
	"testing"
)

func TestMembersOfAGroup(t *testing.T) {
	const file = "root:x:0:\nsignpost2:x:998:alice\nsignpost:x:999:postfix,signpost\n# comment\nempty:x:1:\n"
	for group, want := range map[string]string{"signpost": "[postfix signpost]", "empty": "[]", "root": "[]", "absent": "[]"} {
		if got := fmt.Sprint(membersOf(file, group)); got != want {
			t.Errorf("%s: %s, want %s", group, got, want)
		}
	}
}
