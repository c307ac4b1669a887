package dns

import (
	wire "github.com/miekg/dns"
)

// Respond returns the reply of a recursive server for this zone; nil if it would never
// answer. Negative replies have an SOA record that allows caching for an hour. It
// serves tests that need a server.
func (z *Zone) Respond(query *wire.Msg) *wire.Msg {
	m := new(wire.Msg)
	m.SetReply(query)
	m.RecursionAvailable = true
	if opt := query.IsEdns0(); opt != nil {
		m.SetEdns0(opt.UDPSize(), false)
	}
	if len(query.Question) != 1 || query.Opcode != wire.OpcodeQuery {
		m.Rcode = wire.RcodeFormatError
		return m
	}
	q := query.Question[0]
	name, ok := rawName(q.Name)
	if !ok || q.Qclass != wire.ClassINET {
		m.Rcode = wire.RcodeRefused
		return m
	}
	f := z.find(name, q.Qtype)
	if f.failure == Timeout {
		return nil
	}
	if f.failure == ServFail || f.loop {
		m.Rcode = wire.RcodeServerFailure
		return m
	}
	for _, target := range f.aliases {
		m.Answer = append(m.Answer, &wire.CNAME{Hdr: header(name, wire.TypeCNAME, defaultTTL), Target: presentHost(target)})
		name = target
	}
	if f.set != nil {
		m.Answer = append(m.Answer, f.set.rrs(name, q.Qtype)...)
		return m
	}
	if f.absent {
		m.Rcode = wire.RcodeNameError
	}
	m.Ns = []wire.RR{&wire.SOA{Hdr: header(".", wire.TypeSOA, defaultTTL), Ns: ".", Mbox: ".", Serial: 1, Refresh: 1, Retry: 1, Expire: 1, Minttl: defaultTTL}}
	return m
}

func header(name string, rrtype uint16, ttl uint32) wire.RR_Header {
	return wire.RR_Header{Name: presentHost(name), Rrtype: rrtype, Class: wire.ClassINET, Ttl: ttl}
}

// presentHost is present for a name that may be the root.
func presentHost(name string) string {
	if name == "." {
		return name
	}
	return present(name)
}

// rrs returns the set as records of a name.
func (s *rrset) rrs(name string, rrtype uint16) []wire.RR {
	var out []wire.RR
	for _, addr := range s.addrs {
		if rrtype == wire.TypeA {
			out = append(out, &wire.A{Hdr: header(name, rrtype, s.ttl), A: addr.AsSlice()})
		} else {
			out = append(out, &wire.AAAA{Hdr: header(name, rrtype, s.ttl), AAAA: addr.AsSlice()})
		}
	}
	for i, text := range s.texts {
		h := header(name, rrtype, s.ttl)
		switch rrtype {
		case wire.TypeTXT:
			out = append(out, &wire.TXT{Hdr: h, Txt: chunks(text)})
		case wire.TypeMX:
			out = append(out, &wire.MX{Hdr: h, Preference: s.prefs[i], Mx: presentHost(text)})
		case wire.TypePTR:
			out = append(out, &wire.PTR{Hdr: h, Ptr: presentHost(text)})
		case wire.TypeCNAME:
			out = append(out, &wire.CNAME{Hdr: h, Target: presentHost(text)})
		}
	}
	return out
}

// chunks cuts a text into character strings of at most 255 octets, in presentation
// form (RFC 1035 §3.3).
func chunks(text string) []string {
	const most = 255
	out := []string{}
	for {
		n := min(len(text), most)
		b := make([]byte, 0, n)
		for i := range n {
			if text[i] == '\\' {
				b = append(b, '\\')
			}
			b = append(b, text[i])
		}
		out = append(out, string(b))
		if text = text[n:]; text == "" {
			return out
		}
	}
}
