package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signpost/keys/lifecycle"
)

// notes are what check-config says of places.
func notes(t *testing.T, config string) string {
	t.Helper()
	r := execute(t, "", "check-config", "--json", config)
	var report checkReport
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != exitOK {
		t.Fatalf("exit %d, %v in %s", r.code, err, r.stdout)
	}
	return strings.Join(report.Notes, "\n")
}

func TestCheckConfigSaysWhatAStartWouldStumbleOver(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	socket, err := net.Listen("unix", filepath.Join(dir, "taken.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state", "keys.json")
	config := func(listen, state string) string {
		return writeFile(t, "c.yaml", "milter: {listen: ["+listen+"]}\nkeys: {state: "+state+"}\n")
	}
	inUse := "in use by another process"
	for _, c := range []struct{ name, listen, state, want string }{
		{"nothing", "inet:127.0.0.1:0", state, ""},
		{"a port in use", "inet:" + taken.Addr().String(), state, "milter.listen[0]: inet:" + taken.Addr().String() + ": " + inUse},
		{"an address that the machine does not have", "inet:192.0.2.1:8891", state, "the machine does not have this address"},
		{"a socket in use", "unix:" + socket.Addr().String(), state, inUse},
		{"a socket's folder that is not there", "unix:" + dir + "/none/m.sock", state, "the folder " + dir + "/none is not there"},
		{"the folder that systemd makes", "unix:/run/signpost/m.sock", state, ""},
		{"a file in the socket's place", "unix:" + dir + "/file", state, "which is no socket"},
		{"a state folder that cannot be made", "inet:127.0.0.1:0", dir + "/file/keys.json", "keys.state: "},
		{"a folder in the state file's place", "inet:127.0.0.1:0", dir, "is not a plain file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := notes(t, config(c.listen, c.state))
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("the notes are %q, want %q", got, c.want)
			}
		})
	}
	// The daemon that runs with this configuration has the address itself.
	lock, err := lifecycle.LockState(state)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for _, listen := range []string{"inet:" + taken.Addr().String(), "unix:" + socket.Addr().String()} {
		if got := notes(t, config(listen, state)); got != "" {
			t.Errorf("beside the running daemon: %q", got)
		}
	}
	// A daemon that has none of the addresses has another configuration.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	for _, listen := range []string{"inet:" + free.Addr().String(), "unix:" + dir + "/free.sock"} {
		if got := notes(t, config(listen, state)); !strings.Contains(got, "keys.state: "+state+" is locked by a process that listens at none of these addresses") {
			t.Errorf("beside another daemon: %q", got)
		}
	}
}
