package spf

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestTruncationAtTheEdge checks the truncation of §7.3 at its limits: the name has
// 253 octets or one more.
func TestTruncationAtTheEdge(t *testing.T) {
	label := strings.Repeat("a", 62) + "."
	name253 := strings.Repeat(label, 3) + strings.Repeat("b", 60) + ".xyz"
	if len(name253) != maxName {
		t.Fatal(len(name253))
	}
	tests := []struct{ title, macros, want string }{
		{"253 octets stand", name253, name253},
		{"a final dot does not count", name253 + ".", name253},
		{"254 octets lose a label", "x" + name253, name253[63:]},
		{"a label and its dot are lost together", "x." + name253, name253},
		{"so are many", strings.Repeat("x.", 500) + name253, name253},
		{"a macro at the left end is cut", "%{l}." + name253, name253},
		{"a macro at the right end counts", name253 + "%{l}", name253[63:] + "local"},
		{"253 octets made by a macro stand before a final dot", "%{l}" + name253[5:] + ".", "local" + name253[5:]},
		{"254 octets made by a macro do not", "x%{l}" + name253[5:] + ".", name253[63:]},
		{"a label without a dot that does not fit leaves nothing", strings.Repeat("a", 300) + "%{o}", ""},
		{"a label over 63 octets makes no name", strings.Repeat("a", 64) + ".example", ""},
		{"an empty label makes no name", "a..example", ""},
		{"a dot in front makes no name", ".example", ""},
	}
	for _, test := range tests {
		t.Run(test.title, func(t *testing.T) {
			m, err := parseMacroString(test.macros, inDomainSpec)
			if err != nil {
				t.Fatal(err)
			}
			e := evaluation{local: "local", domain: "nodots"}
			got, ex := e.targetName(m, "example.com")
			if ex != nil || got != test.want {
				t.Errorf("%d octets %q, %v; want %d octets %q", len(got), got, ex, len(test.want), test.want)
			}
		})
	}
}

// TestTailAgreesWithTheWhole compares targetName, which builds a name from its right
// end, with §7.3 taken literally: expand all, then drop labels.
func TestTailAgreesWithTheWhole(t *testing.T) {
	for _, spec := range macroSeeds {
		m, err := parseMacroString(spec, inDomainSpec)
		if err != nil {
			continue
		}
		compareTail(t, m, testEvaluation("strong-bad"))
	}
}

func compareTail(t *testing.T, m macroString, e *evaluation) {
	t.Helper()
	var whole []byte
	for i := range m.segments {
		whole, _ = e.expand(whole, &m.segments[i], "example.com")
	}
	if m.segments == nil {
		whole = []byte(m.text)
	}
	want := strings.TrimSuffix(string(whole), ".")
	for len(want) > maxName {
		_, rest, ok := strings.Cut(want, ".")
		if !ok {
			rest = ""
		}
		want = rest
	}
	if !usableName(want) {
		want = ""
	}
	if m.text == "" {
		want = "example.com"
	}
	if got, ex := e.targetName(m, "example.com"); got != want || ex != nil {
		t.Errorf("%q: got %q, want %q", m.text, got, want)
	}
}

var macroSeeds = []string{
	"%{s}.%{l1r-}.%{o2}.%{d}.%{ir}.%{v}.%{h}.arpa",
	"%{d}", "%{D2}.example", "a.%{l-+}", "%%%_%-", "%{lr.-+,/_=}",
	strings.Repeat("%{s}.", 40) + "example", "exp.%{c}.%{r}.%{t}", "%{l99999999999}", "%(d)", "%",
}

// testEvaluation expands macros without a resolver: %{p} is unknown.
func testEvaluation(local string) *evaluation {
	return &evaluation{
		query:  Query{Receiver: "mx.example.net", Now: time.Unix(1_700_000_000, 0)},
		addr:   netip.MustParseAddr("2001:db8::cb01"),
		sender: local + "@email.example.com", local: local, domain: "email.example.com",
		helo:   "client.example.net",
		client: clientNames{fetched: true},
	}
}
