package message

// A Transaction is the work on one message. Its methods are called in order, by
// one goroutine: Header once, Body for each chunk while it is wanted, Cut if the
// message is too big, End once.
// A message that is given up calls none of the remaining methods; its context ends.
type Transaction interface {
	// Header takes the complete envelope and header at end of headers, and
	// reports whether the body is wanted.
	Header(env Envelope, h Header) (wantBody bool)
	// Body takes the next piece of the body, cut anywhere, with CRLF line ends;
	// it must not keep it. It reports whether more is wanted.
	Body(chunk []byte) (more bool)
	// Cut says that the rest of the body will not be handed over, because the message
	// is beyond the limit of size. End follows.
	Cut()
	// End says what is to be done with the message. It may wait for DNS, until
	// the context ends at the latest.
	End() Outcome
}
