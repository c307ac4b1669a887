package dkim

import (
	"hash"
	"sync"
)

const (
	// gather is the size of the buffer, in octets, that collects short runs for the
	// hash, which is slow with small pieces. Longer runs are hashed without a copy.
	gather = 2048
	// minBlock and maxBlock bound how much text is reduced at a time.
	minBlock, maxBlock = 32, 1024
	// minRun is the shortest run worth searching for; minRunVector is the same where
	// reducing is as fast as searching.
	minRun, minRunVector = 4, direct
	// direct is the length from which a run is hashed by a call of its own.
	direct = 512
)

// BodyHash canonicalizes a message body and hashes it while it arrives, in pieces cut
// anywhere. It keeps only a few octets of the body, and allocates nothing after
// NewBodyHash. Several signatures may share one.
type BodyHash struct {
	relaxed bool
	hash    hash.Hash
	n       int64 // canonical octets so far
	sum     [maxHashOctets]byte
	marks   []mark
	next    int // the first mark not yet reached
	closed  bool
	content bool // something other than empty lines was seen

	// Input seen but not yet decided.
	lineEnds int64 // line ends, perhaps the empty lines at the end
	blank    bool  // white space, perhaps at the end of a line
	cr       bool  // a CR after the white space, perhaps half a line end

	used int
	*bodyRoom
}

// bodyRoom is the memory of a BodyHash between its first Write and Close.
type bodyRoom struct {
	buf     [gather]byte
	block   [maxBlock]byte
	encoded [sha256Octets]byte
	shared  sharedRun
}

var bodyRooms = sync.Pool{New: func() any { return &bodyRoom{shared: sharedRun{taken: make(chan struct{}, 1)}} }}

// NewBodyHash begins a body. The hash must be new, have at most 32 octets, and not be
// used elsewhere.
func NewBodyHash(c Canonicalization, h hash.Hash) *BodyHash {
	return &BodyHash{relaxed: c == Relaxed, hash: h, bodyRoom: bodyRooms.Get().(*bodyRoom)}
}

// Write adds the next piece of the body, with CRLF line ends. It does not keep the
// slice and returns no error.
func (b *BodyHash) Write(p []byte) (int, error) {
	n := len(p)
	switch {
	case n == 0 || b.closed:
	case b.relaxed:
		b.writeRelaxed(p)
	default:
		b.writeSimple(p)
	}
	return n, nil
}

// Close ends the body. Sum, At and Len are valid only after it.
func (b *BodyHash) Close() {
	if b.closed {
		return
	}
	b.closed = true
	if b.cr {
		b.flushUndecided()
	}
	// §3.4.3: simple turns a body without lines into one empty line; §3.4.4: relaxed
	// leaves it empty.
	if b.content || !b.relaxed {
		b.emit(lineEnd)
	}
	b.flush()
	// A limit (l=) of 0, or of the whole length, is reached only here.
	b.mark()
	b.hash.Sum(b.sum[:0])
	bodyRooms.Put(b.bodyRoom)
	b.bodyRoom = nil
}

// Sum returns the hash of the whole canonical body. The slice is part of b.
func (b *BodyHash) Sum() []byte { return b.sum[:b.hash.Size()] }

// Len returns the length of the canonical body, in octets.
func (b *BodyHash) Len() int64 { return b.n }

// writeSimple implements §3.4.3. Only empty lines at the end are special, so only the
// end of a piece is examined.
func (b *BodyHash) writeSimple(p []byte) {
	if b.cr {
		if p[0] == '\n' {
			b.cr = false
			b.lineEnds++
			p = p[1:]
		} else {
			b.flushUndecided()
		}
		if len(p) == 0 {
			return
		}
	}
	if p[len(p)-1] == '\r' {
		b.cr = true
		p = p[:len(p)-1]
	}
	b.lines(p)
}

// writeRelaxed implements §3.4.4: in addition to §3.4.3, white space at line ends is
// removed, and any other run of it becomes one space.
func (b *BodyHash) writeRelaxed(p []byte) {
	p = b.decide(p)
	size, worth := minBlock, minRun
	if hasVBMI2 {
		worth = minRunVector
	}
	for len(p) > 0 {
		n := unchangedRun(p)
		if n == len(p) && p[n-1] == '\r' {
			b.cr = true
			b.lines(p[:n-1])
			return
		}
		b.lines(p[:n])
		p = p[n:]
		if len(p) < 3 {
			break
		}
		// White space here changes. If such places are close together, searching for
		// the next one costs more than reducing the text.
		if n >= worth {
			size = minBlock
			p = b.skip(p)
			continue
		}
		size = min(2*size, maxBlock)
		n = min(len(p)-2, size)
		if p[n-1] == '\r' {
			n-- // not between CR and LF; p begins with white space, so n stays above 0
		}
		b.lines(b.block[:reduce(&b.block, p[:n+2])])
		p = p[n:]
	}
	b.tail(p)
}

// skip consumes the white space at the beginning of p as far as it can be decided, and
// returns the rest.
func (b *BodyHash) skip(p []byte) []byte {
	n := 1
	for n < len(p) && isWSP(p[n]) {
		n++
	}
	switch {
	case n+1 >= len(p):
		b.tail(p)
		return nil
	case p[n] == '\r' && p[n+1] == '\n':
		return p[n:]
	case p[n] != '\r' && p[n-1] == ' ':
		return p[n-1:]
	}
	b.text(oneBlank)
	return p[n:]
}

// tail consumes the end of a piece: white space and at most one octet after it.
func (b *BodyHash) tail(p []byte) {
	for i, c := range p {
		switch {
		case isWSP(c):
			b.blank = true
		case c == '\r':
			b.cr = true
		default:
			b.flushUndecided()
			b.text(p[i : i+1])
		}
	}
}

var oneBlank = []byte(" ")

// decide consumes the first octets of a piece until no octet of earlier pieces is
// undecided, and returns the rest.
func (b *BodyHash) decide(p []byte) []byte {
	for len(p) > 0 && (b.blank || b.cr) {
		c := p[0]
		switch {
		case b.cr && c == '\n':
			b.blank, b.cr = false, false
			b.lineEnds++
		case b.cr:
			b.flushUndecided()
			continue
		case c == '\r':
			b.cr = true
		case !isWSP(c):
			b.flushUndecided()
			return p
		}
		p = p[1:]
	}
	return p
}

// flushUndecided writes the undecided octets as text.
func (b *BodyHash) flushUndecided() {
	if b.blank {
		b.blank = false
		b.text(oneBlank)
	}
	if b.cr {
		b.cr = false
		b.text(lineEnd[:1])
	}
}

// lines adds text that stays unchanged, and holds back the line ends at its end.
func (b *BodyHash) lines(p []byte) {
	end := len(p)
	for end >= 2 && p[end-1] == '\n' && p[end-2] == '\r' {
		end -= 2
	}
	pending := int64(len(p)-end) / 2
	switch {
	case end == 0:
		b.lineEnds += pending
		return
	case b.lineEnds <= 1 && end < direct && end+2 <= gather-b.used:
		// The same as below, faster for the many short runs of indented text.
		n := b.used
		if b.lineEnds == 1 {
			b.buf[n], b.buf[n+1] = '\r', '\n'
			n += 2
		}
		b.used = n + copy(b.buf[n:], p[:end])
		b.content = true
	default:
		b.text(p[:end])
	}
	b.lineEnds = pending
}

// text adds text that is not an empty line. So the line ends before it are not at the
// end of the body.
func (b *BodyHash) text(p []byte) {
	b.content = true
	for b.lineEnds > 0 {
		n := min(b.lineEnds, int64(len(blankLine)/2))
		b.emit(blankLine[:2*n])
		b.lineEnds -= n
	}
	b.emit(p)
}

// emit adds canonical text.
func (b *BodyHash) emit(p []byte) {
	if len(p) > gather-b.used {
		b.flush()
	}
	if len(p) >= direct {
		b.flush()
		b.write(p)
		return
	}
	b.used += copy(b.buf[b.used:], p)
}

func (b *BodyHash) flush() {
	b.write(b.buf[:b.used])
	b.used = 0
}
