package mta

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func socketAt(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

// short is a folder with a path short enough for a socket.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "v")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPathAsAServiceSeesIt(t *testing.T) {
	queue := short(t)
	must(t, os.Mkdir(filepath.Join(queue, "signpost"), 0o755))
	socket := filepath.Join(queue, "signpost/m.sock")
	socketAt(t, socket)
	must(t, os.Symlink("/signpost/m.sock", filepath.Join(queue, "absolute")))
	must(t, os.Symlink("signpost", filepath.Join(queue, "relative")))
	must(t, os.Symlink("loop", filepath.Join(queue, "loop")))
	p := &Postfix{params: map[string]string{"queue_directory": queue}}
	for _, c := range []struct {
		path           string
		chroot, exists bool
	}{
		{"signpost/m.sock", true, true},
		{"signpost/m.sock", false, true},
		{"/signpost/m.sock", true, true},
		{"/signpost/m.sock", false, false},
		{socket, true, false},
		{socket, false, true},
		{"absolute", true, true},
		{"absolute", false, false},
		{"relative/m.sock", true, true},
		{"../../../signpost/m.sock", true, true},
		{"loop", true, false},
	} {
		steps, err := p.View(Service{Chroot: c.chroot}).Resolve(c.path)
		if (err == nil) != c.exists {
			t.Errorf("%s, chroot %t: %v", c.path, c.chroot, err)
		}
		if err == nil && steps[len(steps)-1].Path != socket {
			t.Errorf("%s, chroot %t: leads to %s", c.path, c.chroot, steps[len(steps)-1].Path)
		}
	}
}

func TestWhoMayConnect(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("owners of files need root")
	}
	const smtpd, group, stranger = 40001, 40002, 40003
	account := Account{Name: "postfix", UID: smtpd, Groups: []uint32{smtpd, group}}
	for _, c := range []struct {
		what               string
		folder, socket     os.FileMode
		folderGID, sockGID int
		denied             string // the last part of the path
	}{
		{"by a supplementary group", 0o750, 0o660, group, group, ""},
		{"everybody", 0o755, 0o666, stranger, stranger, ""},
		{"a folder of another group", 0o750, 0o666, stranger, group, "d"},
		{"a socket of another group", 0o755, 0o660, group, stranger, "s"},
		{"a group that may only read", 0o755, 0o640, group, group, "s"},
		{"a group that may not enter", 0o745, 0o666, group, group, "d"},
	} {
		dir := short(t)
		must(t, os.Chmod(dir, 0o755))
		socketAt(t, filepath.Join(dir, "s"))
		folder := filepath.Join(dir, "d")
		must(t, os.Mkdir(folder, 0o755))
		socket := filepath.Join(folder, "s")
		socketAt(t, socket)
		must(t, os.Chown(folder, 0, c.folderGID))
		must(t, os.Chown(socket, 0, c.sockGID))
		must(t, os.Chmod(folder, c.folder))
		must(t, os.Chmod(socket, c.socket))
		steps, err := View{Root: "/", Dir: "/"}.Resolve(socket)
		must(t, err)
		d, ok := account.Connects(steps)
		if ok != (c.denied == "") || !ok && filepath.Base(d.Path) != c.denied {
			t.Errorf("%s: %t, denied at %q", c.what, ok, d.Path)
		}
		// What the kernel says is the truth.
		if got := connectsAs(t, account, socket); got != ok {
			t.Errorf("%s: the kernel lets it connect: %t, we say %t", c.what, got, ok)
		}
	}
}

// connectsAs asks the kernel, in a thread that has the account's ids and is not used again.
func connectsAs(t *testing.T, a Account, socket string) bool {
	t.Helper()
	answer := make(chan error)
	go func() {
		answer <- asAccount(a, func() error {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer syscall.Close(fd)
			return syscall.Connect(fd, &syscall.SockaddrUnix{Name: socket})
		})
	}()
	err := <-answer
	if err != nil && err != syscall.EACCES {
		t.Fatal(err)
	}
	return err == nil
}

func TestAccessControlLists(t *testing.T) {
	const user, group, mask = 40001, 40002, 0
	list := func(entries ...accessEntry) accessEntries {
		raw := binary.LittleEndian.AppendUint32(nil, 2)
		for _, e := range entries {
			raw = binary.LittleEndian.AppendUint16(raw, e.tag)
			raw = binary.LittleEndian.AppendUint16(raw, uint16(e.perm))
			raw = binary.LittleEndian.AppendUint32(raw, e.id)
		}
		got, ok := parseAccessList(raw)
		if !ok {
			t.Fatal("not read")
		}
		return got
	}
	a := Account{UID: user, Groups: []uint32{group}}
	for i, c := range []struct {
		l    accessEntries
		want bool
	}{
		{list(accessEntry{tagUser, 6, user}, accessEntry{tagMask, 7, mask}), true},
		{list(accessEntry{tagUser, 6, user}, accessEntry{tagMask, 4, mask}), false},
		{list(accessEntry{tagGroup, 6, group}, accessEntry{tagMask, 7, mask}), true},
		{list(accessEntry{tagGroup, 4, group}, accessEntry{tagMask, 7, mask}), false},
		{list(accessEntry{tagUser, 6, 1}, accessEntry{tagMask, 7, mask}), false},
	} {
		if got := c.l.may(2, a, 99, 0); got != c.want {
			t.Errorf("%d: %t", i, got)
		}
	}
}
