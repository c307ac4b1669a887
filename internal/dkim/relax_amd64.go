package dkim

import "golang.org/x/sys/cpu"

// Features of the processor. Without them, Go code does the same with 64-bit words.
var (
	hasAVX2  = cpu.X86.HasAVX2
	hasVBMI2 = cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VBMI2 && cpu.X86.HasPOPCNT
)

// unchangedAVX2 returns how many octets at p, of n, stand unchanged in the relaxed
// body. It stops before one that does not, or 32 octets or fewer before the end.
//
//go:noescape
func unchangedAVX2(p *byte, n int) int

// reduceVBMI2 writes the relaxed form of the first octets at p, of n, and returns
// how many it has read and written: all but the last 65 or fewer. It overwrites what
// is behind those in dst, which is as long as what it reads.
//
//go:noescape
func reduceVBMI2(dst, p *byte, n int) (read, written int)

// unchangedVector is unchangedRun for hasAVX2; it leaves the end of p.
func unchangedVector(p []byte) int {
	if len(p) < 33 {
		return 0
	}
	return unchangedAVX2(&p[0], len(p))
}

// reduceVector does the beginning of reduce for hasVBMI2.
func reduceVector(dst *[maxBlock]byte, p []byte) (read, written int) {
	if !hasVBMI2 || len(p) < 66 {
		return 0, 0
	}
	p = p[:min(len(p), maxBlock+2)]
	return reduceVBMI2(&dst[0], &p[0], len(p))
}
