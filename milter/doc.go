// Package milter implements the server side of the Sendmail mail filter protocol, versions 2 to 6,
// for Postfix and Sendmail. It accepts connections, gives each message to the signer or the
// verifier, and sends the changes and the reply to the MTA.
//
// The protocol has no RFC. The code follows Postfix (milter8.c, cleanup_milter.c) and Sendmail
// (milter.c, headers.c, libmilter's engine.c); comments name the function. Codes and flags are
// named as in go-milter; the session is our own.
//
// One goroutine serves one connection. A message is decided only at its end: every earlier step is
// answered with "continue", or not at all if the MTA agrees. While a decision waits for DNS,
// PROGRESS keeps the MTA from giving up.
//
// Known deviations:
//
//   - Commands out of order do not end the connection. A command that needs a message is answered
//     and ignored if there is none.
//   - Macros are looked up latest step first, with end of message later than end of header.
//     libmilter has these two the other way round.
//   - Replies at connect, HELO, MAIL and RCPT are never refusals.
package milter
