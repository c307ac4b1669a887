package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	gomilter "github.com/emersion/go-milter"
)

// Protocol codes that go-milter does not define.
const (
	codeUnknown gomilter.Code = 'U' // SMFIC_UNKNOWN
	actProgress byte          = 'p' // SMFIR_PROGRESS
)

const (
	// defaultPacketBytes is the default of max_packet_bytes. Pieces of the body have at most 65535 octets, and Postfix
	// cuts a field at 102400 (header_size_limit).
	defaultPacketBytes = 1 << 20
	// maxCommand limits a packet with one line of an SMTP client. Postfix cuts such a line at 2048 octets
	// (line_length_limit), Sendmail at 2048, and at 12288 after AUTH.
	maxCommand = 16 << 10
	// maxAnswer is the largest packet that an MTA accepts (MilterMaxDataSize in Sendmail; Postfix accepts twice as
	// much).
	maxAnswer = 65535
)

// Sizes of the read buffer: for an idle connection, for one with a message, and for one that sends a large body.
const (
	waitingBuffer = 512
	messageBuffer = 16 << 10
	bodyBuffer    = 68 << 10
)

var (
	messageBuffers = bufferPool(messageBuffer)
	bodyBuffers    = bufferPool(bodyBuffer)
)

func bufferPool(size int) *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, size); return &b }}
}

// reader splits the MTA's data into packets. Its memory grows with the data that has arrived, not with the length
// that a packet claims.
type reader struct {
	conn net.Conn
	ack  acknowledger
	wait waiter // nil: the connection cannot do it
	max  uint32 // octets of a packet
	// arm sets the read deadline before a read that may block; idle means that no octet of a packet has arrived yet.
	arm func(idle bool) error
	// allow reports whether an oversize buffer may be made.
	allow func(size int) bool

	own      [waitingBuffer]byte
	borrowed *[]byte    // the buffer in use, if it is borrowed
	pool     *sync.Pool // the pool of borrowed
	buf      []byte     // own, *borrowed, or one made for a packet of unusual size
	r, w     int        // buf[r:w] is read and not yet taken
	left     int        // unread octets of the current packet
	armed    bool       // the current packet has its deadline
	drained  bool       // the last read had room for more
}

// next reads a packet up to and including its command octet. It skips the rest of the previous packet.
func (r *reader) next() (gomilter.Code, error) {
	for r.left > 0 {
		if _, err := r.chunk(); err != nil {
			return 0, err
		}
	}
	r.armed = false
	if err := r.need(4); err != nil {
		return 0, err
	}
	size := binary.BigEndian.Uint32(r.buf[r.r:])
	if size == 0 || size > r.max {
		return 0, fmt.Errorf("packet of %d octets, from 1 to %d are possible (max_packet_bytes): this is no milter client", size, r.max)
	}
	if err := r.need(5); err != nil {
		return 0, err
	}
	command := gomilter.Code(r.buf[r.r+4])
	r.r += 5
	r.left = int(size) - 1
	return command, nil
}

// data returns the whole payload of the current packet. It is valid until the next call.
func (r *reader) data() ([]byte, error) {
	if err := r.need(r.left); err != nil {
		return nil, err
	}
	data := r.buf[r.r : r.r+r.left]
	r.r += r.left
	r.left = 0
	return data, nil
}

// chunk returns the available part of the current packet's payload. It is valid until the next call.
func (r *reader) chunk() ([]byte, error) {
	if r.r == r.w {
		if r.left > len(r.buf) {
			r.use(bodyBuffer)
		}
		if err := r.fill(true); err != nil {
			return nil, err
		}
	}
	n := min(r.left, r.w-r.r)
	data := r.buf[r.r : r.r+n]
	r.r += n
	r.left -= n
	return data, nil
}

// need reads until n octets are available.
func (r *reader) need(n int) error {
	for r.w-r.r < n {
		if r.r+n > len(r.buf) {
			if err := r.makeRoom(n); err != nil {
				return err
			}
		}
		if err := r.fill(false); err != nil {
			return err
		}
	}
	return nil
}

// head returns the first octets of the current packet's payload, at most this many. next skips the rest.
func (r *reader) head(most int) ([]byte, error) {
	n := min(most, r.left)
	if err := r.need(n); err != nil {
		return nil, err
	}
	data := r.buf[r.r : r.r+n]
	r.r += n
	r.left -= n
	return data, nil
}

// makeRoom moves unread data to the front, and replaces a full buffer with a larger one.
func (r *reader) makeRoom(n int) error {
	if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	if r.w < len(r.buf) {
		return nil
	}
	switch {
	case len(r.buf) < messageBuffer:
		r.use(messageBuffer)
	case len(r.buf) < bodyBuffer:
		r.use(bodyBuffer)
	default:
		size := min(2*len(r.buf), n)
		if !r.allow(size) {
			return errHeaderMemory
		}
		r.moveTo(make([]byte, size), nil, nil)
	}
	return nil
}

// oversize is the size of a buffer that was made for one large packet, else 0.
func (r *reader) oversize() int {
	if len(r.buf) <= bodyBuffer {
		return 0
	}
	return len(r.buf)
}

// shrink replaces an oversize buffer.
func (r *reader) shrink() {
	if r.oversize() > 0 {
		r.use(bodyBuffer)
	}
}

var errNoProgress = errors.New("the connection delivers nothing, and no error")

// waiter waits for data without a buffer for it. waited is false where there may be data already.
type waiter interface {
	Wait() (waited bool, err error)
}

// fill reads once. While a connection waits for a packet, or for the rest of one that has begun, it has only a small buffer. A
// body keeps its buffer.
func (r *reader) fill(body bool) error {
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	idle := r.r == r.w && r.left == 0
	if !r.armed {
		if err := r.arm(idle); err != nil {
			return err
		}
		r.armed = !idle
	}
	if begun := !idle && !body && r.drained && len(r.buf) == messageBuffer && r.w-r.r <= waitingBuffer; r.wait != nil && (idle || begun) {
		if begun {
			r.use(waitingBuffer)
		}
		waited, err := r.wait.Wait()
		if err != nil {
			return err
		}
		if (waited || begun) && len(r.buf) == waitingBuffer {
			r.use(messageBuffer)
		}
	}
	for range 100 {
		n, err := r.conn.Read(r.buf[r.w:])
		if n > 0 {
			r.w += n
			r.drained = r.w < len(r.buf)
			r.ack.QuickAck()
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errNoProgress
}

// use switches to a buffer of one of the three sizes, unless the unread data does not fit.
func (r *reader) use(size int) {
	if size == len(r.buf) || r.w-r.r > size {
		return
	}
	pool := messageBuffers
	switch size {
	case waitingBuffer:
		r.moveTo(r.own[:], nil, nil)
		return
	case bodyBuffer:
		pool = bodyBuffers
	}
	borrowed := pool.Get().(*[]byte)
	r.moveTo(*borrowed, borrowed, pool)
}

// release drops unread data and returns a borrowed buffer.
func (r *reader) release() {
	r.r, r.w = 0, 0
	r.use(waitingBuffer)
}

// moveTo switches to another buffer and returns a borrowed one.
func (r *reader) moveTo(buf []byte, borrowed *[]byte, pool *sync.Pool) {
	r.w = copy(buf, r.buf[r.r:r.w])
	r.r = 0
	if r.borrowed != nil {
		r.pool.Put(r.borrowed)
	}
	r.buf, r.borrowed, r.pool = buf, borrowed, pool
}

// writer collects packets and sends them with one system call. The lock is for the timer that sends PROGRESS beside
// the session.
type writer struct {
	conn net.Conn
	mu   sync.Mutex
	out  []byte
}

var errNotTaken = errors.New("the MTA did not take our answer, and answers its client by its own default")

// writeTimeout is for an MTA that does not read our answer.
const writeTimeout = 30 * time.Second

// add appends an answer without data.
func (w *writer) add(code byte) { w.out = append(w.out, 0, 0, 0, 1, code) }

// flush sends the collected packets and frees a large buffer.
func (w *writer) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.send(w.out)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNotTaken, err)
	}
	const keep = 4 << 10
	if cap(w.out) > keep {
		w.out = nil
	}
	w.out = w.out[:0]
	return err
}

// send writes at once. The caller holds the lock.
func (w *writer) send(data []byte) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := w.conn.Write(data)
	return err
}

// closePacket writes the length of the packet that starts at start and extends to the end of out.
func closePacket(out []byte, start int) []byte {
	binary.BigEndian.PutUint32(out[start:], uint32(len(out)-start-4))
	return out
}
