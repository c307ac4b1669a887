//go:build !libcrypto || !linux || !(amd64 || arm64)

package keys

import "errors"

const builtWithLibrary = false

func loadLibrary() (library, error) {
	return nil, errors.New("this build has no libcrypto backend: make build makes one that has")
}
