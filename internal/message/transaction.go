package message

// A Transaction is the work on one message. One goroutine calls its methods in order:
// Header once, Body for each chunk while it is wanted, Cut if the message is too big,
// End once. If the message is abandoned, the remaining methods are not called and the
// context ends.
type Transaction interface {
	// Header gets the complete envelope and header at end of headers, and reports
	// whether the body is wanted.
	Header(env Envelope, h Header) (wantBody bool)
	// Body gets the next piece of the body, cut anywhere, with CRLF line ends; it must
	// not keep it. It reports whether more is wanted.
	Body(chunk []byte) (more bool)
	// Cut says that the rest of the body is not passed on, because the message exceeds
	// the size limit. End follows.
	Cut()
	// End returns the outcome. It may wait for DNS until the context ends.
	End() Outcome
}
