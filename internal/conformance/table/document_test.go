package main

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// The last row of docs/conformance.md's table is the sum of the others.
func TestTheTableOfTheDocumentAddsUp(t *testing.T) {
	text, err := os.ReadFile("../../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	var sum [4]int
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z0-9-]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$`).FindAllStringSubmatch(string(text), -1) {
		for i, cell := range row[2:] {
			n, err := strconv.Atoi(cell)
			if err != nil {
				t.Fatal(err)
			}
			if row[1] != "all" {
				sum[i] += n
			} else if n != sum[i] {
				t.Errorf("column %d: %d, the rows above have %d", i+1, n, sum[i])
			}
		}
	}
	if sum[0] == 0 {
		t.Error("docs/conformance.md has no such table")
	}
}
