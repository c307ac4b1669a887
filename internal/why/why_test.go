//go:build why

package why

import "testing"

// mended ends the test because the library no longer has the fault.
func mended(t *testing.T, what string) {
	t.Helper()
	t.Fatalf("upstream has mended this: reconsider (ARCHITECTURE.md, Libraries): %s", what)
}
