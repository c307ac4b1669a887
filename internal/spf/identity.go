package spf

import (
	"context"
	"fmt"
	"strings"

	"signpost/internal/message"
)

// CheckHost checks the MAIL FROM identity. For a null sender that is the mailbox
// postmaster at the HELO name (§2.4), and Outcome.Identity is IdentityHelo. It sends
// the resolver one question at a time, fewer than 125 in total, and ends with ctx or
// after Timeout if the resolver obeys its context.
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

// CheckHelo checks the HELO identity (§2.3), for any sender. An address literal and a
// name of one label give None without a look-up.
func CheckHelo(ctx context.Context, r Resolver, q Query) Outcome {
	return check(ctx, r, q, identity{IdentityHelo, q.Helo, "", q.Helo})
}

// identity is the checked identity as the client gave it, and its parts.
type identity struct {
	kind          Identity
	given         string
	local, domain string
}

func check(ctx context.Context, r Resolver, q Query, id identity) Outcome {
	domain, ex := id.checkable()
	if !q.Addr.IsValid() {
		ex = &exception{result: None, reason: NoAddress}
	}
	if ex != nil {
		return Outcome{Result: ex.result, Identity: id.kind, Domain: domain, Reason: ex.reason}
	}
	if id.local == "" {
		id.local = "postmaster" // §4.3
	}
	out := evaluate(ctx, r, q, id.local, domain)
	out.Identity = id.kind
	return out
}

// checkable returns the identity's domain in A-labels, if its record can be looked up
// (§4.3).
func (id identity) checkable() (string, *exception) {
	if id.given == "" {
		return "", &exception{result: None, reason: "the client gave no HELO name"}
	}
	if id.domain == "" {
		return "", &exception{result: None, reason: fmt.Sprintf("there is no domain in %s (RFC 7208 section 4.3)", quote(id.given))}
	}
	// RFC 8616 §4: U-labels are converted first.
	domain, ok := message.DomainToASCII(id.domain)
	if !ok {
		return "", &exception{result: None, reason: fmt.Sprintf("%s is not a domain name (RFC 7208 section 4.3)", quote(id.domain))}
	}
	if !strings.Contains(domain, ".") {
		return "", notQualified(domain)
	}
	return domain, nil
}

func notQualified(domain string) *exception {
	return &exception{result: None, reason: fmt.Sprintf("%s is not a fully qualified domain name (RFC 7208 section 4.3)", quote(domain))}
}
