//go:build libcrypto && linux && (amd64 || arm64)

package openssl

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"runtime"
	"testing"
)

// A key whose coefficient is wrong makes a wrong signature by the Chinese remainder
// theorem, as a bit that flips in memory would. The library's own check must find it:
// this package relies on that.
func TestTheLibraryDoesNotGiveOutAFaultOfTheRemainderTheorem(t *testing.T) {
	lib, err := Load()
	if err != nil {
		t.Skip(err)
	}
	key := rsaKey(t, "rsa2048-pkcs8.pem")
	for name, change := range map[string]func(k *pkcs1Key){
		"qInv": func(k *pkcs1Key) { k.QInv.Xor(k.QInv, big.NewInt(1<<40)) },
		"dP":   func(k *pkcs1Key) { k.DP.Xor(k.DP, big.NewInt(1<<40)) },
		"dQ":   func(k *pkcs1Key) { k.DQ.Xor(k.DQ, big.NewInt(1<<40)) },
	} {
		var numbers pkcs1Key
		_, err := asn1.Unmarshal(pkcs1Of(t, "rsa2048-pkcs8.pem"), &numbers)
		check(t, err)
		change(&numbers)
		k, err := lib.newPrivateKey(marshalKey(t, numbers))
		if err != nil {
			continue // refused at once: as good
		}
		hash := sha256.Sum256([]byte(name))
		signature, err := k.sign(hash[:])
		if err == nil {
			err = rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, hash[:], signature)
		}
		if err != nil {
			t.Errorf("%s: a wrong signature was given out: %v", name, err)
		}
		k.free()
	}
}

// The library keeps its errors by thread: those of earlier calls must not be reported.
func TestADamagedKeyIsRefusedForItsOwnReason(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	lib, err := Load()
	if err != nil {
		t.Skip(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, minBits)
	check(t, err)
	if even := new(big.Int).Sub(small.N, big.NewInt(1)); lib.recoverBlock(make([]byte, 128), make([]byte, 128), even.FillBytes(make([]byte, 128)), &rsa.PublicKey{N: even, E: 3}) {
		t.Error("an even modulus is used")
	}
	var octets pkcs1Key
	_, err = asn1.Unmarshal(pkcs1Of(t, "rsa1024.pem"), &octets)
	check(t, err)
	octets.N.SetInt64(15)
	if _, err := lib.newPrivateKey(marshalKey(t, octets)); err == nil || err.Error() != "a modulus of 1 octets" {
		t.Errorf("a short modulus: %v", err)
	}
	if _, err := lib.newPrivateKey(nil); err == nil {
		t.Error("no octets are a key")
	}
}

// Public keys make room for others while they verify.
func TestMorePublicKeysThanAreRemembered(t *testing.T) {
	lib, err := Load()
	if err != nil {
		t.Skip(err)
	}
	key := rsaKey(t, "rsa1024.pem")
	hash := sha256.Sum256(nil)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, hash[:])
	check(t, err)
	other := new(big.Int).Set(key.N)
	for range maxPublicKeys + 10 {
		other.Sub(other, big.NewInt(2))
		if lib.Verify(&rsa.PublicKey{N: new(big.Int).Set(other), E: 65537}, crypto.SHA256, hash[:], signature) {
			t.Fatal("a signature is valid under the modulus of another key")
		}
		if !lib.Verify(&key.PublicKey, crypto.SHA256, hash[:], signature) {
			t.Fatal("a valid signature is none")
		}
	}
	runtime.GC()
	if n := len(lib.library.(*libcrypto).public.keys); n > maxPublicKeys {
		t.Errorf("%d keys are remembered", n)
	}
}
