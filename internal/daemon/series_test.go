package daemon

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

// keyAge is the age of the file of the key s2025: 3,600,000 seconds.
const keyAge = 1000 * time.Hour

// scrapeAll has every series: those of a service after mail, with a key that is lost and one that
// waits, behind a real resolver.
func scrapeAll(t *testing.T) (string, *counters) {
	t.Helper()
	h := newHouse(t)
	z, err := dns.LoadZone(h.zone)
	if err != nil {
		t.Fatal(err)
	}
	h.replace("dns: {zone_file: "+h.zone+"}", fmt.Sprintf("dns: {servers: [%q]}\nmetrics: {listen: \"127.0.0.1:0\"}", dnstest.Start(t, z)))
	h.replace("domains:\n", "domains:\n    - {domain: lost.example, selectors: [s9]}\n")
	key := filepath.Join(h.dir, "keys", "example.com", "s2025.pem")
	if err := os.Chtimes(key, time.Time{}, time.Now().Add(-keyAge)); err != nil {
		t.Fatal(err)
	}
	r := run(t, h, time.Minute, nil)
	c := r.connect(t)
	c.message("alice@example.com")
	c.message("alice@example.org")
	return scrape(t, r.counts, "/metrics"), r.counts
}

// labelsOf returns the names of the labels of each series in a scrape.
func labelsOf(scraped string) map[string]map[string]bool {
	found := map[string]map[string]bool{}
	for line := range strings.Lines(scraped) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(strings.Fields(line)[0], "{")
		if found[name] == nil {
			found[name] = map[string]bool{}
		}
		for _, m := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(rest, -1) {
			found[name][m[1]] = true
		}
	}
	return found
}

func TestASeriesForAllThatIsWatched(t *testing.T) {
	scraped, _ := scrapeAll(t)
	for _, line := range []string{
		`signpost_ready 1`, `signpost_generation 1`, `signpost_last_reload_success 1`, `signpost_configuration_differs 0`,
		`signpost_domains{state="signing"} 2`, `signpost_domains{state="lost"} 1`, `signpost_keys 3`,
		`signpost_key_state{domain="example.com",selector="s2025",state="active"} 1`, `signpost_key_state{domain="lost.example",selector="s9",state="lost"} 1`,
		`signpost_message_seconds_count{direction="outbound"} 2`, `signpost_message_seconds_count{direction="inbound"} 0`, `signpost_signing_seconds_count 2`,
		`signpost_connections_limit 4096`, `signpost_slot_waits_total{of="connection"} 0`, `signpost_slot_waits_total{of="dns"} 0`,
		`signpost_header_memory_limit_bytes 268435456`, `signpost_forged_results_removed_total{direction="inbound"} 0`,
	} {
		if !strings.Contains(scraped, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	for _, pattern := range []string{
		`signpost_listener_up\{listener="unix:.*"\} 1`, `signpost_connections\{listener="unix:.*"\} 1`, `signpost_connections_total\{listener="unix:.*"\} 1`,
		`signpost_dns_queries_total\{server="127.*",result="answered"\} [1-9]`, `signpost_dns_query_seconds_bucket\{le="5"\} [1-9]`,
		`signpost_key_age_seconds\{domain="example.com",selector="s2025"\} 3600\d{3}\b`, `signpost_key_unseen_seconds\{domain="example.com",selector="s2025"\} \d`,
		`signpost_message_seconds_bucket\{direction="outbound",le="\+Inf"\} 2`, `signpost_last_reload_timestamp_seconds 1`,
		`signpost_dns_lookups_total 0`, `signpost_dns_cache_hits_total 0`, `signpost_header_memory_bytes \d`,
	} {
		if !regexp.MustCompile(`(?m)^` + pattern).MatchString(scraped) {
			t.Errorf("no line %s", pattern)
		}
	}
	if t.Failed() {
		t.Log(scraped)
	}
}

func TestTheSeriesOfKeysAreBounded(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, func(c *Config) { c.Metrics.PerKey = 2 })
	counts := newCounters()
	counts.watch(r.Service)
	settle(t, r)
	if n := strings.Count(scrape(t, counts, "/metrics"), "\nsignpost_key_state{"); n != 2 {
		t.Errorf("%d keys have series", n)
	}
}

// The alert rules and the dashboard name series and labels that exist.
func TestRulesAndDashboardNameSeriesThatExist(t *testing.T) {
	scraped, _ := scrapeAll(t)
	have := labelsOf(scraped)
	have["up"] = map[string]bool{}
	series := regexp.MustCompile(`\b(signpost_\w+)(?:\{([^}]*)\})?`)
	label := regexp.MustCompile(`(\w+)\s*[=!]~?`)
	for _, file := range []string{"../../deploy/prometheus/signpost.rules.yml", "../../deploy/prometheus/signpost.rules.test.yml", "../../deploy/grafana/signpost.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		named := series.FindAllStringSubmatch(strings.ReplaceAll(string(text), `\"`, `"`), -1)
		if len(named) < 15 {
			t.Errorf("%s names %d series", file, len(named))
		}
		for _, m := range named {
			labels, ok := have[m[1]]
			if !ok {
				t.Errorf("%s: there is no series %s", file, m[1])
				continue
			}
			for _, l := range label.FindAllStringSubmatch(m[2], -1) {
				if !labels[l[1]] && l[1] != "instance" && l[1] != "job" {
					t.Errorf("%s: %s has no label %s", file, m[1], l[1])
				}
			}
		}
	}
	var dashboard struct{ Panels []struct{ Title string } }
	text, _ := os.ReadFile("../../deploy/grafana/signpost.json")
	if err := json.Unmarshal(text, &dashboard); err != nil || len(dashboard.Panels) < 10 {
		t.Errorf("the dashboard has %d panels, %v", len(dashboard.Panels), err)
	}
}

// Each alert says what to do.
func TestEachAlertSaysWhatToDo(t *testing.T) {
	text, err := os.ReadFile("../../deploy/prometheus/signpost.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range strings.Split(string(text), "- alert: ")[1:] {
		for _, key := range []string{"severity: ", "summary: ", "what_to_do: "} {
			if !strings.Contains(alert, key) {
				t.Errorf("%s has no %s", strings.Fields(alert)[0], key)
			}
		}
	}
}

func TestPromtoolAcceptsTheRules(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("promtool is not installed (Debian: prometheus)")
	}
	for _, args := range [][]string{{"check", "rules", "signpost.rules.yml"}, {"test", "rules", "signpost.rules.test.yml"}} {
		c := exec.Command("promtool", args...)
		c.Dir = "../../deploy/prometheus"
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	scraped, _ := scrapeAll(t)
	c := exec.Command("promtool", "check", "metrics")
	c.Stdin = strings.NewReader(ours(scraped))
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// ours is a scrape without the series of the process.
func ours(scraped string) string {
	i := strings.Index(scraped, "\ngo_")
	if j := strings.Index(scraped, "\nprocess_"); i < 0 || j >= 0 && j < i {
		i = j
	}
	if i < 0 {
		return scraped
	}
	return scraped[:i+1]
}

// docs/metrics.md has a row for each series, as the daemon describes it. go test -run
// TheDocumentOfMetrics -update writes it.
func TestTheDocumentOfMetricsNamesEverySeries(t *testing.T) {
	const path, begin, end = "../../docs/metrics.md", "<!-- series: begin -->\n", "<!-- series: end -->\n"
	scraped, counts := scrapeAll(t)
	labels := labelsOf(scraped)
	var rows strings.Builder
	rows.WriteString("| series | type | labels | meaning |\n|---|---|---|---|\n")
	for _, f := range counts.families {
		names := slices.Clone(f.labels)
		if len(names) == 0 {
			for name := range labels[f.name] {
				names = append(names, name)
			}
			slices.Sort(names)
		}
		for i, n := range names {
			names[i] = "`" + n + "`"
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s | %s |\n", f.name, f.kind, strings.Join(names, ", "), f.help)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no %q", path, begin)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+rows.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != rows.String() {
		t.Errorf("%s differs from the daemon: go test ./internal/daemon -run TheDocumentOfMetrics -update\n%s", path, rows.String())
	}
}
