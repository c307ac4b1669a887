package keys

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// stranger is a daemon that owns nothing here and is in no group of ours.
var stranger = process{uid: 4000000, gid: 4000001, groups: []int{4000002}, daemon: 4000000}

func TestWhyAKeyCannotBeReadNamesTheComponentAtFault(t *testing.T) {
	const who = "the user 4000000 (uid 4000000) may not "
	for _, c := range []struct {
		name  string
		shut  string // which component, below the test's folder
		mode  fs.FileMode
		verb  string
		mends string // with %[1]s for the component's path
	}{
		{"the file", "keys/example.com/s1.pem", 0o600, "read this file", "mend it with: chgrp 4000001 %[1]s && chmod g+r %[1]s"},
		{"the domain's folder", "keys/example.com", 0o700, "enter the folder %s", "mend it with: chgrp 4000001 %[1]s && chmod g+x %[1]s"},
		{"the key folder", "keys", 0o744, "enter the folder %s", "mend it with: chgrp 4000001 %[1]s && chmod g+x %[1]s"},
		// A folder above the key folder stays as it is.
		{"a folder of the system", ".", 0o750, "enter the folder %s", "keep the keys in a folder that this user can reach, such as /var/lib/signpost/keys (keys.dir)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := openDir(t)
			path := put(t, dir, "keys/example.com/s1.pem", "rsa2048-pkcs8.pem", 0o644)
			fault := filepath.Join(dir, c.shut)
			check(t, os.Chmod(fault, c.mode))
			defer os.Chmod(fault, 0o755)
			info, err := os.Stat(fault)
			check(t, err)
			verb := c.verb
			if strings.Contains(verb, "%") {
				verb = fmt.Sprintf(verb, fault)
			}
			want := who + verb + ", which is " + described(info) + "; " + strings.ReplaceAll(c.mends, "%[1]s", fault)
			if got := whyNot(path, filepath.Join(dir, "keys"), stranger); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// A command that gives the key folder to an ordinary user shuts the daemon out.
func TestAnOrdinaryUserIsToldToRunItAsRoot(t *testing.T) {
	dir := openDir(t)
	path := put(t, dir, "keys/example.com/s1.pem", "rsa2048-pkcs8.pem", 0o600)
	alice := process{uid: 4000000, gid: 4000001, daemon: 999}
	const asDaemon = "; private keys are for root and the user signpost alone: run this as root, or as root: runuser -u signpost -- signpost check-config"
	for _, shut := range []string{"keys/example.com/s1.pem", "keys/example.com", "keys", "."} {
		fault := filepath.Join(dir, shut)
		before := must(os.Stat(fault)).Mode().Perm()
		check(t, os.Chmod(fault, 0o700))
		if got := whyNot(path, filepath.Join(dir, "keys"), alice); !strings.HasSuffix(got, asDaemon) {
			t.Errorf("%s: got %s", shut, got)
		}
		check(t, os.Chmod(fault, before))
	}
	if os.Geteuid() != 0 {
		return
	}
	// Where there is no user signpost, a group that reads the keys keeps them.
	alice.daemon = 0
	check(t, os.Chown(path, 0, 4000009))
	if got := whyNot(path, filepath.Join(dir, "keys"), alice); !strings.HasSuffix(got, "; run this as root, or as a user in the group 4000009") {
		t.Errorf("no user signpost: got %s", got)
	}
}

// openDir is a folder that everybody may enter, with all folders above it.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.Chmod(filepath.Dir(dir), 0o755)) // the test's own, made for us alone
	if at, info := blocking(dir, stranger); info != nil {
		t.Skipf("temporary files are in %s, which is closed to others", at)
	}
	return dir
}

func TestTheOwnerAndTheGroupAreJudgedByTheirOwnBits(t *testing.T) {
	dir := openDir(t)
	path := put(t, dir, "keys/example.com/s1.pem", "rsa2048-pkcs8.pem", 0o044)
	info, err := os.Stat(path)
	check(t, err)
	uid, gid := owner(info)
	owning := process{uid: uid, gid: 4000001}
	if uid != 0 {
		// The bits of the group and of others do not help the owner.
		if got := whyNot(path, dir, owning); !strings.HasSuffix(got, "mend it with: chmod u+r "+path) {
			t.Errorf("the owner: %s", got)
		}
	}
	check(t, os.Chmod(path, 0o604))
	member := process{uid: 4000000, gid: 4000001, groups: []int{gid}}
	if got := whyNot(path, dir, member); !strings.HasSuffix(got, "mend it with: chmod g+r "+path) {
		t.Errorf("the group: %s", got)
	}
	if got := whyNot(path, dir, stranger); !strings.Contains(got, "look for ACLs, AppArmor or SELinux") {
		t.Errorf("others, who may: %s", got)
	}
}

func TestTheFaultIsFoundBehindASymbolicLink(t *testing.T) {
	dir := openDir(t)
	target := put(t, dir, "store/deep/real.pem", "rsa2048-pkcs8.pem", 0o600)
	check(t, os.MkdirAll(filepath.Join(dir, "keys/example.com"), 0o755))
	path := filepath.Join(dir, "keys/example.com/s1.pem")
	check(t, os.Symlink("../../store/deep/real.pem", path))
	if got := whyNot(path, filepath.Join(dir, "keys"), stranger); !strings.Contains(got, "may not read "+target+", which is -rw-------") {
		t.Errorf("got %s", got)
	}
	check(t, os.Chmod(filepath.Join(dir, "store"), 0o700))
	if got := whyNot(path, filepath.Join(dir, "keys"), stranger); !strings.Contains(got, "may not enter the folder "+filepath.Join(dir, "store")) {
		t.Errorf("got %s", got)
	}
	loop := filepath.Join(dir, "loop")
	check(t, os.Symlink(loop, loop))
	if got := whyNot(loop, dir, stranger); !strings.Contains(got, "although") {
		t.Errorf("a loop: got %s", got)
	}
}

// The kernel judges here, not our reading of the mode bits: a thread of its own
// gives up root's rights and tries to load the key.
func TestAKeyOfRootIsToldToADaemonWithoutPrivileges(t *testing.T) {
	dir := openDir(t)
	path := put(t, dir, "keys/example.com/s1.pem", "rsa2048-pkcs8.pem", 0o600)
	if os.Geteuid() != 0 {
		check(t, os.Chmod(path, 0o000))
		_, err := Load(filepath.Join(dir, "keys"), "example.com", "s1")
		if err == nil || !strings.Contains(err.Error(), "mend it with: chmod u+r "+path) {
			t.Errorf("got %v", err)
		}
		return
	}
	errs := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its rights lowered
		for _, call := range [][4]uintptr{
			{syscall.SYS_SETGROUPS, 0, 0, 0}, {syscall.SYS_SETRESGID, 65534, 65534, 65534}, {syscall.SYS_SETRESUID, 65534, 65534, 65534},
		} {
			if _, _, e := syscall.RawSyscall(call[0], call[1], call[2], call[3]); e != 0 {
				errs <- nil
				return
			}
		}
		_, err := Load(filepath.Join(dir, "keys"), "example.com", "s1")
		errs <- err
	}()
	err := <-errs
	for _, part := range []string{
		"the key s1 of example.com, " + path + ": the user " + userName(65534) + " (uid 65534) may not read this file, which is -rw------- ",
		"mend it with: chgrp " + groupName(65534) + " " + path + " && chmod g+r " + path,
	} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got  %v\nwant %s", err, part)
		}
	}
}

func TestAGroupThatIsNotOursIsWarnedOf(t *testing.T) {
	path := put(t, t.TempDir(), "s1.pem", "rsa2048-pkcs8.pem", 0o640)
	info, err := os.Stat(path)
	check(t, err)
	_, gid := owner(info)
	if e, _ := widened(path, info, stranger); !strings.Contains(e.String(), "which is not ours, may read the key (-rw-r-----") {
		t.Errorf("a stranger: %q", e)
	}
	for name, p := range map[string]process{"a member": {uid: 1, gid: gid}, "root": {uid: 0, gid: 1}} {
		if got, found := widened(path, info, p); found {
			t.Errorf("%s: %q", name, got)
		}
	}
}
