#include "textflag.h"

// func unchangedAVX2(p *byte, n int) int
//
// It compares 32 octets at a time with the octet after each, and so reads 33.
TEXT ·unchangedAVX2(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), CX
	XORQ AX, AX
	MOVL $0x20202020, DX
	VMOVD DX, X0
	VPBROADCASTD X0, Y0              // spaces
	MOVL $0x09090909, DX
	VMOVD DX, X1
	VPBROADCASTD X1, Y1              // tabs
	MOVL $0x0d0d0d0d, DX
	VMOVD DX, X2
	VPBROADCASTD X2, Y2              // CRs
	SUBQ $33, CX

run:
	CMPQ AX, CX
	JGT  done
	VMOVDQU (SI)(AX*1), Y3           // here
	VMOVDQU 1(SI)(AX*1), Y4          // next
	VPCMPEQB Y3, Y0, Y5
	VPCMPEQB Y3, Y1, Y6              // a tab
	VPCMPEQB Y4, Y0, Y7
	VPCMPEQB Y4, Y1, Y8
	VPCMPEQB Y4, Y2, Y9
	VPOR     Y7, Y8, Y7
	VPOR     Y7, Y9, Y7
	VPAND    Y5, Y7, Y5              // a space before a space, a tab or a CR
	VPOR     Y5, Y6, Y5
	VPMOVMSKB Y5, DX
	TESTL DX, DX
	JNZ   found
	ADDQ  $32, AX
	JMP   run

found:
	BSFL DX, DX
	ADDQ DX, AX

done:
	MOVQ AX, ret+16(FP)
	VZEROUPPER
	RET

// func reduceVBMI2(dst, p *byte, n int) (read, written int)
//
// It compares 64 octets at a time with the two octets after each, and so reads 66.
TEXT ·reduceVBMI2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ n+16(FP), CX
	XORQ AX, AX                      // octets read
	XORQ BX, BX                      // octets written
	MOVL $0x20, DX
	VPBROADCASTB DX, Z0              // spaces
	MOVL $0x09, DX
	VPBROADCASTB DX, Z1              // tabs
	MOVL $0x0d, DX
	VPBROADCASTB DX, Z2              // CRs
	MOVL $0x0a, DX
	VPBROADCASTB DX, Z3              // LFs
	SUBQ $66, CX

group:
	CMPQ AX, CX
	JGT  end
	VMOVDQU8 (SI)(AX*1), Z4          // here
	VMOVDQU8 1(SI)(AX*1), Z5         // next
	VPCMPEQB Z4, Z1, K1
	VPCMPEQB Z4, Z0, K2
	VMOVDQU8 Z0, K1, Z4              // tabs become spaces
	KORQ     K1, K2, K1              // white space
	VPCMPEQB Z5, Z0, K2
	VPCMPEQB Z5, Z1, K3
	VPCMPEQB Z5, Z2, K4
	VPCMPEQB 2(SI)(AX*1), Z3, K5
	KORQ     K2, K3, K2              // before white space
	KANDQ    K4, K5, K4              // before a line end
	KORQ     K2, K4, K2
	KANDQ    K1, K2, K1              // removed
	KNOTQ    K1, K1
	VPCOMPRESSB.Z Z4, K1, Z6
	VMOVDQU8 Z6, (DI)(BX*1)
	KMOVQ    K1, DX
	POPCNTQ  DX, DX
	ADDQ     DX, BX
	ADDQ     $64, AX
	JMP      group

end:
	MOVQ AX, read+24(FP)
	MOVQ BX, written+32(FP)
	VZEROUPPER
	RET
