package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	wire "github.com/miekg/dns"
)

// Error is the failure of one look-up. Every failed look-up has one in its error chain.
type Error struct {
	name   string
	rrtype uint16
	err    error
}

func lookupError(name string, rrtype uint16, err error) error {
	return &Error{name: name, rrtype: rrtype, err: err}
}

func (e *Error) Error() string {
	return fmt.Sprintf("look up %s %q: %v", wire.TypeToString[e.rrtype], e.name, e.err)
}

func (e *Error) Unwrap() error { return e.err }

// Name is the queried name, in lower case and without the final dot. It is foreign
// text.
func (e *Error) Name() string { return e.name }

// Server is the address and port of the server that failed last; "" if no server was
// asked.
func (e *Error) Server() string {
	var s *serverError
	if errors.As(e.err, &s) {
		return s.addr.String()
	}
	return ""
}

// Local reports a failure of this machine or program: no slot or descriptor was free,
// or the caller's own time ended. It says nothing about the name and is not cached.
func (e *Error) Local() bool { return local(e.err) }

// serverError is the failure of one server.
type serverError struct {
	addr netip.AddrPort
	err  error
}

// Error omits the addresses that package net puts before a system's error: our own, and
// the server's a second time.
func (e *serverError) Error() string {
	err := e.err
	if system := syscall.Errno(0); errors.As(err, &system) {
		err = system
	}
	return fmt.Sprintf("%s: %v", e.addr, err)
}

func (e *serverError) Unwrap() error { return e.err }

var (
	errNoSlot    = errors.New("no look-up more could begin in time: too many are under way")
	errPanic     = errors.New("panic")
	errClosed    = errors.New("the resolver has been closed")
	errNotCached = errors.New("the answer is not in the cache")
)

// localErrors are failures of this machine or program.
var localErrors = []error{
	errNoSlot, errClosed, errNotCached, errPanic, context.Canceled, context.DeadlineExceeded,
	syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS,
	// No port is free: the first is UDP's error, the second TCP's.
	syscall.EAGAIN, syscall.EADDRNOTAVAIL,
}

func local(err error) bool {
	return slices.ContainsFunc(localErrors, func(l error) bool { return errors.Is(err, l) })
}
