package dns

import "syscall"

// The parts of this process's descriptors that look-ups may hold: those for messages,
// and those past the cache (Each) to all servers together.
const (
	messagePart  = 4
	uncachedPart = 16
)

// maxOpenFiles is how many descriptors this process may have. It is what Go has raised
// the limit to at the start: all that is allowed.
func maxOpenFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024 // as good a guess as any: the usual limit
	}
	return int(min(limit.Cur, 1<<30))
}

// fitting are the look-ups that may be under way: for messages, and past the cache to
// each of so many servers.
func fitting(openFiles, servers int) (messages, uncached int) {
	messages = min(maxInFlight, openFiles/messagePart)
	uncached = min(maxUncached, openFiles/uncachedPart/servers)
	return max(messages, int(purposes)), max(uncached, 1)
}

// Sockets is how many descriptors the look-ups of a source hold at most.
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
