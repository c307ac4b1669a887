package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func TestSplit(t *testing.T) {
	tests := []struct {
		name, file string
		header     Header
		body       string
	}{
		{"CRLF", "A: b\r\nC: d\r\n\r\nbody\r\n", Header{{"A", " b"}, {"C", " d"}}, "body\r\n"},
		{"LF", "A: b\nC: d\n\nbody\nmore\n", Header{{"A", " b"}, {"C", " d"}}, "body\r\nmore\r\n"},
		{"a mixture", "A: b\r\nC: d\n\r\nbody\nmore\r\n", Header{{"A", " b"}, {"C", " d"}}, "body\r\nmore\r\n"},
		{"folds", "A: b\n c\r\n\td\nE:\n f\n\n", Header{{"A", " b\r\n c\r\n\td"}, {"E", "\r\n f"}}, ""},
		{"a continuation of blanks only", "A: b\n \n c\n\nbody", Header{{"A", " b\r\n \r\n c"}}, "body"},
		{"the exact bytes of values", "A:b\nC:  d \t\n\n", Header{{"A", "b"}, {"C", "  d \t"}}, ""},
		{"an mbox From_ line", "From a@b.example Mon Nov  2 10:00:00 2026\nA: b\n\nbody\n", Header{{"A", " b"}}, "body\r\n"},
		{"a quoted mbox From_ line", ">From a@b.example Mon Nov  2 10:00:00 2026\nA: b\n\nbody\n", Header{{"A", " b"}}, "body\r\n"},
		{"an mbox From_ line is skipped on top only", "A: b\nFrom a@b.example x\n\nbody", Header{{"A", " b"}}, "From a@b.example x\r\n\r\nbody"},
		{"no body and no empty line", "A: b\nC: d\n", Header{{"A", " b"}, {"C", " d"}}, ""},
		{"no final newline in the header", "A: b\nC: d", Header{{"A", " b"}, {"C", " d"}}, ""},
		{"no final newline in a fold", "A: b\n c", Header{{"A", " b\r\n c"}}, ""},
		{"no final newline in the body", "A: b\n\nbody", Header{{"A", " b"}}, "body"},
		{"no header", "\nbody", Header{}, "body"},
		{"nothing", "", Header{}, ""},
		{"only an empty line", "\r\n", Header{}, ""},
		{"8-bit values", "A: \xff\u00fc\n\n\xfe\n", Header{{"A", " \xff\u00fc"}}, "\xfe\r\n"},
		{"a line without a colon ends the header", "A: b\nno field\nC: d\n\nbody", Header{{"A", " b"}}, "no field\r\nC: d\r\n\r\nbody"},
		{"a blank in the name ends the header", "A: b\nno field: x\n\nbody", Header{{"A", " b"}}, "no field: x\r\n\r\nbody"},
		{"an 8-bit name ends the header", "A: b\nFrom\xff: x\n\nbody", Header{{"A", " b"}}, "From\xff: x\r\n\r\nbody"},
		{"an empty name ends the header", "A: b\n: x\n", Header{{"A", " b"}}, ": x\r\n"},
		{"a first line with leading white space begins the body", " From: a@b\nTo: x\n\nbody", Header{}, " From: a@b\r\nTo: x\r\n\r\nbody"},
		{"white space before the colon stays in the name", "From : a@b\n\n", Header{{"From ", " a@b"}}, ""},
		{"a blank line in the body begins nothing", "A: b\n\nC: d\n\nE: f\n", Header{{"A", " b"}}, "C: d\r\n\r\nE: f\r\n"},
		{"a lone CR in the header is kept", "A: b\rc\n\n", Header{{"A", " b\rc"}}, ""},
		{"a NUL in the header is kept", "A: b\x00c\n\n", Header{{"A", " b\x00c"}}, ""},
		{"lone CRs in the body are kept", "A: b\n\na\rb\r\r\nc\r", Header{{"A", " b"}}, "a\rb\r\r\nc\r"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{"at once": strings.NewReader(tt.file), "octet by octet": iotest.OneByteReader(strings.NewReader(tt.file)), "with its error": iotest.DataErrReader(strings.NewReader(tt.file))} {
				h, body, err := Split(r, Limits{})
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(h, tt.header) {
					t.Errorf("%s: header %q, want %q", name, h, tt.header)
				}
				if got, err := io.ReadAll(body); err != nil || string(got) != tt.body {
					t.Errorf("%s: body %q, %v, want %q", name, got, err, tt.body)
				}
			}
		})
	}
}

func TestSplitStopsAtItsLimits(t *testing.T) {
	tests := []struct {
		name, file string
		limits     Limits
		want       string // part of the error
	}{
		{"header octets", "A: " + strings.Repeat("x", 100) + "\n\n", Limits{HeaderBytes: 50}, "more than 50 bytes"},
		{"a line without end", strings.Repeat("x", 200<<10), Limits{HeaderBytes: 100 << 10}, "more than 102400 bytes"},
		{"header octets by default", "A: " + strings.Repeat("x", 2<<20), Limits{}, "more than 1048576 bytes"},
		{"fields", strings.Repeat("A: b\n", 11), Limits{Fields: 10}, "more than 10 fields"},
		{"fields by default", strings.Repeat("A: b\n", 2001), Limits{}, "more than 2000 fields"},
	}
	for _, tt := range tests {
		_, _, err := Split(strings.NewReader(tt.file), tt.limits)
		if !errors.Is(err, ErrHeaderTooLarge) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	h, body, err := Split(strings.NewReader(strings.Repeat("A: b\n", 10)+"\n"+strings.Repeat("y", 1<<20)), Limits{Fields: 10, HeaderBytes: 60})
	if err != nil || len(h) != 10 {
		t.Fatalf("at the limit: %d fields, %v", len(h), err)
	}
	if n, _ := io.Copy(io.Discard, body); n != 1<<20 {
		t.Errorf("the body has %d octets: the limits are the header's", n)
	}
}

func TestSplitTellsReadErrors(t *testing.T) {
	broken := errors.New("broken")
	if _, _, err := Split(iotest.ErrReader(broken), Limits{}); !errors.Is(err, broken) {
		t.Errorf("in the header: %v", err)
	}
	_, body, err := Split(io.MultiReader(strings.NewReader("A: b\n\nxy\n"), iotest.ErrReader(broken)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); !errors.Is(err, broken) || string(got) != "xy\r\n" {
		t.Errorf("in the body: %q, %v", got, err)
	}
}

// FuzzSplit: for every chunking of the file, nothing is lost, and only CRs before LFs
// are added.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("A: b\r\n c\r\n\r\nbody\nx"), 3)
	f.Add([]byte("From x\nA : b\n\n\r\r\n"), 1)
	f.Add([]byte(" A: b\nno field"), 2)
	f.Fuzz(func(t *testing.T, file []byte, size int) {
		h, body, err := Split(bytes.NewReader(file), Limits{})
		if err != nil {
			return
		}
		got, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range got {
			if c == '\n' && (i == 0 || got[i-1] != '\r') {
				t.Fatalf("a bare LF in the body %q", got)
			}
		}
		_, body, _ = Split(iotest.OneByteReader(bytes.NewReader(file)), Limits{})
		var slow []byte
		buf := make([]byte, max(1, size%64))
		for {
			n, err := body.Read(buf)
			slow = append(slow, buf[:n]...)
			if err != nil {
				break
			}
		}
		if !bytes.Equal(got, slow) {
			t.Fatalf("cut otherwise the body is %q, not %q", slow, got)
		}
		// Splitting a header again gives the same header.
		if len(h) == 0 {
			return
		}
		again, _, err := Split(strings.NewReader(h.String()+"\r\n"), Limits{HeaderBytes: 1 << 30})
		if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", h) {
			t.Fatalf("%q splits again into %q, %v", h, again, err)
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	header := strings.Repeat("Received: from mail.example (mail.example [192.0.2.1])\n\tby mx.example with ESMTPS\n", 25)
	for name, file := range map[string]string{
		"2KiB":           header + "\n" + strings.Repeat("0123456789012345678901234567890123456789\n", 50),
		"1MiB LF":        header + "\n" + strings.Repeat("0123456789012345678901234567890123456789012345678901234567890123456789\n", 15000),
		"1MiB LF only":   header + "\n" + strings.Repeat("\n", 1<<20),
		"1MiB of folds":  "A: b\n" + strings.Repeat(" \n", 500<<10),
		"1MiB no colons": strings.Repeat("x", 1<<20-1),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				_, body, err := Split(strings.NewReader(file), Limits{})
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, body)
			}
		})
	}
}
