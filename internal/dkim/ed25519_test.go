package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"io"
	"math/big"
	"slices"
	"testing"
)

// point is a point of the curve, in affine coordinates.
type point struct{ x, y *big.Int }

// add is the addition of RFC 8032 §5.1.4, written with inversions.
func (a point) add(b point) point {
	mul := func(f ...*big.Int) *big.Int {
		r := big.NewInt(1)
		for _, n := range f {
			r.Mod(r.Mul(r, n), fieldPrime)
		}
		return r
	}
	k := mul(curveD, a.x, b.x, a.y, b.y)
	one := big.NewInt(1)
	x := new(big.Int).Add(mul(a.x, b.y), mul(b.x, a.y))
	y := new(big.Int).Add(mul(a.y, b.y), mul(a.x, b.x))
	overX := new(big.Int).ModInverse(new(big.Int).Add(one, k), fieldPrime)
	overY := new(big.Int).ModInverse(new(big.Int).Mod(new(big.Int).Sub(one, k), fieldPrime), fieldPrime)
	return point{mul(x, overX), mul(y, overY)}
}

// decodePoint implements RFC 8032 §5.1.3 without the check that y is below p.
func decodePoint(octets []byte) (point, bool) {
	o := slices.Clone(octets)
	slices.Reverse(o)
	negative := o[0] >> 7
	o[0] &= 0x7f
	y := new(big.Int).SetBytes(o)
	y.Mod(y, fieldPrime)
	one := big.NewInt(1)
	yy := new(big.Int).Mul(y, y)
	v := new(big.Int).Mul(yy, curveD)
	v.Add(v, one)
	u := yy.Sub(yy, one)
	u.Mul(u, v.ModInverse(v, fieldPrime)).Mod(u, fieldPrime)
	x := new(big.Int).ModSqrt(u, fieldPrime)
	if x == nil {
		return point{}, false
	}
	if byte(x.Bit(0)) != negative {
		x.Mod(x.Neg(x), fieldPrime)
	}
	return point{x, y}, true
}

// smallOrder multiplies by the cofactor: it uses the definition of small order and not
// a table.
func (a point) smallOrder() bool {
	for range 3 {
		a = a.add(a)
	}
	return a.x.Sign() == 0 && a.y.Cmp(big.NewInt(1)) == 0
}

func encodeY(y *big.Int, sign byte) []byte {
	o := y.FillBytes(make([]byte, 32))
	slices.Reverse(o)
	o[31] |= sign << 7
	return o
}

func edRecord(key []byte) string {
	return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key)
}

// smallOrderY holds the y coordinates of the points whose order divides 8: (0,1) of order
// 1, (0,-1) of order 2, two points with y=0 of order 4, and four of order 8.
var smallOrderY = func() [5]*big.Int {
	order8, _ := new(big.Int).SetString("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7", 16)
	return [5]*big.Int{
		new(big.Int), big.NewInt(1), new(big.Int).Sub(fieldPrime, big.NewInt(1)),
		order8, new(big.Int).Sub(fieldPrime, order8),
	}
}()

// weakKeys are all encodings of the points of small order: y and, where it fits into
// 255 bits, y+p, each with both sign bits.
func weakKeys() [][]byte {
	var keys [][]byte
	for _, y := range smallOrderY {
		for _, n := range []*big.Int{y, new(big.Int).Add(y, fieldPrime)} {
			if n.BitLen() <= 255 {
				keys = append(keys, encodeY(n, 0), encodeY(n, 1))
			}
		}
	}
	return keys
}

func TestEd25519KeysOfSmallOrderAreNoKeys(t *testing.T) {
	all := weakKeys()
	if len(all) != 14 {
		t.Fatalf("%d encodings, want 14", len(all))
	}
	for _, key := range all {
		if p, ok := decodePoint(key); !ok || !p.smallOrder() {
			t.Errorf("%x is not of small order", key)
		}
		if k, err := ParseKey(edRecord(key)); err != errSmallOrder {
			t.Errorf("%x: %v, %v", key, k, err)
		}
	}
}

// The table has all of them, and nothing else.
func TestTheTableOfSmallOrderIsExact(t *testing.T) {
	all := weakKeys()
	for _, y := range smallOrder {
		if !slices.ContainsFunc(all, func(key []byte) bool { return bytes.Equal(key, y[:]) }) {
			t.Errorf("%x is not of small order", y)
		}
	}
	for _, key := range all {
		key[31] &= 0x7f
		if !slices.Contains(smallOrder[:], point25519(key)) {
			t.Errorf("%x is missing", key)
		}
	}
}

// A record is read once a message: checking an Ed25519 key allocates nothing beyond the
// key.
func TestReadingAnEd25519KeyAllocatesLittle(t *testing.T) {
	record := edRecord(ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey))
	if n := testing.AllocsPerRun(100, func() { _, _ = parseKey(record, defaultMinRSABits, "") }); n > 4 {
		t.Errorf("%v allocations", n)
	}
}

// For a key that is not a point, the verifier gives the same reason as the record
// parser.
func TestASignatureUnderAKeyThatDoesNotDecodeIsAPermerror(t *testing.T) {
	key := encodeY(big.NewInt(2), 0)
	if _, on := decodePoint(key); on {
		t.Fatal("y=2 is on the curve")
	}
	signed := sign(t, plainHeader(), plainBody, params("ed25519"))
	outcome := verify(signed, plainBody, anywhere{edRecord(key)}, Options{})[0]
	if outcome.Result != PermError || outcome.Reason != "key record: "+string(errEd25519Point) {
		t.Errorf("%s (%s)", outcome.Result, outcome.Reason)
	}
}

// The coordinates are complete: the order-8 points add up to all eight.
func TestTheTableOfSmallOrderIsComplete(t *testing.T) {
	generator, ok := decodePoint(encodeY(smallOrderY[3], 0))
	if !ok {
		t.Fatal("the point of order 8 is not on the curve")
	}
	seen := map[string]bool{}
	for p, i := generator, 0; i < 8; p, i = p.add(generator), i+1 {
		seen[p.x.String()+","+p.y.String()] = true
		if !slices.ContainsFunc(smallOrderY[:], func(y *big.Int) bool { return y.Cmp(p.y) == 0 }) {
			t.Errorf("y=%x is missing", p.y)
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d points, want 8", len(seen))
	}
}

// RFC 8032 §5.1.3: a y of p or more does not decode, nor does a point that is not on
// the curve.
func TestEd25519KeysThatDoNotDecodeAreNoKeys(t *testing.T) {
	noncanonical := 0
	for i := int64(0); i < 19; i++ {
		for sign := range byte(2) {
			key := encodeY(new(big.Int).Add(fieldPrime, big.NewInt(i)), sign)
			if _, err := ParseKey(edRecord(key)); err != errEd25519Point && (i > 1 || err != errSmallOrder) {
				t.Errorf("y = p+%d: %v", i, err)
			}
			noncanonical++
		}
	}
	for i := byte(0); i < 200; i++ {
		seed := sha512.Sum512([]byte{i})
		good := ed25519.NewKeyFromSeed(seed[:32]).Public().(ed25519.PublicKey)
		if _, err := ParseKey(edRecord(good)); err != nil {
			t.Errorf("a key made from a seed: %v", err)
		}
		// Any 32 octets: about half of them are no point.
		any := seed[32:]
		_, on := decodePoint(any)
		_, err := ParseKey(edRecord(any))
		if on != (err == nil) || err != nil && err != errEd25519Point {
			t.Errorf("%x: on the curve: %t; %v", any, on, err)
		}
	}
}

// forger makes signatures for a key of small order without a private key: s is 0, and R
// is a matching point of small order.
type forger struct{ key ed25519.PublicKey }

func (f forger) Public() crypto.PublicKey { return f.key }

func (f forger) Sign(_ io.Reader, text []byte, _ crypto.SignerOpts) ([]byte, error) {
	signature := make([]byte, ed25519.SignatureSize)
	for _, r := range weakKeys() {
		copy(signature, r)
		if ed25519.Verify(f.key, text, signature) {
			break
		}
	}
	return signature, nil
}

func TestAForgedSignatureUnderAKeyOfSmallOrderIsAPermerror(t *testing.T) {
	forged := 0
	for _, key := range weakKeys() {
		f := forger{key}
		signature, _ := f.Sign(nil, []byte("any text"), nil)
		if ed25519.Verify(key, []byte("any text"), signature) {
			forged++
		}
		p := params("ed25519")
		p.Key = f
		signed := sign(t, plainHeader(), plainBody, p)
		outcome := verify(signed, plainBody, anywhere{edRecord(key)}, Options{})[0]
		if outcome.Result != PermError || outcome.Reason != "key record: "+string(errSmallOrder) {
			t.Errorf("%x: %s (%s)", key, outcome.Result, outcome.Reason)
		}
	}
	// The library does not refuse these keys: the check is needed.
	if forged < 7 {
		t.Errorf("only %d forgeries pass crypto/ed25519: the test shows nothing", forged)
	}
}

func TestSmallOrderVectorsOfOthers(t *testing.T) {
	// The encodings from published lists, independent of the table.
	for _, text := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	} {
		key, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(weakKeys(), func(k []byte) bool { return bytes.Equal(k, key) }) {
			t.Errorf("%s is not among those tested", text)
		}
		if _, err := ParseKey(edRecord(key)); err != errSmallOrder {
			t.Errorf("%s: %v", text, err)
		}
	}
}
