package message

import (
	"bytes"
	"io"
	"slices"
	"testing"
)

func TestRemoveFields(t *testing.T) {
	for _, c := range []struct {
		name, file string
		indexes    []int
		want       string
	}{
		{"none", "A: 1\nB: 2\n\nbody\n", nil, "A: 1\nB: 2\n\nbody\n"},
		{"a folded field", "A: 1\r\nB: 2\r\n\t2\r\n 2\r\nC: 3\r\n\r\nB: 2\r\n", []int{1}, "A: 1\r\nC: 3\r\n\r\nB: 2\r\n"},
		{"the first and the last", "A: 1\n 1\nB: 2\nC: 3\n\n", []int{0, 2}, "B: 2\n\n"},
		{"below an mbox separator", "From x\nA: 1\nB: 2\n", []int{0}, "From x\nB: 2\n"},
		{"a body without an empty line", "A: 1\nB: 2\nbody\nA: 1\n", []int{0}, "B: 2\nbody\nA: 1\n"},
		{"no line end", "A: 1\nB: 2", []int{1}, "A: 1\n"},
	} {
		if got := string(RemoveFields([]byte(c.file), c.indexes)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// FuzzRemoveFields compares with Split: the fields that are left are the others, and the
// body is the same.
func FuzzRemoveFields(f *testing.F) {
	f.Add([]byte("From x\nA: 1\r\n 1\nB: 2\nC : 3\n\nbody"), uint64(2))
	f.Add([]byte("A: 1\n\tx\nno field\nB: 2\n"), uint64(0))
	f.Fuzz(func(t *testing.T, file []byte, mask uint64) {
		header, body, err := Split(bytes.NewReader(file), Limits{})
		if err != nil || len(header) < 2 {
			return
		}
		var indexes []int
		want := slices.Clone(header[:1])
		for i := 1; i < len(header); i++ {
			if mask>>(i%64)&1 == 1 {
				indexes = append(indexes, i)
			} else {
				want = append(want, header[i])
			}
		}
		wantBody, _ := io.ReadAll(body)
		got, body, err := Split(bytes.NewReader(RemoveFields(file, indexes)), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		gotBody, _ := io.ReadAll(body)
		if !slices.Equal(got, want) || !bytes.Equal(gotBody, wantBody) {
			t.Errorf("%q without %v: %v and %q, want %v and %q", file, indexes, got, gotBody, want, wantBody)
		}
	})
}

func TestAppendWithoutLeavesOutTheFieldsWithTheseIndexes(t *testing.T) {
	h := Header{{Name: "A"}, {Name: "B"}, {Name: "C"}, {Name: "D"}}
	for _, c := range []struct {
		removed []int
		want    string
	}{{nil, "XABCD"}, {[]int{0}, "XBCD"}, {[]int{1, 3}, "XAC"}, {[]int{0, 1, 2, 3}, "X"}} {
		got := ""
		for _, f := range h.AppendWithout(Header{{Name: "X"}}, c.removed) {
			got += f.Name
		}
		if got != c.want {
			t.Errorf("without %v: %s, want %s", c.removed, got, c.want)
		}
	}
}
