// Package milter speaks the Sendmail mail filter protocol, versions 2 to 6, with
// Postfix and Sendmail: it accepts their connections, hands every message to the
// signer or the verifier, and tells the MTA what to change and what to answer.
//
// The protocol has no RFC. What is written here follows what Postfix (milter8.c,
// cleanup_milter.c) and Sendmail (milter.c, headers.c, libmilter's engine.c)
// really do; the comments name the place. The vocabulary of codes and flags is
// go-milter's; the session is our own.
//
// One goroutine serves one connection. A message is decided at its end and only
// there: every earlier step is answered with "continue", or with nothing where the
// MTA agrees to wait for nothing. While a decision waits for DNS, PROGRESS keeps
// the MTA from giving up.
//
// Known deviations:
//
//   - Commands out of order do not end the connection; what has no message to
//     belong to is answered and forgotten.
//   - Macros are looked up latest step first, with end of message later than end
//     of header. libmilter has these two the other way round.
//   - Replies at connect, HELO, MAIL and RCPT are never refusals.
package milter
