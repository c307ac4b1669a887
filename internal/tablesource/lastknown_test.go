package tablesource

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The daemon's user owns the folder, and could leave a named pipe there for root to read.
func TestAKeptTableThatIsNoFileHoldsNoOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.table")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readKept(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("%v", err)
	}
}
