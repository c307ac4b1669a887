package dkim

import (
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"sync"

	"signpost/internal/message"
)

// flushAt is how many octets of canonical header are collected before they are hashed.
const flushAt = 4 << 10

// headerHasher computes the header hashes of one message's signatures.
type headerHasher struct{ index fieldIndex }

// begin prepares for a message.
func (hh *headerHasher) begin(h message.Header) { hh.index.fill(h) }

// scratch is the working memory of a headerHasher for one sum.
type scratch [flushAt + 1024]byte

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// sum computes the header hash of a signature (§3.7, step 2). f is the signature's
// field and own its index in the header, or -1.
func (hh *headerHasher) sum(s *Signature, f message.Field, own int, sum *[maxHashOctets]byte) {
	hh.index.restart()
	var state hash.Hash // only for long headers
	room := scratches.Get().(*scratch)
	defer scratches.Put(room)
	buf := room[:0]
	list(s.Headers, func(name string) bool {
		// §5.4.2: a name with no field left adds nothing.
		if f, ok := hh.index.take(name, own); ok {
			buf = AppendField(buf, f, s.HeaderCanon)
		}
		if len(buf) >= flushAt {
			if state == nil {
				state = newHash(s.hash)
			}
			state.Write(buf)
			buf = buf[:0]
		}
		return true
	})
	buf = appendSignature(buf, f, s.cutStart, s.cutEnd, s.HeaderCanon)
	if state == nil && s.hash == crypto.SHA256 {
		*sum = sha256.Sum256(buf)
		return
	}
	if state == nil {
		state = newHash(s.hash)
	}
	state.Write(buf)
	state.Sum(sum[:0])
}

// newHash begins a hash. SHA-1 is used only with Options.AllowSHA1.
func newHash(h crypto.Hash) hash.Hash {
	if h == crypto.SHA1 {
		return sha1.New()
	}
	return sha256.New()
}
