package spf

import (
	"context"
	"fmt"
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
	return check(ctx, r, q, identity{IdentityMailFrom, q.Sender, local, domain})
}

// CheckHelo checks the HELO identity (§2.3), whatever the sender is. A name that
// is an address literal, or has one label only, gives None without a look-up.
func CheckHelo(ctx context.Context, r Resolver, q Query) Outcome {
	return check(ctx, r, q, identity{IdentityHelo, q.Helo, "", q.Helo})
}

// identity is what is to be checked, as the client gave it, and its parts.
type identity struct {
	kind          Identity
	given         string
	local, domain string
}

func check(ctx context.Context, r Resolver, q Query, id identity) Outcome {
	out := Outcome{Result: None, Identity: id.kind}
	// RFC 8616 §4: U-labels are converted before anything else is done.
	domain, ok := message.DomainToASCII(id.domain)
	switch {
	case id.domain == "":
		out.Reason = fmt.Sprintf("there is no domain in %s (RFC 7208 section 4.3)", quote(id.given))
		return out
	case !ok:
		out.Reason = fmt.Sprintf("%s is not a domain name (RFC 7208 section 4.3)", quote(id.domain))
		return out
	case !strings.Contains(domain, "."):
		out.Reason = notQualified(domain)
		return out
	}
	out.Domain = domain
	if !q.Addr.IsValid() {
		out.Reason = "the client's address is not known"
		return out
	}
	if id.local == "" {
		id.local = "postmaster" // §4.3
	}
	return out.evaluate(ctx, r, q, id.local)
}

func notQualified(domain string) string {
	return fmt.Sprintf("%s is not a fully qualified domain name (RFC 7208 section 4.3)", quote(domain))
}
