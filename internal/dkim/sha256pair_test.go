package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

func needSHA(t testing.TB) {
	if !hasSHA {
		t.Skip("this processor has no instructions for SHA-256")
	}
}

// stateOf is the state of SHA-256 after whole blocks.
func stateOf(t testing.TB, blocks []byte) (state [8]uint32) {
	t.Helper()
	h := sha256.New()
	h.Write(blocks)
	encoded, err := h.(sha256State).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range state {
		state[i] = binary.BigEndian.Uint32(encoded[len(sha256Name)+4*i:])
	}
	return state
}

func randomOctets(r *rand.ChaCha8, n int) []byte {
	p := make([]byte, n)
	r.Read(p)
	return p
}

func TestBlocksOfTwo(t *testing.T) {
	needSHA(t)
	random := rand.NewChaCha8([32]byte{1})
	for blocks := 1; blocks < 40; blocks++ {
		for shift := range 17 { // at any address
			p, q := randomOctets(random, 64*blocks+shift)[shift:], randomOctets(random, 64*blocks+16-shift)[16-shift:]
			a, b := stateOf(t, nil), stateOf(t, nil)
			first := 1 + shift%blocks
			sha256Blocks2(&a, &b, &p[0], &q[0], first)
			if first < blocks {
				sha256Blocks2(&b, &a, &q[64*first], &p[64*first], blocks-first)
			}
			if a != stateOf(t, p) || b != stateOf(t, q) {
				t.Fatalf("%d blocks, %d of them first, at %d: another hash than crypto/sha256", blocks, first, shift)
			}
		}
	}
}

// offer is a run that waits in m.
func offer(t *testing.T, m *meeting, p []byte) *sharedRun {
	r := &sharedRun{state: stateOf(t, nil), rest: p, taken: make(chan struct{}, 1)}
	m.offered = r
	return r
}

// A run that is offered is hashed with the next one, as far as both go.
func TestRunsMeet(t *testing.T) {
	needSHA(t)
	random := rand.NewChaCha8([32]byte{2})
	const short, long = leastShared, 3*mostShared + 64
	for _, c := range []struct{ first, second int }{{short, short}, {short, long}, {long, short}, {long, long}} {
		t.Run(fmt.Sprint(c.first, " and ", c.second), func(t *testing.T) {
			m := &meeting{pause: longestPause, left: longestPause}
			p, q := randomOctets(random, c.first), randomOctets(random, c.second)
			a := offer(t, m, p)
			b := &sharedRun{state: stateOf(t, nil), rest: q, taken: make(chan struct{}, 1)}
			m.hash(b)
			select {
			case <-a.taken:
			default:
				t.Fatal("the first is not told")
			}
			both := min(c.first, c.second)
			if len(a.rest) != c.first-both || len(b.rest) != c.second-both {
				t.Fatalf("%d and %d octets are left", len(a.rest), len(b.rest))
			}
			if a.state != stateOf(t, p[:both]) || b.state != stateOf(t, q[:both]) {
				t.Fatal("another hash than crypto/sha256")
			}
			if m.offered != nil {
				t.Error("there is still an offer")
			}
		})
	}
}

// Alone, a run is offered ever more rarely, and left as it is. One that meets another changes that.
func TestRunsThatNeverMeet(t *testing.T) {
	needSHA(t)
	m := &meeting{}
	p := make([]byte, leastShared)
	alone := func() (offered bool) {
		r := &sharedRun{rest: p, taken: make(chan struct{}, 1)}
		before := m.left
		m.hash(r)
		if len(r.rest) != len(p) || m.offered != nil {
			t.Fatal("it met another run")
		}
		return m.left >= before
	}
	offers := 0
	for range 20 * (longestPause + 1) {
		if alone() {
			offers++
		}
	}
	if offers < 19 || offers > 19+6 { // 1, 3, 7, 15, 31 and 63 runs between
		t.Errorf("%d offers", offers)
	}
	offer(t, m, p)
	m.hash(&sharedRun{rest: p, taken: make(chan struct{}, 1)})
	if !alone() {
		t.Error("no offer after two runs have met")
	}
	short := &sharedRun{rest: p[:leastShared-64]}
	m.left = 0
	m.hash(short)
	if m.left != 0 {
		t.Error("a short run was offered")
	}
}

// TestBodiesAtOnce hashes different bodies at once, in pieces cut anywhere, and compares each with the same body alone.
func TestBodiesAtOnce(t *testing.T) {
	line := strings.Repeat("0123456789abcdef", 4) + "\r\n"
	encoded := strings.Repeat(line, 5000)
	bodies := []string{
		encoded, strings.Repeat("=", 64) + encoded[:70_000] + "  a \t b  \r\n" + encoded,
		strings.Repeat(strings.Repeat("text ", 2000)+" \r\n", 30), encoded + "\r\n\r\n\r\n", strings.Repeat("x", 100_001), "short\r\n",
	}
	canons := [...]Canonicalization{Simple, Relaxed}
	limits := []int64{0, 1, 5000, 66_000, 123_456, 1 << 30}
	hashed := func(body string, c Canonicalization, next func() int) *BodyHash {
		b := NewBodyHash(c, sha256.New())
		for _, limit := range limits {
			b.Mark(limit)
		}
		for p := []byte(body); len(p) > 0; {
			n := min(len(p), next())
			piece := bytes.Clone(p[:n])
			b.Write(piece)
			clear(piece) // the caller's buffer is used again at once
			p = p[n:]
		}
		b.Close()
		return b
	}
	var alone [][len(canons)]*BodyHash
	for _, body := range bodies {
		var both [len(canons)]*BodyHash
		for i, c := range canons {
			both[i] = hashed(body, c, func() int { return leastShared / 4 })
		}
		alone = append(alone, both)
	}
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			pieces := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 20 {
				i, c := pieces.IntN(len(bodies)), pieces.IntN(len(canons))
				got, want := hashed(bodies[i], canons[c], func() int { return 1 + pieces.IntN(70_000) }), alone[i][c]
				if !bytes.Equal(got.Sum(), want.Sum()) || got.Len() != want.Len() {
					t.Errorf("body %d, %s: another hash than alone", i, canons[c])
				}
				for _, limit := range limits {
					g, gok := got.At(limit)
					w, wok := want.At(limit)
					if gok != wok || !bytes.Equal(g, w) {
						t.Errorf("body %d, %s: another hash of the first %d octets than alone", i, canons[c], limit)
					}
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkBlocksOfTwo(b *testing.B) {
	needSHA(b)
	p, q := make([]byte, mostShared), make([]byte, mostShared)
	var x, y [8]uint32
	b.SetBytes(2 * mostShared)
	for b.Loop() {
		sha256Blocks2(&x, &y, &p[0], &q[0], mostShared/shaBlock)
	}
}
