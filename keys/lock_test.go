package keys

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
	if !errors.Is(err, ErrStateTaken) || !strings.Contains(err.Error(), "each daemon needs a keys.state of its own") || !strings.Contains(err.Error(), state) {
		t.Errorf("the second lock: %v", err)
	}
	// The file itself is replaced each time it is written; the lock outlasts that.
	check(t, writeState(state, nil))
	if _, err := LockState(state); !errors.Is(err, ErrStateTaken) {
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
	if err == nil || errors.Is(err, ErrStateTaken) || !strings.Contains(err.Error(), "cannot be locked") {
		t.Errorf("in a file: %v", err)
	}
	check(t, os.Symlink(filepath.Join(dir, "file"), filepath.Join(dir, "keys.json.lock")))
	if _, err := LockState(filepath.Join(dir, "keys.json")); err == nil || errors.Is(err, ErrStateTaken) {
		t.Errorf("through a symbolic link: %v", err)
	}
}

func TestWhereTheDaemonMayWrite(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o755))
	for name, mode := range map[string]os.FileMode{"shut": 0o555, "own": 0o700} {
		check(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		check(t, os.Chmod(filepath.Join(dir, name), mode))
	}
	check(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	info, err := os.Stat(dir)
	check(t, err)
	uid, gid := owner(info)
	owns := process{uid: uid, gid: gid}
	if uid == 0 { // as root, who may everything: as somebody else
		for _, name := range []string{"shut", "own"} {
			check(t, os.Chown(filepath.Join(dir, name), 4711, 4711))
		}
		owns = process{uid: 4711, gid: 4711}
	}
	for folder, want := range map[string]string{
		"own":       "",
		"own/x/y":   "",
		"shut":      "may not make files in the folder",
		"shut/x":    "may not make it in",
		"made/here": "",
		"file/x":    "file",
	} {
		got := owns.unwritable(filepath.Join(dir, folder), filepath.Join(dir, "made"))
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", folder, got, want)
		}
	}
}
