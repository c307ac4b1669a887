#include "textflag.h"

// The instructions for SHA-256 keep a state of eight words in two registers: A, B, E and F in one, C, D, G and H in
// the other. X0 has the words of the message plus the constants (SHA256RNDS2 always reads it there).

// LOAD reads 16 octets of a block as big-endian words.
#define LOAD(offset, block, m) \
	MOVOU  offset(block), m; \
	PSHUFB X14, m

// ROUNDS does rounds 4i to 4i+3 with the words m.
#define ROUNDS(i, m, abef, cdgh) \
	VPADDD k<>+(16*i)(SB), m, X0; \
	SHA256RNDS2 X0, abef, cdgh; \
	PSHUFD $0x0e, X0, X0; \
	SHA256RNDS2 X0, cdgh, abef

// NEXT finishes the words after m. before are those before it.
#define NEXT(m, next, before) \
	VPALIGNR $4, before, m, X1; \
	PADDD    X1, next; \
	SHA256MSG2 m, next

// BEGIN begins the words that replace before.
#define BEGIN(m, before) SHA256MSG1 m, before

#define FIRST(i, m, before, abef, cdgh) \
	ROUNDS(i, m, abef, cdgh); \
	BEGIN(m, before)

#define MIDDLE(i, m, next, before, abef, cdgh) \
	ROUNDS(i, m, abef, cdgh); \
	NEXT(m, next, before); \
	BEGIN(m, before)

#define LAST(i, m, next, before, abef, cdgh) \
	ROUNDS(i, m, abef, cdgh); \
	NEXT(m, next, before)

// UNPACK makes a state of the words A to D and E to H.
#define UNPACK(state, abef, cdgh) \
	MOVOU  0(state), abef; \
	MOVOU  16(state), cdgh; \
	PSHUFD $0xb1, abef, abef; \
	PSHUFD $0x1b, cdgh, cdgh; \
	MOVO   abef, X0; \
	PALIGNR $8, cdgh, abef; \
	PBLENDW $0xf0, X0, cdgh

// PACK undoes UNPACK.
#define PACK(state, abef, cdgh) \
	PSHUFD $0x1b, abef, abef; \
	PSHUFD $0xb1, cdgh, cdgh; \
	MOVO   abef, X0; \
	PBLENDW $0xf0, cdgh, abef; \
	PALIGNR $8, X0, cdgh; \
	MOVOU  abef, 0(state); \
	MOVOU  cdgh, 16(state)

// func sha256Blocks2(a, b *[8]uint32, p, q *byte, blocks int)
TEXT ·sha256Blocks2(SB), NOSPLIT, $64-40
	MOVQ a+0(FP), DI
	MOVQ b+8(FP), R8
	MOVQ p+16(FP), SI
	MOVQ q+24(FP), DX
	MOVQ blocks+32(FP), CX
	MOVOU bigEndian<>(SB), X14
	UNPACK(DI, X3, X2)               // the first state in X3 and X2, its words in X4 to X7
	UNPACK(R8, X9, X8)               // the second in X9 and X8, its words in X10 to X13

block:
	MOVOU X3, 0(SP)
	MOVOU X2, 16(SP)
	MOVOU X9, 32(SP)
	MOVOU X8, 48(SP)
	LOAD(0, SI, X4)
	ROUNDS(0, X4, X3, X2)
	LOAD(0, DX, X10)
	ROUNDS(0, X10, X9, X8)
	LOAD(16, SI, X5)
	FIRST(1, X5, X4, X3, X2)
	LOAD(16, DX, X11)
	FIRST(1, X11, X10, X9, X8)
	LOAD(32, SI, X6)
	FIRST(2, X6, X5, X3, X2)
	LOAD(32, DX, X12)
	FIRST(2, X12, X11, X9, X8)
	LOAD(48, SI, X7)
	MIDDLE(3, X7, X4, X6, X3, X2)
	LOAD(48, DX, X13)
	MIDDLE(3, X13, X10, X12, X9, X8)
	MIDDLE(4, X4, X5, X7, X3, X2)
	MIDDLE(4, X10, X11, X13, X9, X8)
	MIDDLE(5, X5, X6, X4, X3, X2)
	MIDDLE(5, X11, X12, X10, X9, X8)
	MIDDLE(6, X6, X7, X5, X3, X2)
	MIDDLE(6, X12, X13, X11, X9, X8)
	MIDDLE(7, X7, X4, X6, X3, X2)
	MIDDLE(7, X13, X10, X12, X9, X8)
	MIDDLE(8, X4, X5, X7, X3, X2)
	MIDDLE(8, X10, X11, X13, X9, X8)
	MIDDLE(9, X5, X6, X4, X3, X2)
	MIDDLE(9, X11, X12, X10, X9, X8)
	MIDDLE(10, X6, X7, X5, X3, X2)
	MIDDLE(10, X12, X13, X11, X9, X8)
	MIDDLE(11, X7, X4, X6, X3, X2)
	MIDDLE(11, X13, X10, X12, X9, X8)
	MIDDLE(12, X4, X5, X7, X3, X2)
	MIDDLE(12, X10, X11, X13, X9, X8)
	LAST(13, X5, X6, X4, X3, X2)
	LAST(13, X11, X12, X10, X9, X8)
	LAST(14, X6, X7, X5, X3, X2)
	LAST(14, X12, X13, X11, X9, X8)
	ROUNDS(15, X7, X3, X2)
	ROUNDS(15, X13, X9, X8)
	VPADDD 0(SP), X3, X3
	VPADDD 16(SP), X2, X2
	VPADDD 32(SP), X9, X9
	VPADDD 48(SP), X8, X8
	ADDQ $64, SI
	ADDQ $64, DX
	DECQ CX
	JNZ  block

	PACK(DI, X3, X2)
	PACK(R8, X9, X8)
	RET

// func extendedFeatures() (ebx uint32)
TEXT ·extendedFeatures(SB), NOSPLIT, $0-4
	MOVL $7, AX
	XORL CX, CX
	CPUID
	MOVL BX, ebx+0(FP)
	RET

DATA bigEndian<>+0(SB)/8, $0x0405060700010203
DATA bigEndian<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL bigEndian<>(SB), (NOPTR+RODATA), $16

// The constants of FIPS 180-4 §4.2.2.
DATA k<>+0(SB)/8, $0x71374491428a2f98
DATA k<>+8(SB)/8, $0xe9b5dba5b5c0fbcf
DATA k<>+16(SB)/8, $0x59f111f13956c25b
DATA k<>+24(SB)/8, $0xab1c5ed5923f82a4
DATA k<>+32(SB)/8, $0x12835b01d807aa98
DATA k<>+40(SB)/8, $0x550c7dc3243185be
DATA k<>+48(SB)/8, $0x80deb1fe72be5d74
DATA k<>+56(SB)/8, $0xc19bf1749bdc06a7
DATA k<>+64(SB)/8, $0xefbe4786e49b69c1
DATA k<>+72(SB)/8, $0x240ca1cc0fc19dc6
DATA k<>+80(SB)/8, $0x4a7484aa2de92c6f
DATA k<>+88(SB)/8, $0x76f988da5cb0a9dc
DATA k<>+96(SB)/8, $0xa831c66d983e5152
DATA k<>+104(SB)/8, $0xbf597fc7b00327c8
DATA k<>+112(SB)/8, $0xd5a79147c6e00bf3
DATA k<>+120(SB)/8, $0x1429296706ca6351
DATA k<>+128(SB)/8, $0x2e1b213827b70a85
DATA k<>+136(SB)/8, $0x53380d134d2c6dfc
DATA k<>+144(SB)/8, $0x766a0abb650a7354
DATA k<>+152(SB)/8, $0x92722c8581c2c92e
DATA k<>+160(SB)/8, $0xa81a664ba2bfe8a1
DATA k<>+168(SB)/8, $0xc76c51a3c24b8b70
DATA k<>+176(SB)/8, $0xd6990624d192e819
DATA k<>+184(SB)/8, $0x106aa070f40e3585
DATA k<>+192(SB)/8, $0x1e376c0819a4c116
DATA k<>+200(SB)/8, $0x34b0bcb52748774c
DATA k<>+208(SB)/8, $0x4ed8aa4a391c0cb3
DATA k<>+216(SB)/8, $0x682e6ff35b9cca4f
DATA k<>+224(SB)/8, $0x78a5636f748f82ee
DATA k<>+232(SB)/8, $0x8cc7020884c87814
DATA k<>+240(SB)/8, $0xa4506ceb90befffa
DATA k<>+248(SB)/8, $0xc67178f2bef9a3f7
GLOBL k<>(SB), (NOPTR+RODATA), $256
