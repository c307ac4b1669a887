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
	// udpSize is the largest reply we ask for over UDP: it fits an IPv6 packet
	// without fragments, which can be forged piece by piece.
	udpSize = 1232
	// udpBuffer leaves room for servers that do not keep to it.
	udpBuffer = 4096
	// maxStrays is how many packets that answer nothing of ours are read past
	// before the try is given up: somebody is guessing ids.
	maxStrays = 64
)

var errStrays = errors.New("too many replies did not match the question: they may be forged")

// query is one question to one server, and how long it may take over each transport.
type query struct {
	server  *server
	key     key
	msg     *wire.Msg
	mixed   bool // the letters are of random case
	timeout time.Duration
}

// exchange puts one question to one server: over UDP, and over TCP if the reply does not
// fit. plainly has it asked in lower case.
func exchange(ctx context.Context, srv *server, k key, timeout time.Duration, now time.Time, plainly bool) (*wire.Msg, error) {
	q := &query{server: srv, key: k, msg: newQuery(k), timeout: timeout}
	if q.mixed = !plainly && srv.mixes(now); q.mixed {
		q.msg.Question[0].Name = mixCase(q.msg.Question[0].Name)
	}
	m, err := q.overUDP(ctx)
	if err == nil && m.IsEdns0() == nil && (m.Rcode == wire.RcodeFormatError || m.Rcode == wire.RcodeNotImplemented) {
		// §7 of RFC 6891: a server that does not know EDNS.
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

// plain has the question asked in lower case from now on.
func (q *query) plain() { q.msg.Question[0].Name, q.mixed = present(q.key.name), false }

// again asks once more where the reply had letters of other case: over TCP, which cannot
// be forged so easily and shows whether it is the server that changes them; and in lower
// case over UDP where there is no TCP.
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
	// Of a server that is known to keep the case, one such reply is not believed.
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
// case (RFC 5452 §9.1). That it comes from the server asked, the connected socket sees to.
func answers(m, q *wire.Msg, k key) bool {
	if !m.Response || m.Id != q.Id || m.Opcode != wire.OpcodeQuery || len(m.Question) != 1 {
		return false
	}
	name, ok := rawName(m.Question[0].Name)
	return ok && name == k.name && m.Question[0].Qtype == k.rrtype && m.Question[0].Qclass == wire.ClassINET
}

var udpBuffers = sync.Pool{New: func() any { return new([udpBuffer]byte) }}

// overUDP uses a socket of its own for each query, and with it a port that the
// system picks at random (RFC 5452 §9.2).
//
// A reply in other case than a mixed query is errOtherCase: at once from a server that may
// be one that changes it, and otherwise when no reply in the right one has come.
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
			// Servers may cut a reply anywhere; TCP brings one that can be checked.
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
	// §4.2.2 of RFC 1035; in one write, as RFC 7766 §8 wants it.
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

// interrupt ends reads and writes when the context ends. The function it returns
// takes that back.
func interrupt(ctx context.Context, conn net.Conn) func() bool {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// explain says which clock ran out, where one did.
func explain(ctx context.Context, err error, timeout time.Duration) error {
	switch ctx.Err() {
	case context.DeadlineExceeded:
		return fmt.Errorf("no answer within %s", timeout)
	case context.Canceled:
		return context.Canceled
	}
	return err
}
