package manual_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"signpost"
	"signpost/internal/daemon"
	"signpost/internal/manual"
)

func configuration(t *testing.T) manual.Key {
	t.Helper()
	root, err := manual.Keys(signpost.ExampleConfig, reflect.TypeFor[daemon.Config](), daemon.Choices)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// Every key of the configuration has words in the example, and stands with its default in the schema and in
// signpost.yaml(5).
func TestEveryKeyIsDocumented(t *testing.T) {
	root := configuration(t)
	schema := schemaOf(t, root)
	page := pages(t, root)["signpost.yaml.5"]
	n := 0
	root.Walk(func(k manual.Key) {
		if k.Name == "" {
			return
		}
		n++
		if len(k.Text) == 0 && strings.Contains(k.Path, ".") && k.Kind != manual.Section {
			t.Errorf("config.example.yaml says nothing of %s", k.Path)
		}
		if !strings.Contains(k.Path, "[]") && k.Kind != manual.Section && k.Default == nil {
			t.Errorf("config.example.yaml has no default of %s", k.Path)
		}
		at := find(schema, k.Path)
		if at == nil {
			t.Fatalf("the schema has no %s", k.Path)
		}
		if len(k.Text) > 0 && at["description"] != strings.Join(k.Text, "\n") {
			t.Errorf("the schema describes %s as %q", k.Path, at["description"])
		}
		if k.Kind == manual.Word && k.Choices == nil && k.Pattern == "" && strings.Contains(strings.Join(k.Text, " "), " | ") {
			t.Errorf("the text of %s has words to choose from, and its validation does not: use config.OneOf", k.Path)
		}
		if k.Path != k.Name && !strings.Contains(page, `\fB`+k.Path+`\fR`) {
			t.Errorf("signpost.yaml(5) says nothing of %s", k.Path)
		}
	})
	if n < 100 {
		t.Errorf("only %d keys", n)
	}
}

func schemaOf(t *testing.T, root manual.Key) map[string]any {
	t.Helper()
	text, err := manual.Schema(root)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// find returns the schema of a path, such as signer.domains[].domain.
func find(schema map[string]any, path string) map[string]any {
	for name := range strings.SplitSeq(path, ".") {
		name, isList := strings.CutSuffix(name, "[]")
		properties, _ := schema["properties"].(map[string]any)
		if schema, _ = properties[name].(map[string]any); isList {
			schema, _ = schema["items"].(map[string]any)
		}
	}
	return schema
}

// The words that a key takes are those of the validation, not a list of their own.
func TestChoicesAreThoseOfTheValidation(t *testing.T) {
	want := map[string][]string{
		"milter.listen[].role": {"auto", "sign", "verify", "seal"}, "verifier.mode": {"monitor", "enforce"},
		"verifier.overrides[].on_fail": {"reject", "quarantine", "tag", "none"}, "log.level": {"debug", "info", "warn", "error"},
		"signer.canonicalization": {"relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"},
		"signer.senders.mode":     {"off", "unsigned", "reject"}, "keys.dir": nil, "no.such": nil, "milter": nil,
	}
	for path, words := range want {
		if got := daemon.Choices(path); !slices.Equal(got, words) {
			t.Errorf("%s takes %q, want %q", path, got, words)
		}
	}
}

var commands = []manual.Command{
	{Name: "verify", Summary: "judge a file", Text: "Judge.\n\n    signpost verify FILE --ip ADDRESS [OPTIONS]\n\nExample:\n\n    signpost verify x.eml\n", Options: []manual.Option{
		{Name: "ip", Argument: "ADDRESS", Text: "the client's ADDRESS; else none"},
		{Name: "json", Text: "print one JSON object"},
		{Name: "rcpt", Argument: "ADDRESS", Text: "a recipient; may be given more than once"},
		{Name: "root", Argument: "FOLDER", Text: "another root"},
	}},
	{Name: "keys", Summary: "keys", Text: "Keys.\n\n    signpost keys record DOMAIN SELECTOR  show it\n"},
	{Name: "keys record", Summary: "show a record", Text: "Show.\n\n    signpost keys record [OPTIONS] DOMAIN SELECTOR\n", Options: []manual.Option{
		{Name: "format", Argument: "form", Text: "form of the record: all, zone or value (default all)"},
	}},
	{Name: "init", Summary: "begin", Text: "Begin.\n\n    signpost init DOMAIN [DOMAIN …]\n"},
	{Name: "completion", Text: "    signpost completion SHELL\n"},
}

func TestComplete(t *testing.T) {
	names := manual.Names{
		Domains:   func() []string { return []string{"example.com", "example.org"} },
		Selectors: func(domain string) []string { return []string{"s1." + domain} },
	}
	for _, c := range []struct {
		words string
		want  string
		place manual.Place
	}{
		{"", "verify keys init completion", manual.Words},
		{"v", "verify", manual.Words},
		{"nothing ", "", manual.Words},
		{"keys ", "record", manual.Words},
		{"keys nothing ", "", manual.Words},
		{"keys record ", "example.com example.org", manual.Words},
		{"keys record example.o", "example.org", manual.Words},
		{"keys record example.com ", "s1.example.com", manual.Words},
		{"keys record example.com s ", "", manual.Words},
		{"keys record --format ", "all zone value", manual.Words},
		{"keys record --format zone example.com ", "s1.example.com", manual.Words},
		{"keys record --f", "--format", manual.Words},
		{"keys record --format zone --", "--help", manual.Words},
		{"init example.com ", "example.com example.org", manual.Words},
		{"verify ", "", manual.Files},
		{"verify --json ", "", manual.Files},
		{"verify --ip ", "", manual.Words},
		{"verify --root ", "", manual.Folders},
		{"verify --rcpt a --r", "--rcpt --root", manual.Words},
		{"completion ", "bash zsh fish", manual.Words},
		{"help k", "keys", manual.Words},
		{"help keys ", "record", manual.Words},
	} {
		list, place := manual.Complete(commands, names, strings.Split(c.words, " "))
		var words []string
		for _, candidate := range list {
			words = append(words, candidate.Word)
		}
		if got := strings.Join(words, " "); got != c.want || place != c.place {
			t.Errorf("%q: %q (%d), want %q (%d)", c.words, got, place, c.want, c.place)
		}
	}
	if list, _ := manual.Complete(commands, names, nil); len(list) != 4 {
		t.Errorf("no words: %v", list)
	}
}

func pages(t *testing.T, root manual.Key) map[string]string {
	t.Helper()
	list := map[string]string{}
	for _, p := range manual.Pages(commands, root, "2026-11-30") {
		list[p.File] = p.Text
	}
	return list
}

func TestPageOfACommand(t *testing.T) {
	page := pages(t, configuration(t))["signpost-verify.8"]
	for _, want := range []string{
		"signpost\\-verify \\-\njudge a file\n", ".SH SYNOPSIS\n.nf\nsignpost verify FILE \\-\\-ip ADDRESS [OPTIONS]\n.fi\n.SH DESCRIPTION\nJudge.\n",
		".TP\n\\fB\\-\\-ip\\fR \\fIADDRESS\\fR\nthe client\\(aqs ADDRESS; else none\n", ".SH EXAMPLES\n.RS 4\n.nf\nsignpost verify x.eml\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

// No text becomes a request of roff.
func FuzzTextIsNoRequest(f *testing.F) {
	for _, s := range []string{".so /etc/passwd", "'br", "a\n\n    .de x\n\nExample:\n\n    'x\n", `\X'x'`, "a .b 'c", "é…", strings.Repeat("word ", 40) + ".x"} {
		f.Add(s)
	}
	known := []string{".TH ", ".SH ", ".TP", ".PP", ".RS 4", ".RE", ".nf", ".fi", ".nh", ".ad l", ".BR signpost"}
	f.Fuzz(func(t *testing.T, text string) {
		c := []manual.Command{{Name: "x", Summary: text, Text: text, Options: []manual.Option{{Name: "o", Argument: "A", Text: text}}}}
		page := manual.Pages(c, manual.Key{}, "2026-11-30")[2].Text
		for line := range strings.Lines(page) {
			isRequest := strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'")
			if isRequest && !slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(line, k) }) {
				t.Fatalf("%q is a request, from %q", line, text)
			}
		}
	})
}
