//go:build !amd64

package dkim

const hasAVX2, hasVBMI2 = false, false

func unchangedVector([]byte) int { return 0 }

func reduceVector(*[maxBlock]byte, []byte) (read, written int) { return 0, 0 }
