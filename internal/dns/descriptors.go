package dns

import "syscall"

// The shares of this process's descriptors for look-ups: those for messages, and the
// uncached ones (Each) to all servers together.
const (
	messagePart  = 4
	uncachedPart = 16
)

// maxOpenFiles returns this process's limit of descriptors. Go raises it to the maximum
// at the start.
func maxOpenFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024 // the usual limit
	}
	return int(min(limit.Cur, 1<<30))
}

// fitting returns the limits of concurrent look-ups: for messages, and uncached to each
// of so many servers.
func fitting(openFiles, servers int) (messages, uncached int) {
	messages = min(maxInFlight, openFiles/messagePart)
	uncached = min(maxUncached, openFiles/uncachedPart/servers)
	return max(messages, int(purposes)), max(uncached, 1)
}

// Sockets returns the maximum number of descriptors of a source's look-ups.
func Sockets(s Source) int {
	r, ok := s.(*Resolver)
	if !ok {
		return 0
	}
	n := len(r.servers) * r.uncached
	for p := range r.slots.lanes {
		n += r.slots.lanes[p].size
	}
	return n
}
