package dkim

import (
	"math/rand/v2"
	"strings"
	"testing"

	"signpost/internal/message"
)

// referenceField implements §3.4.2 literally, step by step.
func referenceField(f message.Field) string {
	name := strings.TrimRight(strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, f.Name), " \t")
	value := strings.ReplaceAll(f.Value, "\r\n", "")
	var b strings.Builder
	for i, c := range []byte(value) {
		switch {
		case c != ' ' && c != '\t':
			b.WriteByte(c)
		case i == 0 || value[i-1] != ' ' && value[i-1] != '\t':
			b.WriteByte(' ')
		}
	}
	return name + ":" + strings.Trim(b.String(), " ") + "\r\n"
}

func TestHeaderCanonicalization(t *testing.T) {
	for _, tt := range []struct{ name, field, simple, relaxed string }{
		{"§3.4.5 A", "A: X", "A: X\r\n", "a:X\r\n"},
		{"§3.4.5 B", "B : Y\t\r\n\tZ  ", "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"},
		{"the name is in lower case, the value is not", "SUBJect: AbC", "SUBJect: AbC\r\n", "subject:AbC\r\n"},
		{"no blank after the colon", "A:b", "A:b\r\n", "a:b\r\n"},
		{"an empty value", "A:", "A:\r\n", "a:\r\n"},
		{"white space only", "A: \t\r\n \r\n\t", "A: \t\r\n \r\n\t\r\n", "a:\r\n"},
		{"a line of white space inside", "A: b\r\n \t\r\n c", "A: b\r\n \t\r\n c\r\n", "a:b c\r\n"},
		{"a fold right after the colon", "A:\r\n b", "A:\r\n b\r\n", "a:b\r\n"},
		{"two blanks and a tab stay under simple", "A:  \tb", "A:  \tb\r\n", "a:b\r\n"},
		{"octets above 127 stay", "Subject: caf\xe9 e\u0301 é", "Subject: caf\xe9 e\u0301 é\r\n", "subject:caf\xe9 e\u0301 é\r\n"},
		{"an encoded-word stays", "Subject: =?utf-8?q?=C3=A9?=", "Subject: =?utf-8?q?=C3=A9?=\r\n", "subject:=?utf-8?q?=C3=A9?=\r\n"},
		{"a bare CR is text", "A: b \r c", "A: b \r c\r\n", "a:b \r c\r\n"},
		{"a bare LF is text", "A: \n b", "A: \n b\r\n", "a:\n b\r\n"},
		{"a NUL is text", "A: b \x00 c\x00 ", "A: b \x00 c\x00 \r\n", "a:b \x00 c\x00\r\n"},
		{"CR CR LF is a CR and a fold", "A: b\r\r\n c", "A: b\r\r\n c\r\n", "a:b\r c\r\n"},
		{"Kelvin is no k", "\u212a: x", "\u212a: x\r\n", "\u212a:x\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name, value, _ := strings.Cut(tt.field, ":")
			f := message.Field{Name: name, Value: value}
			if got := string(AppendField(nil, f, Simple)); got != tt.simple {
				t.Errorf("simple: %q, want %q", got, tt.simple)
			}
			if got := string(AppendField([]byte("before"), f, Relaxed)); got != "before"+tt.relaxed {
				t.Errorf("relaxed: %q, want %q", got, tt.relaxed)
			}
			if got := referenceField(f); got != tt.relaxed {
				t.Errorf("the reference says %q", got)
			}
		})
	}
}

func TestHeaderCanonicalizationIsWhatTheReferenceSays(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		f := message.Field{Name: "X-Some ", Value: randomBody(r, r.IntN(60))}
		if got, want := string(AppendField(nil, f, Relaxed)), referenceField(f); got != want {
			t.Fatalf("%q:\n got %q\nwant %q", f.Value, got, want)
		}
	}
}

func TestTheSignatureFieldIsHashedWithoutItsSignature(t *testing.T) {
	for _, tt := range []struct{ name, value, simple, relaxed string }{
		{"b= at the end", " v=1; b=abc", " v=1; b=", "v=1; b="},
		{"b= in the middle, folded", " v=1; b = ab\r\n\tc ; x=1 ", " v=1; b =; x=1 ", "v=1; b =; x=1"},
		{"bh= before it is not touched", " bh=abc; b=abc; z=b=abc", " bh=abc; b=; z=b=abc", "bh=abc; b=; z=b=abc"},
		{"B= is another tag", " B=abc; b=abc", " B=abc; b=", "B=abc; b="},
		{"b= inside i= is not touched", " i=prvs=b=x@a; b=abc;", " i=prvs=b=x@a; b=;", "i=prvs=b=x@a; b=;"},
		{"white space up to the end goes too", " b=abc \r\n ", " b=", "b="},
		{"b= empty", " b=; a=1", " b=; a=1", "b=; a=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := parseSignature(tt.value)
			f := message.Field{Name: "DKIM-Signature", Value: tt.value}
			if got := string(appendSignature(nil, f, s.cutStart, s.cutEnd, Simple)); got != "DKIM-Signature:"+tt.simple {
				t.Errorf("simple: %q, want %q", got, tt.simple)
			}
			if got := string(appendSignature(nil, f, s.cutStart, s.cutEnd, Relaxed)); got != "dkim-signature:"+tt.relaxed {
				t.Errorf("relaxed: %q, want %q", got, tt.relaxed)
			}
		})
	}
}
