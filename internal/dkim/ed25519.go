package dkim

import (
	"crypto/ed25519"
	"math/big"
	"slices"
)

// fieldPrime is p = 2^255-19, and curveD the constant d of the curve (RFC 8032 §5.1).
var (
	fieldPrime = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	curveD     = new(big.Int).Mod(new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), fieldPrime)), fieldPrime)
)

// point25519 is an encoded point without the sign bit of x: y, little-endian (RFC 8032
// §5.1.2).
type point25519 [ed25519.PublicKeySize]byte

// smallOrder holds the encodings of the eight points whose order divides the cofactor
// 8, including those with y+p in place of y. The subgroup is cyclic, so there are no
// others.
var smallOrder = [...]point25519{
	{0: 0}, // two points of order 4
	{0: 1}, // the identity
	{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a}, // two of order 8
	{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05}, // two of order 8
	nearPrime(-1), // the point of order 2
	nearPrime(0),
	nearPrime(1),
}

// nearPrime encodes p+n, for n from -1 to 18.
func nearPrime(n int) point25519 {
	var y point25519
	for i := range y {
		y[i] = 0xff
	}
	y[0], y[31] = byte(0xed+n), 0x7f
	return y
}

// checkEd25519 says why octets are not a usable public key; nil if they are. It does
// not check that they are a point of the curve; see decodes.
//
// crypto/ed25519 accepts a key A of small order, under which anyone can sign: the
// equation s·B = R + h·A holds for s=0 and one of eight R, and h alone determines
// which. RFC 8032 and RFC 8463 do not forbid such keys. Like an empty p=, such a key
// proves nothing.
func checkEd25519(key []byte) error {
	if len(key) != ed25519.PublicKeySize {
		return errNotEd25519
	}
	y := point25519(key)
	y[31] &= 0x7f
	for i := range smallOrder {
		if y == smallOrder[i] {
			return errSmallOrder
		}
	}
	// RFC 8032 §5.1.3 step 1: y >= p does not decode.
	if least := nearPrime(0); y[0] >= least[0] && [31]byte(y[1:]) == [31]byte(least[1:]) {
		return errEd25519Point
	}
	return nil
}

// decodes reports whether a key that checkEd25519 has accepted is a point of the curve.
// It allocates. The verifier calls it only after a signature has failed, because no
// signature verifies under a key that does not decode.
func decodes(key ed25519.PublicKey) bool {
	octets := slices.Clone(key)
	slices.Reverse(octets)
	octets[0] &= 0x7f
	y := new(big.Int).SetBytes(octets)
	// RFC 8032 §5.1.3 step 3: x² = u/v with u = y²-1 and v = dy²+1 needs a square
	// root. u/v is a square if and only if u·v is. Step 4 (x=0 with the sign bit)
	// concerns y=1 and y=-1 only, which have small order, so the sign does not matter
	// here.
	square := y.Mul(y, y)
	u := new(big.Int).Sub(square, big.NewInt(1))
	v := square.Mul(square, curveD)
	v.Add(v, big.NewInt(1))
	return big.Jacobi(u.Mul(u, v).Mod(u, fieldPrime), fieldPrime) == 1
}

// CheckPublicKey says why verifiers would accept no signature by an Ed25519 key of our
// own; nil if they would. A key made from a seed passes.
func CheckPublicKey(key ed25519.PublicKey) error {
	if err := checkEd25519(key); err != nil {
		return err
	}
	if !decodes(key) {
		return errEd25519Point
	}
	return nil
}
