package spf

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"signpost/internal/dns"
)

// The cases in testdata/cases are text, so that a report becomes a test by
// pasting it:
//
//	# a title that is a sentence
//	dns example.com TXT "v=spf1 a -all"       a line of a zone file
//	check 192.0.2.1 from a@example.com        a query; helo NAME before from if it matters
//	  want pass by a                          its result, and the mechanism that decided
//	  asks TXT example.com; A example.com     all questions to the DNS, in order
//	  identity helo                           and so on: domain, lookups, voids, explains
//	  reason 3 void lookups                   a part of the reason
//
// "from <>" is the null sender; the sender ends with the line. Each check requests the
// explanation. A case may have several checks.
type textCase struct {
	title  string
	zone   string
	checks []textCheck
}

type textCheck struct {
	line  int
	query Query
	wants []string
}

func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			for _, c := range readCases(t, file) {
				t.Run(c.title, func(t *testing.T) { c.run(t, file) })
			}
		})
	}
}

func (c textCase) run(t *testing.T, file string) {
	zone, err := dns.ParseZone(strings.NewReader(c.zone), file)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.checks) == 0 {
		t.Fatal("the case checks nothing")
	}
	for _, check := range c.checks {
		r := &recorder{Resolver: zone}
		out := CheckHost(context.Background(), r, check.query)
		if err := checkInvariants(out, check.query); err != nil {
			t.Errorf("%s:%d: %v", file, check.line, err)
		}
		for _, want := range check.wants {
			if got := describe(out, r, want); got != want {
				t.Errorf("%s:%d: want %s\n got %s\n%+v", file, check.line, want, got, out)
			}
		}
	}
}

// describe prints an outcome in the words of a case.
func describe(out Outcome, r *recorder, want string) string {
	key, value, _ := strings.Cut(want, " ")
	switch key {
	case "want":
		if strings.Contains(value, " by ") {
			return fmt.Sprintf("want %s by %s", out.Result, out.Mechanism)
		}
		return "want " + string(out.Result)
	case "asks":
		return strings.TrimSpace("asks " + strings.Join(r.asked, "; "))
	case "identity":
		return "identity " + string(out.Identity)
	case "domain":
		return strings.TrimSpace("domain " + out.Domain)
	case "lookups":
		return "lookups " + strconv.Itoa(out.Lookups)
	case "voids":
		return "voids " + strconv.Itoa(out.VoidLookups)
	case "explains":
		return strings.TrimSpace("explains " + out.Explanation)
	case "reason":
		if strings.Contains(out.Reason, value) {
			return want
		}
		return "reason " + out.Reason
	}
	return "a line that begins with something else"
}

func readCases(t *testing.T, file string) []textCase {
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []textCase
	for i, line := range strings.Split(string(content), "\n") {
		key, value, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
		if key == "" {
			continue
		}
		if key == "#" {
			cases = append(cases, textCase{title: value})
			continue
		}
		if len(cases) == 0 {
			t.Fatalf("%s:%d: a case begins with its title", file, i+1)
		}
		c := &cases[len(cases)-1]
		switch key {
		case "dns":
			c.zone += strings.TrimSpace(value) + "\n"
		case "check":
			c.checks = append(c.checks, textCheck{line: i + 1, query: readQuery(t, value)})
		default:
			if len(c.checks) == 0 {
				t.Fatalf("%s:%d: %q comes before any check", file, i+1, line)
			}
			last := &c.checks[len(c.checks)-1]
			last.wants = append(last.wants, strings.TrimSpace(line))
		}
	}
	return cases
}

// readQuery reads ADDRESS [helo NAME] from PATH.
func readQuery(t *testing.T, text string) Query {
	before, sender, ok := strings.Cut(text, " from ")
	words := strings.Fields(before)
	if !ok || len(words) != 1 && (len(words) != 3 || words[1] != "helo") {
		t.Fatalf("check %s: write ADDRESS [helo NAME] from PATH", text)
	}
	q := Query{
		Addr:     netip.MustParseAddr(words[0]),
		Helo:     "client.example.net",
		Sender:   strings.TrimSpace(sender),
		Receiver: "mx.example.net",
		Now:      time.Unix(1_700_000_000, 0),
		Explain:  true,
	}
	if len(words) == 3 {
		q.Helo = words[2]
	}
	if q.Sender == "<>" {
		q.Sender = ""
	}
	return q
}

// recorder records the questions to a resolver.
type recorder struct {
	Resolver
	asked []string
}

func (r *recorder) note(rrtype, name string) { r.asked = append(r.asked, rrtype+" "+name) }

func (r *recorder) LookupTXT(ctx context.Context, name string) ([]string, error) {
	r.note("TXT", name)
	return r.Resolver.LookupTXT(ctx, name)
}

func (r *recorder) LookupA(ctx context.Context, name string) ([]netip.Addr, error) {
	r.note("A", name)
	return r.Resolver.LookupA(ctx, name)
}

func (r *recorder) LookupAAAA(ctx context.Context, name string) ([]netip.Addr, error) {
	r.note("AAAA", name)
	return r.Resolver.LookupAAAA(ctx, name)
}

func (r *recorder) LookupMX(ctx context.Context, name string) ([]string, error) {
	r.note("MX", name)
	return r.Resolver.LookupMX(ctx, name)
}

func (r *recorder) LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	r.note("PTR", addr.String())
	return r.Resolver.LookupPTR(ctx, addr)
}
