package keys

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

const nobody = 65534

// asNobody runs f on a thread that has the rights of the user 65534. The thread
// ends with f.
func asNobody(t *testing.T, f func()) (wait func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("this needs root")
	}
	done, lowered := make(chan struct{}), make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked
		ok := true
		for _, call := range [][4]uintptr{
			{syscall.SYS_SETGROUPS, 0, 0, 0}, {syscall.SYS_SETRESGID, nobody, nobody, nobody}, {syscall.SYS_SETRESUID, nobody, nobody, nobody},
		} {
			_, _, e := syscall.RawSyscall(call[0], call[1], call[2], call[3])
			ok = ok && e == 0
		}
		lowered <- ok
		if ok {
			f()
		}
	}()
	if !<-lowered {
		t.Skip("the rights of a thread cannot be lowered here")
	}
	return func() { <-done }
}

// Another user swaps the key folder for a link to a file of root's while root makes
// keys. No owner, group or mode of that file may change.
func TestNoRootFileBecomesReadableWhileAnotherUserSwapsTheKeyFolder(t *testing.T) {
	for _, c := range []struct {
		name  string
		owner int
		mode  os.FileMode
	}{
		{"in a folder of that user", nobody, 0o755},
		{"in a sticky folder of root", 0, 0o777 | os.ModeSticky},
		{"in a folder of root that everybody may write to", 0, 0o777},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := openDir(t)
			secret := filepath.Join(dir, "secret")
			check(t, os.WriteFile(secret, []byte("secret"), 0o600))
			before := described(must(os.Stat(secret)))
			parent := filepath.Join(dir, "signpost")
			check(t, os.Mkdir(parent, 0o755))
			folder, away := filepath.Join(parent, "keys"), filepath.Join(parent, "away")

			var stop atomic.Bool
			wait := asNobody(t, func() {
				for n := 0; !stop.Load(); n++ {
					if os.Rename(folder, fmt.Sprint(away, n)) == nil {
						_ = os.Symlink(secret, folder)
						_ = os.Remove(folder)
					}
				}
			})
			check(t, os.Chown(parent, c.owner, -1))
			check(t, os.Chmod(parent, c.mode))
			for i := range 300 {
				_, _ = generate(folder, Ref{"example.com", fmt.Sprint("s", i)}, Ed25519, 0, "daemon")
				if now := described(must(os.Stat(secret))); now != before {
					t.Errorf("run %d: the file is now %s, and was %s", i, now, before)
					break
				}
			}
			stop.Store(true)
			wait()
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAKeyIsNotMadeBelowAFolderOfSomebodyElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this needs root")
	}
	for _, c := range []struct {
		name string
		make func(dir string) (fault string)
		want string // with %s for the fault
	}{
		{"the folder above keys.dir", func(dir string) string {
			return give(filepath.Join(dir, "signpost"), nobody, 0o755)
		}, "%s belongs to the user 65534"},
		{"keys.dir", func(dir string) string {
			check(t, os.Mkdir(filepath.Join(dir, "signpost"), 0o755))
			return give(filepath.Join(dir, "signpost/keys"), nobody, 0o755)
		}, "%s belongs to the user 65534"},
		{"the domain's folder", func(dir string) string {
			check(t, os.MkdirAll(filepath.Join(dir, "signpost/keys"), 0o755))
			return give(filepath.Join(dir, "signpost/keys/example.com"), nobody, 0o755)
		}, "%s belongs to the user 65534"},
		{"a link that somebody else made", func(dir string) string {
			check(t, os.Mkdir(filepath.Join(dir, "signpost"), 0o755))
			check(t, os.Mkdir(filepath.Join(dir, "other"), 0o755))
			link := filepath.Join(dir, "signpost/keys")
			check(t, os.Symlink("../other", link))
			check(t, os.Lchown(link, nobody, nobody))
			return link
		}, "%s is a symbolic link of the user 65534"},
		{"a folder that everybody may write to", func(dir string) string {
			return give(filepath.Join(dir, "signpost"), 0, 0o777)
		}, "everybody may replace what is in %[1]s (drwxrwxrwx root:root): chmod o-w %[1]s"},
		{"a folder that a group may write to", func(dir string) string {
			path := give(filepath.Join(dir, "signpost"), 0, 0o775)
			check(t, os.Chown(path, 0, 1))
			return path
		}, "the group daemon may replace what is in %[1]s (drwxrwxr-x root:daemon): chmod g-w %[1]s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := openDir(t)
			fault := c.make(dir)
			want := strings.ReplaceAll(fmt.Sprintf(c.want, fault), "user 65534", "user "+userName(nobody))
			folder := filepath.Join(dir, "signpost/keys")
			_, err := Generate(folder, "example.com", "s1", Ed25519, 0)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("generate: got %v\nwant %s", err, want)
			}
			cfg := Defaults()
			cfg.Dir = folder
			_, err = cfg.Import(Ref{"example.com", "s1"}, testFile(t, "ed25519-pkcs8.pem"), false)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("import: got %v\nwant %s", err, want)
			}
		})
	}
}

// give makes a folder of a user.
func give(path string, uid int, mode os.FileMode) string {
	if err := os.Mkdir(path, 0o700); err != nil {
		panic(err)
	}
	if err := os.Chown(path, uid, -1); err != nil {
		panic(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		panic(err)
	}
	return path
}

func TestAKeyIsMadeBehindLinksOfRootAndInAStickyFolder(t *testing.T) {
	dir := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(dir, "disk/store"), 0o755))
	check(t, os.Chmod(filepath.Join(dir, "disk"), 0o777|os.ModeSticky))
	check(t, os.Symlink("disk/../disk/store", filepath.Join(dir, "lib")))
	check(t, os.Symlink(filepath.Join(dir, "lib"), filepath.Join(dir, "signpost")))
	k, err := Generate(filepath.Join(dir, "signpost/keys"), "example.com", "s1", Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "disk/store/keys/example.com/s1.pem")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%s is elsewhere: %v", k.Path, err)
	}
	loop := filepath.Join(dir, "loop")
	check(t, os.Symlink(loop, loop))
	if _, err := Generate(loop, "example.com", "s1", Ed25519, 0); err == nil || !strings.Contains(err.Error(), "symbolic links") {
		t.Errorf("a loop: got %v", err)
	}
}

// A folder that may be passed through but not listed, such as /home with mode 0711.
func TestAUserMakesAKeyBelowAFolderThatOnlyItsOwnerMayList(t *testing.T) {
	dir := openDir(t)
	above := filepath.Join(dir, "home")
	check(t, os.Mkdir(above, 0o711))
	check(t, os.Chmod(above, 0o711))
	if os.Geteuid() != 0 {
		t.Skip("this needs root, to be somebody else")
	}
	give(filepath.Join(above, "alice"), nobody, 0o755)
	var err error
	asNobody(t, func() { _, err = Generate(filepath.Join(above, "alice", "keys"), "example.com", "s1", Ed25519, 0) })()
	if err != nil {
		t.Error(err)
	}
}
