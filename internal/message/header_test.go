package message

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestBuilderMakesLineEndsCRLF(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"LF, as a milter has it", " a\n b\n\tc", " a\r\n b\r\n\tc"},
		{"CRLF stays", " a\r\n b", " a\r\n b"},
		{"a mixture", " a\n b\r\n c\n d", " a\r\n b\r\n c\r\n d"},
		{"a lone CR stays", " a\rb\r", " a\rb\r"},
		{"a CR before a CRLF stays", " a\r\r\n b", " a\r\r\n b"},
		{"an LF at once", "\n b", "\r\n b"},
		{"two LF", " a\n\n b", " a\r\n\r\n b"},
		{"nothing", "", ""},
		{"leading white space is kept", "\t  a ", "\t  a "},
	}
	var b Builder
	for _, tt := range tests {
		b.Add([]byte("X"), []byte(tt.value))
	}
	h := b.Header()
	for i, tt := range tests {
		if h[i].Value != tt.want || h[i].Name != "X" {
			t.Errorf("%s: %q became %q, want %q", tt.name, tt.value, h[i].Value, tt.want)
		}
	}
	if b.Len() != len(tests) {
		t.Errorf("Len %d", b.Len())
	}
}

func TestBuilderKeepsNothingOfTheLastMessage(t *testing.T) {
	var b Builder
	b.Add([]byte("From"), []byte(" a@x.example"))
	h := b.Header()
	b.Reset()
	b.Add([]byte("Subj"), []byte(" zzzzzzzzzzz"))
	if got := b.Header(); len(got) != 1 || got[0].Name != "Subj" {
		t.Errorf("the second message's header is %v", got)
	}
	if h[0] != (Field{"From", " a@x.example"}) {
		t.Errorf("the first header changed: %v", h)
	}
	b.Add([]byte("X"), make([]byte, 1<<20))
	b.Reset()
	if cap(b.buf) > 64<<10 {
		t.Error("the memory of a huge header is kept")
	}
}

// A header of any size, with fields of any sizes, is returned unchanged, and its memory
// is at most 1.3 times its text, during and afterwards.
func TestBuilderOfLargeHeaders(t *testing.T) {
	for _, sizes := range [][]int{
		{1 << 20}, {100, 1 << 20, 100}, slices.Repeat([]int{500}, 2000), slices.Repeat([]int{102_000}, 10), slices.Repeat([]int{33_000}, 31),
		slices.Repeat([]int{48 << 10}, 20), slices.Repeat([]int{48<<10 - 2, 2, 1, 60_000}, 8), slices.Repeat([]int{8_300, 50_000}, 10),
	} {
		var b Builder
		for range 2 {
			var want strings.Builder
			text := 0
			for i, n := range sizes {
				name, value := fmt.Sprintf("X%d", i), strings.Repeat("a\n ", n/3)
				b.Add([]byte(name), []byte(value))
				want.WriteString(name + ":" + strings.ReplaceAll(value, "\n", "\r\n") + "\r\n")
				text += len(name) + len(value) + strings.Count(value, "\n")
				if got := b.Memory(); text > 1<<20 && float64(got) > 1.3*float64(text) {
					t.Errorf("%d fields of %d: %d octets of memory", len(sizes), sizes[0], got)
				}
			}
			if b.Len() != len(sizes) || b.Size() != text {
				t.Errorf("Len %d, Size %d; want %d and %d", b.Len(), b.Size(), len(sizes), text)
			}
			h := b.Header()
			if again := b.Header(); !slices.Equal(h, again) {
				t.Error("a second header is another one")
			}
			b.Reset()
			if h.String() != want.String() {
				t.Errorf("%d fields of %d: another header came out", len(sizes), sizes[0])
			}
			if got := h.Memory(); float64(got) > 1.3*float64(text) {
				t.Errorf("%d fields of %d: the header has %d octets of memory", len(sizes), sizes[0], got)
			}
			if got := b.Memory(); got > 32<<10 {
				t.Errorf("%d fields of %d: after Reset the builder has %d octets of memory", len(sizes), sizes[0], got)
			}
		}
	}
}

func TestNamesAreComparedInASCII(t *testing.T) {
	h := Header{{"FROM", " 1"}, {"\u212aey", " 2"}, {"from ", " 3"}}
	if f, ok := h.First("From"); !ok || f.Value != " 1" || h.Count("from") != 1 {
		t.Error("From is not found once")
	}
	if h.Count("Key") != 0 {
		t.Error("the Kelvin sign is taken for a k")
	}
	if _, ok := h.First("To"); ok {
		t.Error("a field that is not there")
	}
	if got := (Header{{"A", " b"}, {"C", ""}}).String(); got != "A: b\r\nC:\r\n" {
		t.Errorf("String %q", got)
	}
}

func BenchmarkBuilder(b *testing.B) {
	name, value := []byte("Received"), []byte(" from mail.example (mail.example [192.0.2.1])\n\tby mx.example (Postfix) with ESMTPS id 4F00000000\n\tfor <a@b.example>; Mon,  2 Nov 2026 10:00:00 +0000 (UTC)")
	var builder Builder
	b.ReportAllocs()
	for b.Loop() {
		builder.Reset()
		for range 25 {
			builder.Add(name, value)
		}
		if len(builder.Header()) != 25 {
			b.Fatal("fields are lost")
		}
	}
}

// RFC 5322 §2.2: CR and LF stand together. Some readers end a line at one alone.
func TestHiddenFields(t *testing.T) {
	for value, want := range map[string][]Field{
		" a\r\n b\r\n\tc":                 nil,
		"":                                nil,
		" a\r":                            nil,
		" a\n":                            nil,
		" a\r b: c\n\td: e":               nil,
		" a\rb":                           nil,
		" a\r: b":                         nil,
		" a\rB: c":                        {{"B", " c"}},
		" a\nB: c":                        {{"B", " c"}},
		" a\r\nB: c":                      {{"B", " c"}},
		"\rB:c\r d\r\n e\rx\r\r\nF : g\r": {{"B", "c\r d\r\n e"}, {"F ", " g"}},
	} {
		if got := slices.Collect(Field{"X", value}.Hidden()); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}
