package dmarc

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// textCase is one case of a file in testdata: lines of a word and a value; "case" and a
// name begin it. Empty lines and lines that begin with # are ignored.
type textCase struct {
	name  string
	file  string
	lines [][2]string
}

func readCases(t testing.TB, pattern string) []textCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files testdata/%s: %v", pattern, err)
	}
	var cases []textCase
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			word, rest, _ := strings.Cut(line, " ")
			rest = strings.TrimSpace(rest)
			switch {
			case line == "" || line[0] == '#':
			case word == "case":
				cases = append(cases, textCase{name: rest, file: filepath.Base(file)})
			default:
				c := &cases[len(cases)-1]
				c.lines = append(c.lines, [2]string{word, rest})
			}
		}
	}
	return cases
}

// unquote allows any octets in a line, as a Go string in quotes.
func unquote(t testing.TB, s string) string {
	t.Helper()
	if !strings.HasPrefix(s, `"`) {
		return s
	}
	out, err := strconv.Unquote(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return out
}

func TestEvaluations(t *testing.T) {
	for _, c := range readCases(t, "eval-*.txt") {
		t.Run(c.name, func(t *testing.T) { runEvaluation(t, c) })
	}
}

// runEvaluation runs one case: dns lines "name record" ("name" alone: it exists; record
// "!": the look-up fails), from, spf and dkim lines "result domain", and the expected
// outcome.
func runEvaluation(t *testing.T, c textCase) {
	zone := records{}
	var method Method
	var from string
	var spf, dkim []Identifier
	want := [][2]string{}
	for _, line := range c.lines {
		first, rest, _ := strings.Cut(line[1], " ")
		switch line[0] {
		case "dns":
			zone[first] = append(zone[first], nonEmpty(unquote(t, rest))...)
		case "method":
			method = Method(first)
		case "from":
			from = unquote(t, line[1])
		case "spf":
			spf = append(spf, identifier(rest, first))
		case "dkim":
			dkim = append(dkim, identifier(rest, first))
		case "want":
			want = append(want, [2]string{first, rest})
		default:
			t.Fatalf("%s: what is %q?", c.file, line[0])
		}
	}
	r := &counting{Resolver: zone}
	d := Discover(context.Background(), r, from, method)
	ev := Evaluate(context.Background(), r, d, spf, dkim)
	for _, w := range want {
		if got := evaluationField(t, ev, r, w[0]); got != w[1] && !(w[0] == "reason" && strings.Contains(got, w[1])) {
			t.Errorf("%s: %s is %q, want %q (reason: %s)", c.file, w[0], got, w[1], ev.Reason)
		}
	}
	checkPromises(t, r, len(spf)+len(dkim))
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func evaluationField(t testing.TB, ev Evaluation, r *counting, field string) string {
	t.Helper()
	switch field {
	case "result":
		return string(ev.Result)
	case "policy":
		return string(ev.Policy)
	case "iffailed":
		return string(ev.IfFailed)
	case "published":
		return string(ev.Published)
	case "author":
		return ev.AuthorDomain
	case "record":
		return ev.RecordDomain
	case "org":
		return ev.OrgDomain
	case "spf":
		return ev.SPFAligned
	case "dkim":
		return ev.DKIMAligned
	case "reason":
		return ev.Reason
	case "asked":
		return strings.ReplaceAll(strings.Join(r.names, " "), prefix, "")
	case "exists":
		return strings.Join(r.exists, " ")
	}
	t.Fatalf("nothing is called %q", field)
	return ""
}

// checkPromises checks the rules for every evaluation: no name is queried twice, and
// each walk queries at most eight.
func checkPromises(t testing.TB, r *counting, identifiers int) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(r.names))
	if len(slices.Compact(sorted)) != len(r.names) {
		t.Errorf("a name was asked for twice: %q", r.names)
	}
	if most := maxQueries * (1 + min(identifiers, 2*maxWalks)); len(r.names) > most {
		t.Errorf("%d look-ups, at most %d are allowed", len(r.names), most)
	}
	if len(r.exists) > 1 {
		t.Errorf("existence was asked for %d times", len(r.exists))
	}
}

func TestRecords(t *testing.T) {
	for _, c := range readCases(t, "records.txt") {
		t.Run(c.name, func(t *testing.T) {
			var rec *Record
			var err error
			for _, line := range c.lines {
				switch line[0] {
				case "record":
					rec, err = ParseRecord(unquote(t, line[1]))
				case "want":
					field, want, _ := strings.Cut(line[1], " ")
					if got := recordField(t, rec, err, field); got != want && (field != "ignored" || !strings.Contains(got, want)) {
						t.Errorf("%s is %q, want %q", field, got, want)
					}
				default:
					t.Fatalf("what is %q?", line[0])
				}
			}
		})
	}
}

func recordField(t testing.TB, rec *Record, err error, field string) string {
	t.Helper()
	switch field {
	case "error":
		if err == nil {
			return ""
		}
		return err.Error()
	case "unusable":
		if rec != nil {
			return rec.Unusable
		}
	}
	if err != nil {
		return "error: " + err.Error()
	}
	uris := func(list []URI) string {
		var texts []string
		for _, u := range list {
			texts = append(texts, u.Text)
		}
		return strings.Join(texts, " ")
	}
	switch field {
	case "p":
		return string(rec.P)
	case "sp":
		return string(rec.SP)
	case "np":
		return string(rec.NP)
	case "adkim":
		return string(rec.ADKIM)
	case "aspf":
		return string(rec.ASPF)
	case "fo":
		return rec.FO
	case "t":
		return strconv.FormatBool(rec.Testing)
	case "psd":
		return string(rec.PSD)
	case "rua":
		return uris(rec.RUA)
	case "ruf":
		return uris(rec.RUF)
	case "ignored":
		return strings.Join(rec.Ignored, "; ")
	}
	t.Fatalf("nothing is called %q", field)
	return ""
}
