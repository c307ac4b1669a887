package milter

import (
	"context"

	"signpost/internal/message"
)

// Signer is what the milter knows of the part that signs.
type Signer interface {
	// Outbound decides from the envelope alone whether a message is ours to sign.
	// why names the rule that decided and what it compared, for the log.
	Outbound(env message.Envelope) (ours bool, why string)
	// Sign begins on one message. ctx ends with the message.
	Sign(ctx context.Context, env message.Envelope) message.Transaction
}

// Verifier is what the milter knows of the part that judges.
type Verifier interface {
	// Verify begins on one message, at MAIL FROM: env has no recipients yet, and
	// may have no queue id. What it starts ends with ctx.
	Verify(ctx context.Context, env message.Envelope) message.Transaction
}

// Generation is one loaded configuration with its keys. It never changes; a
// message keeps the one it began with.
type Generation struct {
	Signer   Signer
	Verifier Verifier
}
