//go:build libcrypto && linux && (amd64 || arm64)

package openssl

// newPrivateKey reads a private key into the library.
func (l *libcrypto) newPrivateKey(pkcs1 []byte) (privateKey, error) {
	l.enter()
	defer l.leave()
	k, err := l.newKey(pkcs1, false)
	if err != nil {
		return nil, err
	}
	return evpPrivateKey{k}, nil
}

// evpPrivateKey signs with an EVP_PKEY.
type evpPrivateKey struct{ *evpKey }

// sign makes one signature with EVP_PKEY_sign. No arithmetic with the private key is
// ours. OpenSSL's crypto/rsa/rsa_ossl.c, which both its default and its FIPS provider
// use, does two things here that a signer must do:
//   - rsa_ossl_private_encrypt blinds the operation with a random factor, so that its
//     time says nothing about the key (rsa_get_blinding; only RSA_FLAG_NO_BLINDING,
//     which this package never sets, switches that off);
//   - rsa_ossl_mod_exp raises the result of the Chinese remainder theorem to the public
//     exponent and compares. Where a fault of the machine made it wrong, it is not given
//     out, since it would give the key away (Boneh, DeMillo, Lipton 1997); the library
//     computes the signature anew without the theorem.
//
// So this package does not verify a signature again.
func (k evpPrivateKey) sign(hash []byte) ([]byte, error) {
	signature := make([]byte, k.size)
	if err := k.run(signature, hash); err != nil {
		return nil, err
	}
	return signature, nil
}

func (k evpPrivateKey) free() {
	k.lib.enter()
	defer k.lib.leave()
	k.release()
}
