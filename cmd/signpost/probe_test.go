package main

import (
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

func TestProbeListsTheFieldsThatPostfixWouldRemove(t *testing.T) {
	h := message.Header{
		{Name: "Authentication-Results", Value: " a; one"}, {Name: "Subject", Value: " hello"},
		{Name: "Authentication-Results ", Value: " a; two"}, {Name: "authentication-results\t", Value: " b; three"},
		{Name: "Authentication-Result", Value: " a; other"}, {Name: "AUTHENTICATION-RESULTS", Value: " a; four"},
	}
	remove := func(name string, n uint32) gomilter.ModifyAction {
		return gomilter.ModifyAction{Code: gomilter.ActChangeHeader, HeaderIndex: n, HeaderName: name}
	}
	for _, c := range []struct {
		name    string
		changes []gomilter.ModifyAction
		want    string
	}{
		{"from the bottom up, as we do", []gomilter.ModifyAction{remove("Authentication-Results", 4), remove("Authentication-Results", 2), remove("Authentication-Results", 1)}, "four|two|one"},
		{"each deletion counts anew", []gomilter.ModifyAction{remove("Authentication-Results", 1), remove("Authentication-Results", 1)}, "one|two"},
		{"field 0 is field 1", []gomilter.ModifyAction{remove("authentication-results", 0)}, "one"},
		{"a field that is not there", []gomilter.ModifyAction{remove("Authentication-Results", 5)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := (&conversation{changes: c.changes}).report(h)
			var got []string
			for _, f := range r.Removed {
				_, word, _ := strings.Cut(f.Value, "; ")
				got = append(got, word)
			}
			if strings.Join(got, "|") != c.want || len(r.Removed)+len(r.Other) != len(c.changes) {
				t.Errorf("removed are %q, want %s; others %q", got, c.want, r.Other)
			}
		})
	}
	if h[0].Value != " a; one" || h[5].Value != " a; four" {
		t.Error("the message itself is changed")
	}
}
