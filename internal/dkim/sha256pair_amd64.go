package dkim

// hasSHA: the processor has instructions for SHA-256. hasAVX2 implies all else that sha256Blocks2 needs.
var hasSHA = hasAVX2 && extendedFeatures()&(1<<29) != 0

// extendedFeatures is EBX of CPUID's leaf 7. The processor must have that leaf; one with AVX2 has.
func extendedFeatures() (ebx uint32)

// sha256Blocks2 hashes as many blocks of 64 octets at p into a, and at q into b. There is at least one.
//
//go:noescape
func sha256Blocks2(a, b *[8]uint32, p, q *byte, blocks int)
