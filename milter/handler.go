package milter

import (
	"context"

	"signpost/internal/message"
)

// Signer is what the milter knows of the part that signs.
type Signer interface {
	// Ours decides from the envelope alone whether a message is ours to sign.
	// why names the rule that decided and what it compared, for the log.
	Ours(env message.Envelope) (ours bool, why string)
	// Sign begins on one message. ctx ends with the message.
	Sign(ctx context.Context, env message.Envelope) Transaction
}

// Verifier is what the milter knows of the part that judges.
type Verifier interface {
	// Verify begins on one message, at MAIL FROM: env has no recipients yet, and
	// may have no queue id. What it starts ends with ctx.
	Verify(ctx context.Context, env message.Envelope) Transaction
}

// A Transaction is the work on one message. Its methods are called in order, by
// one goroutine: Header once, Body for each chunk while it is wanted, Cut if the
// message is too big, End once.
// A message that is given up calls none of what remains; its context ends.
type Transaction interface {
	// Header takes the complete envelope and header at end of headers, and
	// reports whether the body is wanted.
	Header(env message.Envelope, h message.Header) (wantBody bool)
	// Body takes the next piece of the body, cut anywhere, with CRLF line ends;
	// it must not keep it. It reports whether more is wanted.
	Body(chunk []byte) (more bool)
	// Cut says that the rest of the body will not be handed over, because the message
	// is beyond the limit of size. End follows.
	Cut()
	// End says what is to be done with the message. It may wait for DNS, until
	// the context ends at the latest.
	End() message.Outcome
}

// Generation is one loaded configuration with its keys. It never changes; a
// message keeps the one it began with.
type Generation struct {
	Signer   Signer
	Verifier Verifier
}
