package unixsocket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestASocketHasItsModeAndGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	l, err := Listen(path, 0o640, strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	l.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the file stays:", err)
	}
}

// Between bind and chmod, the file must not be open to others.
func TestASocketIsItsOwnersUntilItHasItsMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	l, err := listenClosed(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestAGroupThatDoesNotExistLeavesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	if _, err := Listen(path, 0o660, "nosuchgroup"); !errors.Is(err, ErrGroup) || !strings.Contains(err.Error(), "nosuchgroup") {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestOnlyTheSocketOfAnEndedProcessIsReplaced(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, 0o600, ""); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Error(err)
	}
	stale := filepath.Join(dir, "stale.sock")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()
	l, err := Listen(stale, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(stale, 0o600, ""); err == nil || !strings.Contains(err.Error(), "another process listens there") {
		t.Error(err)
	}
}

func TestADirectoryThatMayNotBeWrittenIsNamedWithItsMode(t *testing.T) {
	if hint := pathHint("/proc/1/m.sock"); !strings.Contains(hint, "/proc/1 has mode 0555") || strings.Contains(hint, "chown") {
		t.Errorf("hint %q", hint)
	}
}
