package mta

import (
	"runtime"
	"syscall"
	"unsafe"
)

// asAccount runs f in a thread with the ids of the account. The thread ends with it.
func asAccount(a Account, f func() error) error {
	runtime.LockOSThread() // and never unlocked: the runtime ends the thread
	groups := a.Groups
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESGID, uintptr(groups[0]), uintptr(groups[0]), uintptr(groups[0])); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(a.UID), uintptr(a.UID), uintptr(a.UID)); e != 0 {
		return e
	}
	return f()
}
