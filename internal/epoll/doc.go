// Package epoll accepts, reads and writes stream sockets at a lower price than package net, for a server that
// sleeps between the packets of its connections.
//
// After such a sleep, package net costs more than the packet does:
//
//   - Every ordinary system call wakes the runtime's monitor thread, which then naps several times for 20 µs before
//     it sleeps again. Accept and Close are such calls. Here all calls are raw, but for one in a long stretch of reads
//     without a pause; the sockets are non-blocking, so no call holds a processor.
//   - Package net asks the kernel to be told when a socket can be written to. That is the case each time the
//     other side has read an answer, so every answer wakes the process once more. Here a socket is only watched
//     for writing once a write has had to wait.
//   - Package net reads once more before it waits. Here a read that returned less than it had room for has emptied
//     the socket.
//   - Package net adjusts a timer for every deadline that is set. Here a timer that runs already and ends
//     earlier stays; it looks at the deadline when it fires.
//
// The connections have an epoll set of their own. Its descriptor can itself be waited for, and the runtime does that,
// so a process with nothing to do still sleeps in one place.
package epoll
