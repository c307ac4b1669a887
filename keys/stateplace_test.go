package keys

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
