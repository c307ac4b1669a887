package traffic

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
)

// key is the hash of a tuple, by which the database knows it.
type key [16]byte

// tuple collects fields for a key. The type fields reads them again.
type tuple []byte

func (t tuple) text(values ...string) tuple {
	for _, v := range values {
		t = append(binary.AppendUvarint(t, uint64(len(v))), v...)
	}
	return t
}

func (t tuple) flags(values ...bool) tuple {
	for _, v := range values {
		if v {
			t = append(t, 1)
		} else {
			t = append(t, 0)
		}
	}
	return t
}

func (t tuple) key() key {
	sum := sha256.Sum256(t)
	return key(sum[:16])
}

// fields is the rest of a tuple.
type fields string

// next takes n octets.
func (f *fields) next(n int) string {
	text := string((*f)[:n])
	*f = (*f)[n:]
	return text
}

func (f *fields) number() int {
	var room [binary.MaxVarintLen64]byte
	value, n := binary.Uvarint(room[:copy(room[:], *f)])
	*f = (*f)[n:]
	return int(value)
}

func (f *fields) text() string { return f.next(f.number()) }

func (f *fields) flag() bool { return f.next(1) == "\x01" }

// texts are the fields of a policy that are texts, in the order of a tuple. Its flaws do not follow from the others: they may be
// mended, and reports name those of the day.
func (p *Policy) texts() [11]*string {
	return [...]*string{&p.Domain, &p.P, &p.SP, &p.NP, &p.ADKIM, &p.ASPF, &p.FO, &p.PSD, &p.Method, &p.RUA, &p.Flaws}
}

// appendTo adds the fields of a record.
func (p *Policy) appendTo(t tuple) tuple {
	for _, text := range p.texts() {
		t = t.text(*text)
	}
	return t.flags(p.Testing)
}

// id is the key of a policy, the zero key for none.
func (p *Policy) id() key {
	if p.Domain == "" {
		return key{}
	}
	var room [256]byte
	return p.appendTo(room[:0]).key()
}

// texts are the fields of a row that are texts, in the order of a tuple.
func (r *Row) texts() [15]*string {
	return [...]*string{&r.Result, &r.HeaderFrom, &r.EnvelopeFrom, &r.Host, &r.SPFDomain, &r.SPFScope, &r.SPFResult, &r.Requested,
		&r.Disposition, &r.Action, &r.Would, &r.Rule, &r.Route, &r.Sealers, &r.Forwarder}
}

// flags are the fields of a row that are flags, in the order of a tuple.
func (r *Row) flags() [5]*bool {
	return [...]*bool{&r.DKIMAligned, &r.SPFAligned, &r.AcceptDMARC, &r.Optional, &r.Folded}
}

// appendTo adds all fields but the tally.
func (r *Row) appendTo(t tuple) tuple {
	t = r.Policy.appendTo(binary.AppendVarint(t, int64(r.Day)))
	for _, text := range r.texts() {
		t = t.text(*text)
	}
	source := r.Source.As16()
	t = append(t, source[:]...)
	t = t.flags(r.Source.IsValid(), r.Source.Is4())
	for _, flag := range r.flags() {
		t = t.flags(*flag)
	}
	t = binary.AppendUvarint(t, uint64(len(r.DKIM)))
	for i := range r.DKIM {
		t = t.text(r.DKIM[i].Domain, r.DKIM[i].Selector, r.DKIM[i].Result)
	}
	for i := range r.Reasons {
		t = t.text(r.Reasons[i].Type, r.Reasons[i].Comment)
	}
	return t
}

// rowOf reads what Row.appendTo wrote, but for the day. The texts are parts of the tuple.
func rowOf(t string) *Row {
	f := fields(t)
	r := new(Row)
	f.number() // the day
	for _, text := range r.Policy.texts() {
		*text = f.text()
	}
	r.Policy.Testing = f.flag()
	for _, text := range r.texts() {
		*text = f.text()
	}
	source := netip.AddrFrom16([16]byte([]byte(f.next(16))))
	valid, is4 := f.flag(), f.flag()
	switch {
	case is4:
		r.Source = source.Unmap()
	case valid:
		r.Source = source
	}
	for _, flag := range r.flags() {
		*flag = f.flag()
	}
	if n := f.number(); n > 0 {
		r.DKIM = make([]Signature, n)
	}
	for i := range r.DKIM {
		r.DKIM[i] = Signature{f.text(), f.text(), f.text()}
	}
	for f != "" {
		r.Reasons = append(r.Reasons, Reason{f.text(), f.text()})
	}
	return r
}

func (o *Outbound) appendTo(t tuple) tuple { return o.appendSigned(t, []byte(o.Signatures)) }

// appendSigned is appendTo with the signatures as octets.
func (o *Outbound) appendSigned(t tuple, signatures []byte) tuple {
	t = binary.AppendVarint(t.text(o.Author, o.Entry, o.Unsigned).flags(o.Folded), int64(o.Day))
	return append(t, signatures...)
}
