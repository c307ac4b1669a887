//go:build !libcrypto || !linux || !(amd64 || arm64)

package openssl

import "errors"

// Built says that this build can load libcrypto.
const Built = false

func loadLibrary() (library, error) {
	return nil, errors.New("this build has no libcrypto backend: make build makes one that has it")
}
