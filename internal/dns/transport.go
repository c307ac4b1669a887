package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	wire "github.com/miekg/dns"
)

const (
	// udpSize is the largest reply that we request over UDP: it fits an IPv6 packet
	// without fragments. Fragments could be forged one by one.
	udpSize = 1232
	// udpBuffer has room for servers that exceed it.
	udpBuffer = 4096
	// maxStrays limits the packets that match no query of ours before the try ends:
	// they may be guesses of the id.
	maxStrays = 64
)

var errStrays = errors.New("too many replies did not match the question: they may be forged")

// query is one question to one server, with the time limit of each transport.
type query struct {
	server  *server
	key     key
	msg     *wire.Msg
	mixed   bool // the letters are of random case
	timeout time.Duration
}

// exchange sends one question to one server: over UDP, and over TCP if the reply does
// not fit. plainly sends it in lower case.
func exchange(ctx context.Context, srv *server, k key, timeout time.Duration, now time.Time, plainly bool) (*wire.Msg, error) {
	q := &query{server: srv, key: k, msg: newQuery(k), timeout: timeout}
	if q.mixed = !plainly && srv.mixes(now); q.mixed {
		q.msg.Question[0].Name = mixCase(q.msg.Question[0].Name)
	}
	m, err := q.overUDP(ctx)
	if err == nil && m.IsEdns0() == nil && (m.Rcode == wire.RcodeFormatError || m.Rcode == wire.RcodeNotImplemented) {
		// RFC 6891 §7: a server that does not know EDNS.
		q.msg.Extra = nil
		m, err = q.overUDP(ctx)
	}
	if errors.Is(err, errOtherCase) {
		m, err = q.again(ctx, now)
	}
	if err == nil && q.mixed && m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError {
		// Some servers of domains fail at capital letters.
		q.plain()
		m, err = q.overUDP(ctx)
	}
	if err == nil && m.Truncated {
		m, err = q.overTCP(ctx)
	}
	return m, err
}

// plain sends the question in lower case from now on.
func (q *query) plain() { q.msg.Question[0].Name, q.mixed = present(q.key.name), false }

// again repeats a question after a reply in another case: over TCP, which is harder to
// forge and shows whether the server changes the case; and in lower case over UDP if
// there is no TCP.
func (q *query) again(ctx context.Context, now time.Time) (*wire.Msg, error) {
	if m, err := q.overTCP(ctx); err == nil {
		if sameCase(m, q.msg) {
			q.server.echoes.Store(true)
		} else {
			q.server.echoes.Store(false)
			q.server.askPlainly(now)
		}
		return m, nil
	}
	q.plain()
	// From a server that is known to keep the case, one such reply is ignored.
	if !q.server.echoes.Swap(false) {
		q.server.askPlainly(now)
	}
	return q.overUDP(ctx)
}

func newQuery(k key) *wire.Msg {
	q := &wire.Msg{Question: []wire.Question{{Name: present(k.name), Qtype: k.rrtype, Qclass: wire.ClassINET}}}
	q.RecursionDesired = true
	return q.SetEdns0(udpSize, false)
}

// pack gives the query a new id that cannot be guessed (RFC 5452 §9.2).
func pack(q *wire.Msg) ([]byte, error) {
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails, says its documentation
	q.Id = binary.BigEndian.Uint16(id[:])
	return q.Pack()
}

// answers reports whether a reply belongs to the query: its id and its question, in any
// case (RFC 5452 §9.1). The connected socket ensures that it comes from the server.
func answers(m, q *wire.Msg, k key) bool {
	if !m.Response || m.Id != q.Id || m.Opcode != wire.OpcodeQuery || len(m.Question) != 1 {
		return false
	}
	name, ok := rawName(m.Question[0].Name)
	return ok && name == k.name && m.Question[0].Qtype == k.rrtype && m.Question[0].Qclass == wire.ClassINET
}

var udpBuffers = sync.Pool{New: func() any { return new([udpBuffer]byte) }}

// overUDP uses a new socket for each query, and so a port that the system picks at
// random (RFC 5452 §9.2).
//
// The error errOtherCase is a reply in another case than a mixed query: at once from a
// server that may change it, and otherwise if no reply in the right case has come.
func (q *query) overUDP(ctx context.Context) (*wire.Msg, error) {
	packet, err := pack(q.msg)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(q.server.addr))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	defer interrupt(ctx, conn)()
	if _, err := conn.Write(packet); err != nil {
		return nil, explain(ctx, err, q.timeout)
	}
	buf := udpBuffers.Get().(*[udpBuffer]byte)
	defer udpBuffers.Put(buf)
	otherCase := false
	for range maxStrays {
		n, err := conn.Read(buf[:])
		if err != nil && otherCase {
			return nil, errOtherCase
		}
		if err != nil {
			return nil, explain(ctx, err, q.timeout)
		}
		m := new(wire.Msg)
		if err := m.Unpack(buf[:n]); err != nil {
			// Servers may truncate a reply at any position; over TCP it is complete.
			if m.Truncated && m.Response && m.Id == q.msg.Id {
				return m, nil
			}
			continue
		}
		if !answers(m, q.msg, q.key) {
			continue
		}
		if !q.mixed {
			return m, nil
		}
		if sameCase(m, q.msg) {
			if proves(q.msg) {
				q.server.echoes.Store(true)
			}
			return m, nil
		}
		if otherCase = true; !q.server.echoes.Load() {
			break
		}
	}
	if otherCase {
		return nil, errOtherCase
	}
	return nil, errStrays
}

func (q *query) overTCP(ctx context.Context) (*wire.Msg, error) {
	packet, err := pack(q.msg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", q.server.addr.String())
	if err != nil {
		return nil, explain(ctx, err, q.timeout)
	}
	defer conn.Close()
	defer interrupt(ctx, conn)()
	// RFC 1035 §4.2.2; in one write, as RFC 7766 §8 recommends.
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)); err != nil {
		return nil, explain(ctx, err, q.timeout)
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, explain(ctx, err, q.timeout)
	}
	reply := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, reply); err != nil {
		return nil, explain(ctx, err, q.timeout)
	}
	m := new(wire.Msg)
	if err := m.Unpack(reply); err != nil {
		return nil, fmt.Errorf("the reply over TCP cannot be read: %w", err)
	}
	if !answers(m, q.msg, q.key) || m.Truncated {
		return nil, errors.New("the reply over TCP does not answer the question")
	}
	return m, nil
}

// interrupt ends reads and writes when the context ends. The returned function cancels
// that.
func interrupt(ctx context.Context, conn net.Conn) func() bool {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// explain names the time limit that was exceeded, if one was.
func explain(ctx context.Context, err error, timeout time.Duration) error {
	switch ctx.Err() {
	case context.DeadlineExceeded:
		return fmt.Errorf("no answer within %s", timeout)
	case context.Canceled:
		return context.Canceled
	}
	return err
}
