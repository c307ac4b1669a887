package traffic

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// Each field of a row comes back from memory, also where it is long, empty or the only one.
func TestACounterHasAllOfItsRow(t *testing.T) {
	check := func(what string, r Row) {
		t.Helper()
		if got := counterOf(&r).row(); !reflect.DeepEqual(*got, r) {
			t.Errorf("%s: the row is\n%+v, was\n%+v", what, *got, r)
		}
	}
	check("usual", aRow("192.0.2.1"))
	check("empty", Row{})
	for _, source := range []string{"0.0.0.0", "::", "2001:db8::1", "::ffff:192.0.2.1"} {
		check(source, aRow(source))
	}
	long := strings.Repeat("x", 300)
	var fill func(name string, r *Row, v reflect.Value)
	fill = func(name string, r *Row, v reflect.Value) {
		switch f := v.Addr().Interface().(type) {
		case *string:
			*f = long
		case *bool:
			*f = !*f
		case *Day, *int64:
			v.SetInt(-1 << 40)
		case *netip.Addr:
			*f = netip.Addr{}
		case *[]Signature:
			*f = make([]Signature, maxSignatures)
			(*f)[99] = Signature{long, "", long}
		case *[]Reason:
			*f = []Reason{{"", ""}, {long, long}, {"", long}}
		default:
			for i := range v.NumField() {
				fill(name+"."+v.Type().Field(i).Name, r, v.Field(i))
			}
			return
		}
		check(name, *r)
	}
	for i := range reflect.TypeFor[Row]().NumField() {
		for _, r := range []Row{aRow("192.0.2.1"), {}} {
			fill(reflect.TypeFor[Row]().Field(i).Name, &r, reflect.ValueOf(&r).Elem().Field(i))
		}
	}
}

func TestACounterKeepsNoTextOfAMessage(t *testing.T) {
	var p pending
	text := []byte("a.example b.example flaw")
	r := aRow("192.0.2.1")
	shared := unsafe.String(&text[0], len(text))
	r.HeaderFrom, r.EnvelopeFrom, r.Policy.Flaws = shared[:9], shared[10:19], shared[20:]
	p.addRow(&r, &scratch{})
	clear(text)
	rows, _, _ := p.take()
	for _, c := range rows {
		if got := c.row(); got.HeaderFrom != "a.example" || got.EnvelopeFrom != "b.example" || got.Policy.Flaws != "flaw" {
			t.Errorf("the row has become %+v", got)
		}
	}
}
