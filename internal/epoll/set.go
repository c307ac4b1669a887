package epoll

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// set is an epoll set, and the goroutine that waits for its events.
type set struct {
	fd     int
	file   *os.File // owns fd, and has the runtime wait for it
	events [128]unix.EpollEvent

	mu      sync.Mutex
	sockets map[int32]*socket // by descriptor
	serial  int32
}

// theSet is the process's only one. It is made with the first listener and lasts as long as the process.
var theSet = sync.OnceValues(newSet)

func newSet() (*set, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// os.NewFile asks the runtime to wait for descriptors that do not block.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	s := &set{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), sockets: map[int32]*socket{}}
	raw, err := s.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	go func() {
		// The call lasts as long as the process: the runtime forgets an event that came before a new call.
		err := raw.Read(func(uintptr) bool { s.deliver(); return false })
		panic(fmt.Sprintf("waiting for an epoll set: %v", err))
	}()
	return s, nil
}

// deliver tells all sockets that have events.
func (s *set) deliver() {
	for {
		n, errno := epollWait(s.fd, s.events[:])
		if errno == syscall.EINTR {
			continue
		}
		for _, event := range s.events[:max(n, 0)] {
			s.mu.Lock()
			socket := s.sockets[event.Fd]
			s.mu.Unlock()
			// The descriptor may be another socket's by now.
			if socket != nil && socket.serial == event.Pad {
				socket.happened(event.Events)
			}
		}
		if n < len(s.events) {
			return
		}
	}
}

// Events come once for each change (EPOLLET).
const (
	readEvents  = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff
	writeEvents = readEvents | unix.EPOLLOUT
)

// watch begins to watch a socket, or changes for which events. An event that is there already counts as a
// change. The caller holds the socket's lock.
func (s *set) watch(socket *socket, events uint32) error {
	operation := unix.EPOLL_CTL_MOD
	if socket.watched == 0 {
		operation = unix.EPOLL_CTL_ADD
		s.mu.Lock()
		s.serial++
		socket.serial = s.serial
		s.sockets[int32(socket.fd)] = socket
		s.mu.Unlock()
	}
	event := unix.EpollEvent{Events: events, Fd: int32(socket.fd), Pad: socket.serial}
	if errno := epollControl(s.fd, operation, socket.fd, &event); errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	socket.watched = events
	return nil
}

// forget is called before the descriptor is closed. The caller holds the socket's lock.
func (s *set) forget(socket *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sockets[int32(socket.fd)] == socket {
		delete(s.sockets, int32(socket.fd))
	}
}
