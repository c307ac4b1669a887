package dkim

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"signpost/internal/message"
)

// referenceSelect implements §5.4.2 literally: from the bottom up, each field once.
func referenceSelect(h message.Header, names []string, own int) []int {
	used := make([]bool, len(h))
	var out []int
	for _, name := range names {
		for i := len(h) - 1; i >= 0; i-- {
			if !used[i] && i != own && strings.EqualFold(strings.TrimRight(h[i].Name, " \t"), name) {
				used[i] = true
				out = append(out, i)
				break
			}
		}
	}
	return out
}

// numbered makes a header whose values are the fields' indexes.
func numbered(names ...string) message.Header {
	h := make(message.Header, len(names))
	for i, name := range names {
		h[i] = message.Field{Name: name, Value: strconv.Itoa(i)}
	}
	return h
}

func selected(h message.Header, names []string, own int) []int {
	var x fieldIndex
	x.fill(h)
	var out []int
	for range 2 { // a second signature begins again
		x.restart()
		out = nil
		for _, name := range names {
			if f, ok := x.take(name, own); ok {
				i, _ := strconv.Atoi(f.Value)
				out = append(out, i)
			}
		}
	}
	return out
}

func TestSelection(t *testing.T) {
	h := numbered("Received", "DKIM-Signature", "From", "received", "DKIM-Signature", "To ", "RECEIVED", "To")
	for _, tt := range []struct {
		name, h string
		own     int
		want    []int
	}{
		{"equal names are taken from the bottom up", "Received:Received", -1, []int{6, 3}},
		{"names without a field left add nothing", "From:From:Subject:To", -1, []int{2, 7}},
		{"a name in another case is the same name", "received:RECEIVED:Received:ReCeIvEd", -1, []int{6, 3, 0}},
		{"a name with white space before its colon is the name", "To:To:To", -1, []int{7, 5}},
		{"§3.5 a signature does not sign its own field", "DKIM-Signature:DKIM-Signature", 1, []int{4}},
		{"§3.5 a signature does not sign its own field, be it the lowest", "DKIM-Signature:DKIM-Signature", 4, []int{1}},
		{"but it may sign others", "DKIM-Signature:DKIM-Signature", -1, []int{4, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := selected(h, strings.Split(tt.h, ":"), tt.own); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestSelectionIsWhatTheReferenceSays(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	pool := []string{"a", "A", "b", "From", "FROM ", "x-" + strings.Repeat("y", 100), "x-" + strings.Repeat("Y", 100), "x-" + strings.Repeat("y", 101)}
	for range 3000 {
		names, want := make([]string, r.IntN(30)), make([]string, r.IntN(40))
		for i := range names {
			names[i] = pool[r.IntN(len(pool))]
		}
		for i := range want {
			want[i] = strings.TrimSpace(pool[r.IntN(len(pool))])
		}
		h, own := numbered(names...), r.IntN(31)-1
		if got, reference := selected(h, want, own), referenceSelect(h, want, own); !slices.Equal(got, reference) {
			t.Fatalf("%q from %q without %d: %v, want %v", want, names, own, got, reference)
		}
	}
}

func TestAnEmptyHeaderHasNoFields(t *testing.T) {
	if got := selected(nil, []string{"From"}, -1); got != nil {
		t.Error(got)
	}
}

func TestUncovered(t *testing.T) {
	h := numbered("Subject", "From", "subject", "To", "Received", "Received", "Content-Type", "Cc", "Cc")
	for _, tt := range []struct{ name, h, want string }{
		{"a second Subject that is not signed", "From:Subject", "subject"},
		{"both are signed", "From:Subject:Subject", ""},
		{"neither is signed", "From:To", ""},
		{"several names, in a fixed order", "Subject:Cc:From", "cc subject"},
		{"Received may stand often", "From:Received", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var x fieldIndex
			x.fill(h)
			x.restart()
			list(tt.h, func(name string) bool { x.take(name, -1); return true })
			if got := strings.Join(x.uncovered(Relaxed), " "); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// §8.15: a copy counts only if it shows a reader unsigned text.
func TestACopyThatSaysTheSameIsNotUncovered(t *testing.T) {
	for _, tt := range []struct {
		name, h         string
		fields          []string
		relaxed, simple string
	}{
		{"an identical copy", "subject", []string{"Subject: a", "Subject: a"}, "", ""},
		{"three identical copies", "subject", []string{"Subject: a", "Subject: a", "Subject: a"}, "", ""},
		{"another case of the name", "message-id", []string{"MESSAGE-Id: <1@x>", "Message-ID: <1@x>"}, "", ""},
		{"a blank before the colon", "date", []string{"Date : now", "Date: now"}, "", ""},
		{"other white space and folding", "subject", []string{"Subject:a\r\n\t b ", "Subject:  a b"}, "", "subject"},
		{"another case of the value", "subject", []string{"Subject: A", "Subject: a"}, "subject", "subject"},
		{"an empty copy", "subject", []string{"Subject:", "Subject: a"}, "subject", "subject"},
		{"one of two copies differs", "subject", []string{"Subject: b", "Subject: a", "Subject: a"}, "subject", "subject"},
		{"the nearer of two copies differs", "subject", []string{"Subject: a", "Subject: b", "Subject: a"}, "subject", "subject"},
		{"a copy of the upper one of two signed", "to:to", []string{"To: a", "To: a", "To: b"}, "", ""},
		{"a copy of the lower one of two signed", "to:to", []string{"To: b", "To: a", "To: b"}, "to", "to"},
		{"a copy of a From field", "from", []string{"From: a@x.example", "From: a@x.example"}, "", ""},
		{"other fields in between", "date", []string{"Date: now", "Received: x", "Date: now", "To: y"}, "", ""},
		{"two fields, one of them with another copy", "date:to", []string{"Date: now", "To: z", "Date: now", "To: y"}, "to", "to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var x fieldIndex
			x.fill(header(tt.fields...))
			x.restart()
			list(tt.h, func(name string) bool { x.take(name, -1); return true })
			for c, want := range map[Canonicalization]string{Relaxed: tt.relaxed, Simple: tt.simple} {
				if got := strings.Join(x.uncovered(c), " "); got != want {
					t.Errorf("%s: %q, want %q", c, got, want)
				}
			}
		})
	}
}
