package milter

import (
	"context"

	"signpost/internal/message"
)

// Signer is the milter's view of the signing part.
type Signer interface {
	// Outbound decides from the envelope whether a message is ours to sign. why names the rule and
	// the value that it compared, for the log.
	Outbound(env message.Envelope) (ours bool, why string)
	// Sign starts with one message. ctx ends with the message.
	Sign(ctx context.Context, env message.Envelope) message.Transaction
}

// Verifier is the milter's view of the verifying part.
type Verifier interface {
	// Verify starts with one message at MAIL FROM: env has no recipients yet, and may have no queue
	// id. Everything that it starts must end with ctx.
	Verify(ctx context.Context, env message.Envelope) message.Transaction
}

// Generation is one loaded configuration with its keys. It is immutable; a message keeps the one
// that it started with.
type Generation struct {
	Signer   Signer
	Verifier Verifier
}
