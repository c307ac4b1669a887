package keys

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAKeyBelowAFolderThatEverybodyMayChangeIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		open  string // the folder, below the test's
		mode  os.FileMode
		fault bool
	}{
		{"the folder above keys.dir", "lib/signpost", 0o777, true},
		{"two above keys.dir", "lib", 0o777, true},
		{"a sticky folder", "lib", 0o777 | os.ModeSticky, false},
		{"the folder of a link on the way", "links", 0o777, true},
		{"a folder behind a link", "disk", 0o777, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "disk/keys/example.com/s1.pem", "ed25519-pkcs8.pem", 0o600)
			check(t, os.MkdirAll(filepath.Join(dir, "lib/signpost"), 0o755))
			check(t, os.MkdirAll(filepath.Join(dir, "links"), 0o755))
			check(t, os.Symlink("../disk", filepath.Join(dir, "links/disk")))
			check(t, os.Symlink("../../links/disk/keys", filepath.Join(dir, "lib/signpost/keys")))
			check(t, os.Chmod(filepath.Join(dir, c.open), c.mode))
			want := "everybody may replace files in " + filepath.Join(dir, c.open) + " ("
			cfg := Defaults()
			cfg.Dir = filepath.Join(dir, "lib/signpost/keys")
			_, err := Open(cfg, []Ref{{"example.com", "s1"}})
			if c.fault != (err != nil) || c.fault && strings.Count(err.Error(), want) != 1 {
				t.Errorf("got %v", err)
			}
			cfg.InsecureMode = InsecureWarn
			s, err := Open(cfg, []Ref{{"example.com", "s1"}})
			check(t, err)
			if got := strings.Join(s.Warnings(), "\n"); c.fault != strings.Contains(got, want) {
				t.Errorf("warnings: %s", got)
			}
		})
	}
}

func TestWhoMayOwnAKeyFolderWhereEverybodyMayMakeOne(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this needs root")
	}
	dir := t.TempDir()
	put(t, dir, "open/keys/s1.pem", "ed25519-pkcs8.pem", 0o600)
	check(t, os.Chmod(filepath.Join(dir, "open"), 0o777|os.ModeSticky))
	folder := filepath.Join(dir, "open/keys")
	const daemon, alice = 4000000, 4000001
	for _, c := range []struct {
		name  string
		owner int
		by    process
		fault bool
	}{
		{"root", 0, process{uid: daemon, daemon: daemon}, false},
		{"the daemon's user", daemon, process{uid: daemon, daemon: daemon}, false},
		{"the daemon's user, seen by root", daemon, process{daemon: daemon}, false},
		{"another user", alice, process{uid: daemon, daemon: daemon}, true},
		{"another user, seen by root", alice, process{daemon: daemon}, true},
		{"another user, seen by a daemon of another name", alice, process{uid: daemon}, true},
	} {
		check(t, os.Chown(folder, c.owner, -1))
		got := ""
		for _, e := range newSurroundings(c.by).of(filepath.Join(folder, "s1.pem")) {
			got += e.String() + "\n"
		}
		if c.fault != strings.Contains(got, "may replace "+folder+" (") || !c.fault && got != "" {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
}

func TestAKeyFolderOfTheDaemonsOwnIsWarnedOf(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "signpost")
	check(t, os.MkdirAll(filepath.Join(dir, "keys"), 0o755))
	uid, _ := owner(must(os.Stat(dir)))
	cfg := Defaults()
	cfg.Dir = filepath.Join(dir, "keys")
	if uid != 0 {
		got := cfg.ownedByDaemon(process{uid: uid, daemon: uid})
		if !strings.Contains(got, dir+" belongs to the daemon's user") || !strings.Contains(got, "As root: chown root:signpost "+dir) {
			t.Errorf("got %q", got)
		}
		return
	}
	const daemon = 4000000
	for _, folder := range []string{dir, cfg.Dir} {
		check(t, os.Chown(folder, daemon, -1))
		got := cfg.ownedByDaemon(process{uid: daemon, daemon: daemon})
		if want := "As root: chown root:signpost " + folder + " && chmod 0750 " + folder; !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		check(t, os.Chown(folder, 0, -1))
	}
	if got := cfg.ownedByDaemon(process{uid: daemon, daemon: daemon}); got != "" {
		t.Errorf("folders of root: %q", got)
	}
}
