package lifecycle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOneProcessHasTheStateFile(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state", "keys.json")
	if StateLocked(state) {
		t.Error("a state without a lock is locked")
	}
	first, err := LockState(state)
	check(t, err)
	for range 2 { // asking takes nothing
		if !StateLocked(state) {
			t.Error("the state is not locked")
		}
	}
	_, err = LockState(state)
	if !errors.Is(err, ErrStateLocked) || !strings.Contains(err.Error(), "each daemon needs a keys.state of its own") || !strings.Contains(err.Error(), state) {
		t.Errorf("the second lock: %v", err)
	}
	// The file itself is replaced each time it is written; the lock outlasts that.
	check(t, writeState(state, nil))
	if _, err := LockState(state); !errors.Is(err, ErrStateLocked) {
		t.Errorf("after the state was written: %v", err)
	}
	if _, err := ReadState(state); err != nil {
		t.Errorf("reading it: %v", err)
	}
	other, err := LockState(filepath.Join(dir, "state", "other.json"))
	check(t, err)
	other.Close()
	first.Close()
	if StateLocked(state) {
		t.Error("it is locked after the end")
	}
	again, err := LockState(state)
	check(t, err)
	again.Close()
}

func TestAStateThatCannotBeLocked(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	_, err := LockState(filepath.Join(dir, "file", "keys.json"))
	if err == nil || errors.Is(err, ErrStateLocked) || !strings.Contains(err.Error(), "cannot be locked") {
		t.Errorf("in a file: %v", err)
	}
	check(t, os.Symlink(filepath.Join(dir, "file"), filepath.Join(dir, "keys.json.lock")))
	if _, err := LockState(filepath.Join(dir, "keys.json")); err == nil || errors.Is(err, ErrStateLocked) {
		t.Errorf("through a symbolic link: %v", err)
	}
}
