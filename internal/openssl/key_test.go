//go:build libcrypto && linux && (amd64 || arm64)

package openssl

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"unsafe"
)

// words are those of a number of the library's (struct bignum_st, bn_local.h).
func words(number uintptr) []uint64 {
	type bignum struct {
		words    *uint64
		top, max int32
	}
	b := *(**bignum)(unsafe.Pointer(&number))
	return unsafe.Slice(b.words, b.top)
}

// factorOf is the number that a blinding multiplies with (struct bn_blinding_st,
// bn_blind.c).
func factorOf(b blinding) []uint64 {
	return words(**(**uintptr)(unsafe.Pointer(&b.factor)))
}

func takenByLibrary(t *testing.T, file string) *libcryptoKey {
	t.Helper()
	lib, err := Load()
	if err != nil {
		t.Skip(err)
	}
	k, err := lib.take(pkcs1Of(t, file))
	check(t, err)
	t.Cleanup(k.free)
	return k.(*libcryptoKey)
}

// Without a blinding, or with one that stays as it is, every signature would be right
// just the same.
func TestABlindingIsSquaredForEverySignatureAndThenRenewed(t *testing.T) {
	k := takenByLibrary(t, "rsa1024.pem")
	hash := sha256.Sum256(nil)
	var before []uint64
	for i := range 2 * maxBlinded {
		if _, err := k.sign(hash[:]); err != nil {
			t.Fatal(err)
		}
		if i%maxBlinded == maxBlinded-1 {
			if len(k.idle) != 0 {
				t.Fatalf("after %d signatures a blinding waits for the next", i+1)
			}
			continue
		}
		if len(k.idle) != 1 {
			t.Fatalf("after %d signatures %d blindings wait", i+1, len(k.idle))
		}
		factor := slices.Clone(factorOf(k.idle[0]))
		if slices.Equal(factor, before) {
			t.Fatalf("signature %d was made with the factor of the one before", i+1)
		}
		before = factor
	}
}

// A bit that tips over in the library's memory, by a fault of the machine, must not cost
// the key: the signature is Go's then.
func TestAFaultInTheLibrarysNumbersDoesNotLeave(t *testing.T) {
	for name, number := range map[string]func(k *libcryptoKey) uintptr{
		"p":    func(k *libcryptoKey) uintptr { return k.p.n },
		"dP":   func(k *libcryptoKey) uintptr { return k.dP },
		"dQ":   func(k *libcryptoKey) uintptr { return k.dQ },
		"qInv": func(k *libcryptoKey) uintptr { return k.qInv },
	} {
		log := catchLog(t)
		key := rsaKey(t, "rsa1024.pem")
		lib, err := Load()
		if err != nil {
			t.Skip(err)
		}
		s := newTestSigner(Name{"example.com", "s1"}, key, lib.library)
		taken, err := s.take()
		check(t, err)
		words(number(taken.foreignKey.(*libcryptoKey)))[1] ^= 1 << 7
		taken.letGo()
		hash := sha256.Sum256(nil)
		signature, err := s.Sign(rand.Reader, hash[:], crypto.SHA256)
		if err != nil || rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, hash[:], signature) != nil {
			t.Errorf("%s: %x, %v", name, signature, err)
		}
		if !s.distrusted.Load() || log.Len() == 0 {
			t.Errorf("%s: nobody was told", name)
		}
	}
}

// Whoever reads the numbers that are used again must find public ones there: from what
// lies on the way to a signature, blinded though it is, a prime can be told.
func TestOnlyPublicNumbersStayBehind(t *testing.T) {
	const file = "rsa2048-pkcs8.pem"
	k := takenByLibrary(t, file)
	hash := sha256.Sum256(nil)
	signature, err := k.sign(hash[:])
	check(t, err)
	block := make([]byte, k.size)
	encode(block, hash[:])
	if !verifyRSA(k, &rsaKey(t, file).PublicKey, crypto.SHA256, hash[:], signature) {
		t.Fatal("the signature is wrong")
	}
	public := []*big.Int{new(big.Int), big.NewInt(65537), new(big.Int).SetBytes(signature), new(big.Int).SetBytes(block)}
	b := &k.lib.numbers
	for range cap(b.idle) { // all of them, of which earlier tests have used some
		n, _ := b.borrow()
		defer b.giveBack(n)
		if !bytes.Equal(n.out[:k.size], block) {
			continue // not the one of this signature and its check
		}
		fields := reflect.ValueOf(n).Elem()
		for i := range fields.NumField() {
			name := fields.Type().Field(i).Name
			if fields.Field(i).Kind() != reflect.Uintptr || name == "ctx" {
				continue
			}
			left := new(big.Int)
			for _, w := range slices.Backward(words(uintptr(fields.Field(i).Uint()))) {
				left.Lsh(left, 64).Or(left, new(big.Int).SetUint64(w))
			}
			if !slices.ContainsFunc(public, func(p *big.Int) bool { return p.Cmp(left) == 0 }) {
				t.Errorf("%s keeps %x", name, left)
			}
		}
		return
	}
	t.Error("the numbers of the signature are not among those that wait")
}

// The library keeps its errors by thread: an earlier one's must not be told.
func TestADamagedKeyIsRefusedForItsOwnReason(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	k := takenByLibrary(t, "rsa1024.pem")
	words(k.p.n)[0] &^= 1
	hash := sha256.Sum256(nil)
	if _, err := k.sign(hash[:]); err == nil {
		t.Fatal("a key with an even prime signs: no error is left behind")
	}
	var octets pkcs1Key
	_, err := asn1.Unmarshal(pkcs1Of(t, "rsa1024.pem"), &octets)
	check(t, err)
	octets.P.SetBit(octets.P, 0, 0)
	if _, err := k.lib.take(marshalKey(t, octets)); err == nil || err.Error() != "reading the key" {
		t.Errorf("an even prime: %v", err)
	}
	octets.N.SetInt64(15)
	if _, err := k.lib.take(marshalKey(t, octets)); err == nil || err.Error() != "a modulus of 1 octets" {
		t.Errorf("a short modulus: %v", err)
	}
}
