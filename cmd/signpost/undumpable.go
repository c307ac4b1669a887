package main

import "golang.org/x/sys/unix"

// forbidDumps keeps private keys out of core dumps, regardless of the limits and the core
// pattern of the machine. The memory of the process then belongs to root (proc(5)):
// no other process of the same user can read it or attach a debugger. It holds until
// the process runs another program.
func forbidDumps() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
