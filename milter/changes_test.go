package milter

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// mta is the header of a message in an MTA, which executes the filter's changes.
type mta struct {
	fields []mtaField
	// renumbers says that a deleted field is no longer counted, as in Postfix
	// (cleanup_find_header_start follows the pointers past it). Sendmail only empties
	// the value (milter_changeheader).
	renumbers bool
	leadSpace bool
	// Sendmail's list begins with a field that is not written (Return-Path), and what
	// is inserted at 0 goes below it (insheader).
	sendmail bool
}

type mtaField struct {
	name, value string
	mine        bool // the MTA's own Received, which the filter is not shown
	deleted     bool
}

func newMTA(kind string, h message.Header) *mta {
	m := &mta{renumbers: kind == "postfix", sendmail: kind == "sendmail", leadSpace: true}
	if m.sendmail {
		m.fields = append(m.fields, mtaField{name: "Return-Path", value: " unwritten", mine: true})
	}
	m.fields = append(m.fields, mtaField{name: "Received", value: " here", mine: true})
	for _, f := range h {
		m.fields = append(m.fields, mtaField{name: strings.TrimRight(f.Name, " \t"), value: f.Value})
	}
	return m
}

// apply executes the packets as the MTAs do.
func (m *mta) apply(t testing.TB, out []byte) {
	t.Helper()
	for len(out) > 0 {
		n := binary.BigEndian.Uint32(out)
		code, data := out[4], string(out[5:4+n])
		out = out[4+n:]
		switch gomilter.ModifyActCode(code) {
		case gomilter.ActChangeHeader:
			index := int(binary.BigEndian.Uint32([]byte(data)))
			name, value, _ := strings.Cut(data[4:], "\x00")
			if value != "\x00" {
				t.Fatalf("a change of %s to %q", name, value)
			}
			m.remove(name, index)
		case gomilter.ActInsertHeader:
			index := int(binary.BigEndian.Uint32([]byte(data)))
			name, value, _ := strings.Cut(data[4:], "\x00")
			value, rest, _ := strings.Cut(value, "\x00")
			if rest != "" || strings.ContainsAny(value, "\r\x00") {
				t.Fatalf("insertion %q", data)
			}
			if !m.leadSpace {
				value = " " + value
			}
			if m.sendmail {
				index++
			}
			m.fields = slices.Insert(m.fields, index, mtaField{name: name, value: value})
		default:
			if gomilter.ActionCode(code) != gomilter.ActAccept {
				t.Fatalf("packet %q %q", code, data)
			}
		}
	}
}

func (m *mta) remove(name string, index int) {
	for i, f := range m.fields {
		if f.mine || !strings.EqualFold(f.name, name) || (m.renumbers && f.deleted) {
			continue
		}
		if index--; index == 0 {
			m.fields[i].deleted = true
			return
		}
	}
}

func (m *mta) String() string {
	var b strings.Builder
	for _, f := range m.fields {
		if !f.deleted && f.name != "Return-Path" {
			fmt.Fprintf(&b, "%s:%s\n", f.name, f.value)
		}
	}
	return b.String()
}

var bothKinds = agreement{version: 6, actions: wantedActions, steps: gomilter.OptHeaderLeadingSpace}

// Postfix counts again after a deletion, Sendmail does not.
func TestDeletionsAndInsertionsInPostfixAndSendmail(t *testing.T) {
	for _, c := range []struct {
		name   string
		header string
		remove []int
		insert string
		want   string
	}{
		{"the third of five", "A:1 A:2 A:3 A:4 A:5", []int{2}, "", "A:1 A:2 A:4 A:5"},
		{"three forged fields of one name", "AR:x AR:y AR:z", []int{0, 1, 2}, "", ""},
		{"named in any order", "AR:x B:1 AR:y AR:z", []int{3, 0, 2}, "", "B:1"},
		{"names of any case are counted together", "AR:mine ar:other Ar:mine aR:mine", []int{0, 2, 3}, "", "ar:other"},
		{"the MTA's own Received is not counted", "Received:1 Received:2", []int{0}, "", "Received:2"},
		{"a field of the deleted name is put in", "AR:x AR:y", []int{0}, "AR:new", "AR:y"},
		{"one index twice is one deletion", "A:1 A:2", []int{0, 0}, "", "A:2"},
		{"the first of several goes on top", "A:1", nil, "X:1 Y:2 Z:3", "A:1"},
	} {
		var h message.Header
		for _, f := range strings.Fields(c.header) {
			name, value, _ := strings.Cut(f, ":")
			h = append(h, message.Field{Name: name, Value: " " + value})
		}
		o := &message.Outcome{Disposition: message.Accept, Remove: c.remove}
		top := ""
		for _, f := range strings.Fields(c.insert) {
			name, value, _ := strings.Cut(f, ":")
			o.Insert = append(o.Insert, message.Field{Name: name, Value: value})
			top += name + ": " + value + "\n"
		}
		want := top + "Received: here\n"
		for _, f := range strings.Fields(c.want) {
			want += strings.Replace(f, ":", ": ", 1) + "\n"
		}
		out, err := appendOutcome(nil, bothKinds, h, o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, kind := range []string{"postfix", "sendmail"} {
			m := newMTA(kind, h)
			m.apply(t, out)
			if m.String() != want {
				t.Errorf("%s, %s:\n%swant\n%s", c.name, kind, m, want)
			}
		}
	}
}

func TestAnyDeletionsAndInsertionsInPostfixAndSendmail(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	names := []string{"Received", "received", "AR", "ar", "From", "Return-Path"}
	for range 3000 {
		var h message.Header
		for i := range rng.IntN(12) {
			h = append(h, message.Field{Name: names[rng.IntN(len(names)-1)], Value: fmt.Sprintf(" %d", i)})
		}
		o := &message.Outcome{Disposition: message.Accept}
		var want strings.Builder
		for i := range rng.IntN(3) {
			f := message.Field{Name: names[rng.IntN(len(names)-1)], Value: fmt.Sprintf("new %d", i)}
			o.Insert = append(o.Insert, f)
			fmt.Fprintf(&want, "%s: %s\n", f.Name, f.Value)
		}
		want.WriteString("Received: here\n")
		for i, f := range h {
			if rng.IntN(2) == 0 {
				o.Remove = append(o.Remove, i)
			} else {
				fmt.Fprintf(&want, "%s:%s\n", f.Name, f.Value)
			}
		}
		rng.Shuffle(len(o.Remove), func(i, j int) { o.Remove[i], o.Remove[j] = o.Remove[j], o.Remove[i] })
		out, err := appendOutcome(nil, bothKinds, h, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"postfix", "sendmail"} {
			m := newMTA(kind, h)
			m.apply(t, out)
			if m.String() != want.String() {
				t.Fatalf("%s: header %q, remove %v, insert %q:\n%swant\n%s", kind, h.String(), o.Remove, o.Insert, m, want.String())
			}
		}
	}
}

// There is one blank after the colon, written by us or by the MTA. ADDHEADER is never used.
func TestTheBlankOfAnInsertedField(t *testing.T) {
	for _, lead := range []bool{true, false} {
		a := agreement{actions: wantedActions}
		if lead {
			a.steps = gomilter.OptHeaderLeadingSpace
		}
		o := &message.Outcome{Disposition: message.Accept, Insert: []message.Field{{Name: "X", Value: "v; a=b;\r\n\tc=d"}}}
		out, err := appendOutcome(nil, a, nil, o)
		if err != nil {
			t.Fatal(err)
		}
		if out[4] != byte(gomilter.ActInsertHeader) {
			t.Errorf("action %q", out[4])
		}
		m := newMTA("postfix", nil)
		m.leadSpace = lead
		m.apply(t, out)
		if want := "X: v; a=b;\n\tc=d\nReceived: here\n"; m.String() != want {
			t.Errorf("leading space %v: %q, want %q", lead, m, want)
		}
	}
}

// A name is counted as the MTA knows it, without blanks before the colon.
func TestANameWithBlanksIsCountedAsTheMTADoes(t *testing.T) {
	h := message.Header{{Name: "AR", Value: " 1"}, {Name: "AR ", Value: " 2"}, {Name: "ar\t", Value: " 3"}}
	out, err := appendOutcome(nil, bothKinds, h, &message.Outcome{Disposition: message.Accept, Remove: []int{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	m := newMTA("postfix", h)
	m.apply(t, out)
	if want := "Received: here\nAR: 1\n"; m.String() != want {
		t.Errorf("%q, want %q", m, want)
	}
}

// No value breaks out of its field, or out of its packet.
func TestAppendValue(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"folds become LF", "a\r\n b\r\n\tc", "a\n b\n\tc"},
		{"LF folds stay", "a\n b", "a\n b"},
		{"a line end without blank", "a\r\nBcc: eve", "a Bcc: eve"},
		{"two line ends", "a\r\n\r\nbody", "a  body"},
		{"a fold before a line end", "a\r\n \r\nBcc: eve", "a\n  Bcc: eve"},
		{"a line end at the end", "a\r\n", "a "},
		{"bare CR and NUL", "a\rb\x00c", "abc"},
		{"CR between the line end and its blank", "a\n\r b", "a\n b"},
		{"NUL hiding a break", "a\n\x00Bcc: eve", "a Bcc: eve"},
		{"many CR after a line end", "a\n\r\r\r\rBcc: eve", "a Bcc: eve"},
		{"nothing", "", ""},
		{"octets of 8 bits", "caf\xc3\xa9 \xff", "caf\xc3\xa9 \xff"},
	} {
		if got := string(appendValue(nil, c.value)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzAppendValue(f *testing.F) {
	for _, s := range []string{"v=1; a=b;\r\n\tc=d", "a\r\nBcc: e", "\n", "\r\r\n\x00 x", "a\n\r\r\r\r b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := string(appendValue(nil, value))
		if strings.ContainsAny(got, "\r\x00") || len(got) > len(value) {
			t.Fatalf("%q became %q", value, got)
		}
		for i, c := range []byte(got) {
			if c == '\n' && (i+1 == len(got) || (got[i+1] != ' ' && got[i+1] != '\t')) {
				t.Fatalf("%q became %q", value, got)
			}
		}
		bare := strings.NewReplacer("\r", "", "\n", "", "\x00", "", " ", "", "\t", "").Replace
		if bare(got) != bare(value) {
			t.Fatalf("%q became %q", value, got)
		}
	})
}

// A header of many fields of one name, all to be deleted, costs linear time.
func BenchmarkDeletionsWorstCase(b *testing.B) {
	h := make(message.Header, 2000)
	o := &message.Outcome{Disposition: message.Accept}
	for i := range h {
		h[i] = message.Field{Name: "Authentication-Results", Value: " x"}
		o.Remove = append(o.Remove, i)
	}
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		out, _ = appendOutcome(out[:0], bothKinds, h, o)
	}
}

func TestRecipientsAreTakenOff(t *testing.T) {
	o := &message.Outcome{Disposition: message.Accept, Drop: []string{"dmarc@a.example", ""}}
	out, err := appendOutcome(nil, agreement{actions: wantedActions}, nil, o)
	if want := "\x00\x00\x00\x13-<dmarc@a.example>\x00\x00\x00\x00\x04-<>\x00\x00\x00\x00\x01a"; err != nil || string(out) != want {
		t.Errorf("%q, want %q, %v", out, want, err)
	}
	// Where the MTA does not let us, they get the message.
	out, err = appendOutcome(nil, agreement{}, nil, o)
	if want := "\x00\x00\x00\x01a"; err != nil || string(out) != want {
		t.Errorf("%q, want %q, %v", out, want, err)
	}
}
