package milter

import "net"

// acknowledger makes the kernel acknowledge data on a TCP connection at once. Postfix sends a message's commands
// in small pieces and waits for no answer to most of them. With Nagle's algorithm each piece waits for the
// acknowledgement of the previous one, which the kernel would delay by some 40 ms. The option does not last,
// so it is set after every read.
type acknowledger interface{ QuickAck() }

// noAcknowledger is for connections that cannot do it.
type noAcknowledger struct{}

func (noAcknowledger) QuickAck() {}

func acknowledgerOf(conn net.Conn) acknowledger {
	if a, ok := conn.(acknowledger); ok {
		return a
	}
	return noAcknowledger{}
}
