package daemon

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"signpost/internal/message"
	"signpost/milter"
)

// A message whose header is read keeps little more than its header, in signer and
// verifier too.
func TestAHeaderIsHeldOnce(t *testing.T) {
	const connections = 8
	config := setUp(t)
	g, err := Load(config, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []message.Role{message.RoleSign, message.RoleVerify} {
		t.Run(string(role), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.sock")
			c := milter.Defaults()
			c.Listen = []milter.Listen{{Address: milter.Address{Network: "unix", Addr: path}, Role: role}}
			s := milter.NewServer(c, g.Handlers(), slog.New(slog.DiscardHandler))
			if err := s.Listen(); err != nil {
				t.Fatal(err)
			}
			go s.Serve(context.Background())
			defer s.Shutdown(context.Background())

			fields := make([]string, 20)
			for i := range fields {
				fields[i] = fmt.Sprintf("X-%d\x00", i) + strings.Repeat("x", 50_000) + "\x00"
			}
			conns := make([]net.Conn, connections)
			for i := range conns {
				conns[i] = talk(t, path, role == message.RoleVerify, []string{"From\x00 a@example.com\x00"}, true)
			}
			before := liveHeap()
			for i := range conns {
				conns[i].Close()
				conns[i] = talk(t, path, role == message.RoleVerify, append(fields, "From\x00 a@example.com\x00"), false)
			}
			got := float64(liveHeap()-before) / float64(connections*len(fields)*50_000)
			if got > 1.3 {
				t.Errorf("the heap grew by %.2f times the headers", got)
			}
			for _, c := range conns {
				c.Close()
			}
		})
	}
}

func liveHeap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// talk sends a message up to the first piece of its body, whose answer says that all of
// it has been taken; whole sends the end too.
func talk(t *testing.T, path string, mailReply bool, fields []string, whole bool) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	send := func(code byte, data string) {
		if _, err := conn.Write(append(append(binary.BigEndian.AppendUint32(nil, uint32(len(data)+1)), code), data...)); err != nil {
			t.Fatal(err)
		}
	}
	receive := func() byte {
		var head [5]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head[:])-1)); err != nil {
			t.Fatal(err)
		}
		return head[4]
	}
	offer := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 6}, 0x1ff), 0x1fffff&^0x80000) // NR_BODY is not offered
	send('O', string(offer))
	receive()
	send('C', "client.example\x004\x10\x00192.0.2.1\x00")
	send('M', "<a@example.com>\x00")
	if mailReply {
		receive()
	}
	for _, f := range fields {
		send('L', f)
	}
	send('N', "")
	send('B', "text\r\n")
	receive()
	if whole {
		send('E', "")
		for !strings.ContainsRune("ay", rune(receive())) {
		}
	}
	return conn
}
