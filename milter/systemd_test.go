package milter

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Sockets of systemd come as descriptors from 3 on, with their process named in the
// environment; so this takes a process of its own.
func TestSocketsFromSystemd(t *testing.T) {
	if os.Getenv("MILTER_TEST_ACTIVATED") != "" {
		listenActivated(t)
		return
	}
	dir := t.TempDir()
	var files []*os.File
	for _, name := range []string{"configured", "sign", "other"} {
		socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		socket.SetUnlinkOnClose(false)
		defer socket.Close()
		file, err := socket.File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		// So systemd passes it, unless the unit says NonBlocking=yes.
		if err := syscall.SetNonblock(int(file.Fd()), false); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	test := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run '^TestSocketsFromSystemd$' -test.v`, os.Args[0])
	test.ExtraFiles = files
	test.Env = append(os.Environ(), "LISTEN_FDS=3", "LISTEN_FDNAMES=configured:sign:other", "MILTER_TEST_ACTIVATED="+dir)
	out, err := test.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		if name, role, ok := strings.Cut(lines.Text(), " has role "); ok {
			got[name] = role
		}
	}
	for name, role := range map[string]string{"configured": "verify", "sign": "sign", "other": "auto"} {
		if got[name] != role {
			t.Errorf("%s has role %q, want %q\n%s", name, got[name], role, out)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d sockets\n%s", len(got), out)
	}
	// Socket files of systemd are not ours to remove.
	if _, err := os.Stat(filepath.Join(dir, "other")); err != nil {
		t.Error(err)
	}
}

func listenActivated(t *testing.T) {
	cfg := Defaults()
	path := filepath.Join(os.Getenv("MILTER_TEST_ACTIVATED"), "configured")
	cfg.Listen = []Listen{{Address: Address{"unix", path}, Role: "verify"}}
	s := testServer(cfg, &handler{}, &logged{})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	for _, l := range s.listeners {
		fmt.Println(filepath.Base(l.Addr().String()), "has role", l.role)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	for range 2 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	s.Shutdown(context.Background())
	if err := <-served; err != nil {
		t.Error(err)
	}
}
