package spf

import (
	"context"
	"strings"

	"signpost/internal/message"
)

// CheckHost checks the MAIL FROM identity. With a null sender that is the mailbox
// postmaster at the HELO name (§2.4), and Outcome.Identity is IdentityHelo. It
// asks the resolver one question at a time and returns when ctx ends at the
// latest, if the resolver does.
func CheckHost(ctx context.Context, r Resolver, q Query) Outcome {
	if q.Sender == "" || q.Sender == "<>" {
		return CheckHelo(ctx, r, q)
	}
	local, domain := message.SplitPath(q.Sender)
	// §4.3: a sender without a local part is a domain.
	if domain == "" && !strings.Contains(q.Sender, "@") {
		local, domain = "", local
	}
	return check(ctx, r, q, sender{IdentityMailFrom, local, domain})
}

// CheckHelo checks the HELO identity (§2.3), whatever the sender is. A name that
// is an address literal, or has one label only, gives None without a look-up.
func CheckHelo(ctx context.Context, r Resolver, q Query) Outcome {
	return check(ctx, r, q, sender{IdentityHelo, "", q.Helo})
}

// sender is the identity under check, as it was given.
type sender struct {
	identity      Identity
	local, domain string
}

func check(ctx context.Context, r Resolver, q Query, s sender) Outcome {
	out := Outcome{Result: None, Identity: s.identity}
	// RFC 8616 §4: U-labels are converted before anything else is done.
	domain, ok := message.DomainToASCII(s.domain)
	switch {
	case !ok:
		out.Reason = quote(s.domain) + " is not a domain name (RFC 7208 section 4.3)"
		return out
	case !strings.Contains(domain, "."):
		out.Reason = quote(domain) + " is not a fully qualified domain name (RFC 7208 section 4.3)"
		return out
	}
	out.Domain = domain
	if !q.Addr.IsValid() {
		out.Reason = "the client's address is not known"
		return out
	}
	if s.local == "" {
		s.local = "postmaster" // §4.3
	}
	return out.evaluate(ctx, r, q, s.local)
}
