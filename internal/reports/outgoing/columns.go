package outgoing

import (
	"strings"

	"signpost/internal/reports/aggregate"
)

// signatures reads the column dkim of traffic: "domain selector result", one a line.
func signatures(text string) (all []aggregate.Signature) {
	for line := range strings.SplitSeq(text, "\n") {
		if f := strings.Split(line, " "); len(f) == 3 {
			all = append(all, aggregate.Signature{Domain: f[0], Selector: f[1], Result: f[2]})
		}
	}
	return all
}

// reasons reads the column reasons of traffic: "type comment", one a line.
func reasons(text string) (all []aggregate.Reason) {
	for line := range strings.SplitSeq(text, "\n") {
		if kind, comment, _ := strings.Cut(line, " "); kind != "" {
			all = append(all, aggregate.Reason{Type: kind, Comment: comment})
		}
	}
	return all
}
