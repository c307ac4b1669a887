package epoll

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A read that has left nothing behind is followed by no other system call until there is an event.
func TestWaitHoldsUntilThereIsSomethingToRead(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		if waited, err := ours.Wait(); waited || err != nil {
			t.Fatalf("before the first read: %v, %v", waited, err)
		}
		theirs.Write([]byte("first"))
		b := make([]byte, 64)
		if n, err := ours.Read(b); err != nil || string(b[:n]) != "first" {
			t.Fatalf("%q, %v", b[:n], err)
		}
		waited := inBackground(func() error {
			waited, err := ours.Wait()
			if err == nil && !waited {
				err = errors.New("did not wait")
			}
			return err
		})
		waits(&ours.socket, &ours.read)
		theirs.Write([]byte("second"))
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
		if again, err := ours.Wait(); again || err != nil {
			t.Fatalf("with something to read: %v, %v", again, err)
		}
		// A read without room for all leaves something behind.
		if n, err := ours.Read(b[:3]); err != nil || string(b[:n]) != "sec" {
			t.Fatalf("%q, %v", b[:n], err)
		}
		if again, err := ours.Wait(); again || err != nil {
			t.Fatalf("with a rest to read: %v, %v", again, err)
		}
		if n, err := ours.Read(b); err != nil || string(b[:n]) != "ond" {
			t.Fatalf("%q, %v", b[:n], err)
		}
	})
}

func TestWaitEndsWithDeadlineAndClose(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		theirs.Write([]byte("x"))
		if err := read(ours); err != nil {
			t.Fatal(err)
		}
		ours.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := ours.Wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
		ours.SetReadDeadline(time.Time{})
		ended := inBackground(func() error { _, err := ours.Wait(); return err })
		waits(&ours.socket, &ours.read)
		ours.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := ours.Wait(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a second time: %v", err)
		}
	})
}

// The last octets and the end may come with one event.
func TestTheEndComesTogetherWithTheLastOctets(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			for round := range 200 {
				ours, theirs := pair(t, network)
				theirs.Write([]byte("first"))
				if err := read(ours); err != nil {
					t.Fatal(err)
				}
				arrived := inBackground(func() error { _, err := ours.Wait(); return err })
				if round%2 == 0 {
					waits(&ours.socket, &ours.read)
				}
				theirs.Write([]byte("last"))
				theirs.Close()
				if err := <-arrived; err != nil {
					t.Fatal(err)
				}
				ours.SetReadDeadline(time.Now().Add(time.Minute))
				if rest, err := io.ReadAll(ours); err != nil || string(rest) != "last" {
					t.Fatalf("round %d: %q, %v", round, rest, err)
				}
				ours.Close()
			}
		})
	}
}

// A Read that finds nothing waits, also after an event that told of an end or an error.
func TestAReadWaitsThoughAnEndWasToldOf(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		ours.happened(unix.EPOLLERR)
		arrived := inBackground(func() error { return read(ours) })
		waits(&ours.socket, &ours.read)
		theirs.Write([]byte("x"))
		if err := <-arrived; err != nil {
			t.Fatal(err)
		}
		ours.SetReadDeadline(time.Now().Add(time.Millisecond))
		if err := read(ours); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
	})
}

// No octet waits for the next one, in reads and writes of any size.
func TestNoEventIsMissedBetweenReads(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		const rounds = 3000
		ours.SetReadDeadline(time.Now().Add(time.Minute))
		sent := inBackground(func() error {
			random := rand.New(rand.NewPCG(1, 2))
			echoed := make([]byte, 8<<10)
			for i := range rounds {
				// In two pieces, so that the second may come while the first is read.
				data := bytes.Repeat([]byte{byte(i)}, 2+random.IntN(4<<10))
				cut := 1 + random.IntN(len(data)-1)
				for _, piece := range [][]byte{data[:cut], data[cut:]} {
					if _, err := theirs.Write(piece); err != nil {
						return err
					}
				}
				if _, err := io.ReadFull(theirs, echoed[:len(data)]); err != nil {
					return err
				}
				if !bytes.Equal(echoed[:len(data)], data) {
					return errors.New("another text came back")
				}
			}
			return theirs.Close()
		})
		random := rand.New(rand.NewPCG(3, 4))
		b := make([]byte, 4<<10)
		for {
			if random.IntN(2) == 0 {
				if _, err := ours.Wait(); err != nil {
					t.Fatal(err)
				}
			}
			n, err := ours.Read(b[:1+random.IntN(len(b))])
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ours.Write(b[:n]); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}
