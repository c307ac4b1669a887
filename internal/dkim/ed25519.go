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

// smallOrderY holds the y coordinates of the eight points whose order divides the
// cofactor 8: (0,1) of order 1, (0,-1) of order 2, two points with y=0 of order 4, and
// four of order 8. The subgroup is cyclic, so there are no others.
var smallOrderY = func() [5]*big.Int {
	one := big.NewInt(1)
	order8, _ := new(big.Int).SetString("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7", 16)
	return [5]*big.Int{
		new(big.Int), one, new(big.Int).Sub(fieldPrime, one),
		order8, new(big.Int).Sub(fieldPrime, order8),
	}
}()

// checkEd25519 says why octets are no usable public key; nil if they are one.
//
// crypto/ed25519 accepts a key A of small order, and under it anybody can sign: the
// equation s·B = R + h·A holds for s=0 and one of eight R, and which one depends on h
// alone. RFC 8032 and RFC 8463 do not forbid such keys. The record says as much
// as an empty p=: nothing is proved by it.
func checkEd25519(key []byte) error {
	if len(key) != ed25519.PublicKeySize {
		return errNotEd25519
	}
	// RFC 8032 §5.1.3: little-endian y, with the sign of x in the highest bit.
	octets := slices.Clone(key)
	slices.Reverse(octets)
	octets[0] &= 0x7f
	y := new(big.Int).SetBytes(octets)
	reduced := new(big.Int).Mod(y, fieldPrime)
	for _, small := range smallOrderY {
		if reduced.Cmp(small) == 0 {
			return errSmallOrder
		}
	}
	// §5.1.3 step 1: y >= p does not decode.
	if reduced.Cmp(y) != 0 {
		return errEd25519Point
	}
	// Step 3: x² = u/v with u = y²-1 and v = dy²+1 needs a square root. u/v is a
	// square if and only if u·v is. Step 4 (x=0 with the sign bit) is y=1 or y=-1,
	// which are of small order, so the sign does not matter here.
	square := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(square, big.NewInt(1))
	v := square.Mul(square, curveD)
	v.Add(v, big.NewInt(1))
	if big.Jacobi(u.Mul(u, v).Mod(u, fieldPrime), fieldPrime) != 1 {
		return errEd25519Point
	}
	return nil
}

// CheckPublicKey says why a verifier accepts no signature by an Ed25519 key of our own;
// nil if it does. A key that was made from a seed passes.
func CheckPublicKey(key ed25519.PublicKey) error { return checkEd25519(key) }
