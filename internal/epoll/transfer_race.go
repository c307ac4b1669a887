//go:build race

package epoll

import "syscall"

// readSocket and writeSocket tell the race detector what they do: octets that arrive come after those that were
// written, at both ends of a socket in one process.
func readSocket(fd int, data []byte) (int, syscall.Errno) {
	n, err := syscall.Read(fd, data)
	return n, errnoOf(err)
}

func writeSocket(fd int, data []byte) (int, syscall.Errno) {
	n, err := syscall.Write(fd, data)
	return n, errnoOf(err)
}
