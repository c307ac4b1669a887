package milter

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestTheStateOfAServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	s, err := listenUnix(t, path, func(c *Config) {
		c.MaxConnections = 1
		c.Listen = append(c.Listen, Listen{Address: Address{"tcp", "127.0.0.1:0"}, Role: "sign"})
	})
	if err != nil {
		t.Fatal(err)
	}
	st := s.State()
	if len(st.Listeners) != 2 || st.Listeners[0].Address != "unix:"+path || st.Listeners[0].Role != "auto" || st.Listeners[1].Role != "sign" ||
		st.Listeners[0].Problem != "" || st.Listeners[1].Problem != "" || st.MaxConnections != 1 || st.MaxHeaderMemory != 256<<20 || s.Connected() {
		t.Errorf("before Serve: %+v", st)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	var open []net.Conn
	for range 2 { // the second one waits for a slot
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	eventually(t, "one is open, one waits", func() bool {
		st := s.State()
		return st.Listeners[0].Connections == 1 && st.Connections == 1 && st.SlotWaits == 1 && st.Listeners[0].Accepted == 1 && s.Connected()
	})
	for _, conn := range open {
		conn.Close()
	}
	eventually(t, "none is open", func() bool {
		l := s.State().Listeners[0]
		return l.Connections == 0 && l.Accepted == 2 && !s.Connected()
	})

	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if got := s.State().Listeners[0].Problem; got != "its socket file is gone" {
		t.Errorf("without its file: %q", got)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.State().Listeners[0].Problem; got != "another process has replaced its socket file" {
		t.Errorf("with another's file: %q", got)
	}
	other.Close()
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if got := s.State().Listeners[0].Problem; got != "" {
		t.Errorf("with its file again: %q", got)
	}
	s.stopListening()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	for _, l := range s.State().Listeners {
		if l.Problem == "" {
			t.Errorf("after its end %s has no problem", l.Address)
		}
	}
}

func TestAClientWithoutAPort(t *testing.T) {
	for data, want := range map[string]bool{
		"localhost\x004\x00\x00127.0.0.1\x00":    true,
		"localhost\x004\x30\x39127.0.0.1\x00":    false,
		"localhost\x004\x00\x19127.0.0.1\x00":    false,
		"unknown\x00U":                           false,
		"mx.example\x006\x12\x342001:db8::1\x00": false,
	} {
		c, err := parseConnect([]byte(data))
		if err != nil || c.portless != want {
			t.Errorf("%q: %v, %v", data, c.portless, err)
		}
	}
}
