//go:build !amd64

package dkim

const hasSHA = false

func sha256Blocks2(a, b *[8]uint32, p, q *byte, blocks int) { panic("unreachable") }
