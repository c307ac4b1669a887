// Command ratios reads what the load generator wrote, one JSON object a line, and
// prints medians and how they compare, as Markdown.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// run is one cell of the matrix in one round.
type run struct {
	Label  string  `json:"label"`
	Size   string  `json:"size"`
	C      int     `json:"c"`
	CPU    float64 `json:"cpu_ms_per_msg"`
	Rate   float64 `json:"msgs_per_s"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	RSS    float64 `json:"peak_rss_bytes"`
	Errors int64   `json:"errors"`
}

// cell names what several runs measured.
type cell struct {
	label, size string
	c           int
}

// results are the runs of each cell, and the cells in the order of their first.
type results struct {
	runs  map[cell][]run
	order []cell
}

func read(r io.Reader) (*results, error) {
	res := &results{runs: map[cell][]run{}}
	for d := json.NewDecoder(r); ; {
		var one run
		switch err := d.Decode(&one); {
		case err == io.EOF:
			return res, nil
		case err != nil:
			return nil, err
		}
		at := cell{one.Label, one.Size, one.C}
		if res.runs[at] == nil {
			res.order = append(res.order, at)
		}
		res.runs[at] = append(res.runs[at], one)
	}
}

// spread is the median of a figure with its minimum and maximum.
type spread struct{ median, least, most float64 }

// of returns the spread of a figure in a cell; zero without measurements.
func (r *results) of(at cell, figure func(run) float64) spread {
	var all []float64
	for _, one := range r.runs[at] {
		all = append(all, figure(one))
	}
	if len(all) == 0 {
		return spread{}
	}
	slices.Sort(all)
	median := all[len(all)/2]
	if len(all)%2 == 0 {
		median = (median + all[len(all)/2-1]) / 2
	}
	return spread{median, all[0], all[len(all)-1]}
}

func cpu(o run) float64     { return o.CPU }
func rate(o run) float64    { return o.Rate }
func latency(o run) float64 { return o.P99 / max(o.P50, 0.001) }
func memory(o run) float64  { return o.RSS / (1 << 20) }
func wrong(o run) float64   { return float64(o.Errors) }

func (r *results) table(w io.Writer) {
	fmt.Fprintln(w, "| what | size | sessions | runs | CPU ms a message: median (least–most) | messages/s | p99 / median latency | peak RSS MiB | errors |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	for _, at := range r.order {
		c := r.of(at, cpu)
		if at.c == 0 { // no milter, but an operation
			fmt.Fprintf(w, "| %s | – | – | %d | %.3f (%.3f–%.3f) | – | – | – | – |\n", at.label, len(r.runs[at]), c.median, c.least, c.most)
			continue
		}
		fmt.Fprintf(w, "| %s | %s | %d | %d | %.3f (%.3f–%.3f) | %.0f | %.1f | %.0f | %.0f |\n", at.label, at.size, at.c, len(r.runs[at]),
			c.median, c.least, c.most, r.of(at, rate).median, r.of(at, latency).median, r.of(at, memory).median, r.of(at, wrong).most)
	}
}

// A comparison is the ratio of a peer's CPU time to ours.
type comparison struct {
	ours, peer, size string
	target           float64 // 0: none is set
}

var comparisons = []comparison{
	{"signpost-sign-rsa", "opendkim-sign-rsa", "2k", 4.7},
	{"signpost-sign-rsa", "rspamd-sign-rsa", "2k", 2},
	{"signpost-sign-ed", "opendkim-sign-ed", "2k", 18},
	{"signpost-sign-ed", "rspamd-sign-ed", "2k", 6},
	{"signpost-verify-rsa", "opendkim+opendmarc-rsa", "2k", 20},
	{"signpost-verify-rsa", "rspamd-verify-rsa", "2k", 6.5},
	{"signpost-verify-rsa", "opendkim+opendmarc-rsa", "200k", 8},
	{"signpost-verify-rsa", "rspamd-verify-rsa", "200k", 5},
	{"signpost-sign-rsa", "opendkim-sign-rsa", "200k", 0},
	{"signpost-sign-rsa", "rspamd-sign-rsa", "200k", 0},
	{"signpost-sign-ed", "opendkim-sign-ed", "200k", 0},
	{"signpost-sign-ed", "rspamd-sign-ed", "200k", 0},
}

// ratios compares at the highest number of sessions measured.
func (r *results) ratios(w io.Writer) {
	sessions := 0
	for _, at := range r.order {
		sessions = max(sessions, at.c)
	}
	fmt.Fprintf(w, "\nMessages for each CPU second, signpost : peer, %d sessions\n\n", sessions)
	fmt.Fprintln(w, "| signpost | against | size | ratio of medians | of the rounds, worst to best | wanted |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|")
	for _, c := range comparisons {
		ours, peer := r.of(cell{c.ours, c.size, sessions}, cpu), r.of(cell{c.peer, c.size, sessions}, cpu)
		if ours.median == 0 || peer.median == 0 {
			continue
		}
		wanted := "–"
		if c.target > 0 {
			wanted = fmt.Sprint(c.target)
		}
		worst, best := r.rounds(cell{c.ours, c.size, sessions}, cell{c.peer, c.size, sessions})
		fmt.Fprintf(w, "| %s | %s | %s | %.2f | %.1f–%.1f | %s |\n", strings.TrimPrefix(c.ours, "signpost-"), c.peer, c.size, peer.median/ours.median, worst, best, wanted)
	}
	r.floor(w, sessions)
	r.scaling(w, sessions)
}

// rounds returns the smallest and the largest ratio within one round.
func (r *results) rounds(ours, peer cell) (least, most float64) {
	n := min(len(r.runs[ours]), len(r.runs[peer]))
	for i := range n {
		ratio := r.runs[peer][i].CPU / max(r.runs[ours][i].CPU, 1e-6)
		if i == 0 {
			least, most = ratio, ratio
		}
		least, most = min(least, ratio), max(most, ratio)
	}
	return least, most
}

// hashing is the cost of SHA-256 for a 2 KB message with its header, in milliseconds,
// at 1.2 GB/s.
const hashing = 0.003

// floor compares signing with the sum of its unavoidable costs: the transport,
// libcrypto's signature and the hash.
func (r *results) floor(w io.Writer, sessions int) {
	transport := r.of(cell{"noop-goraw", "2k", sessions}, cpu).median
	sign := r.of(cell{"libcrypto-sign", "2k", 0}, cpu).median
	ours := r.of(cell{"signpost-sign-rsa", "2k", sessions}, cpu).median
	if transport > 0 && sign > 0 && ours > 0 {
		fmt.Fprintf(w, "\nSigning 2k over the floor (a server that does nothing %.3f + libcrypto's signature %.3f + SHA-256, reckoned at 1.2 GB/s, %.3f ms): %.2f\n",
			transport, sign, hashing, ours/(transport+sign+hashing))
	}
}

// scaling compares the rate on all processors with that on one. The generator is on the
// same processors: it is part of the load both times.
func (r *results) scaling(w io.Writer, sessions int) {
	for _, task := range []string{"sign-rsa", "verify-rsa"} {
		one, two := r.of(cell{"signpost-" + task + "-1cpu", "2k", sessions}, rate), r.of(cell{"signpost-" + task + "-2cpu", "2k", sessions}, rate)
		if one.median > 0 && two.median > 0 {
			fmt.Fprintf(w, "\n%s 2k with the generator on all processors, over both on one: %.2f\n", task, two.median/one.median)
		}
	}
}

func main() {
	if err := printAll(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
}

func printAll(paths []string, w io.Writer) error {
	if len(paths) != 1 {
		return fmt.Errorf("one file is wanted, with the results of the load generator")
	}
	f, err := os.Open(paths[0])
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", paths[0], err)
	}
	r.table(w)
	r.ratios(w)
	return nil
}
