package dnstest

import (
	"math/rand/v2"
	"strings"
	"unicode"

	wire "github.com/miekg/dns"
)

// Truncate sends only the TC bit over UDP, so that the resolver has to use TCP.
func Truncate(network string, _, reply *wire.Msg) *wire.Msg {
	if reply != nil && network == "udp" {
		reply.Truncated = true
		reply.Answer, reply.Ns = nil, nil
	}
	return reply
}

// Delegation answers questions for the servers of a zone with these hosts.
func Delegation(zone string, hosts ...string) Behaviour {
	return func(_ string, query, reply *wire.Msg) *wire.Msg {
		q := query.Question[0]
		if reply == nil || q.Qtype != wire.TypeNS || !strings.EqualFold(q.Name, wire.Fqdn(zone)) {
			return reply
		}
		reply.Rcode, reply.Ns = wire.RcodeSuccess, nil
		for _, host := range hosts {
			h := wire.RR_Header{Name: q.Name, Rrtype: wire.TypeNS, Class: wire.ClassINET, Ttl: 3600}
			reply.Answer = append(reply.Answer, &wire.NS{Hdr: h, Ns: wire.Fqdn(host)})
		}
		return reply
	}
}

// WithoutTCP closes connections over TCP without an answer.
func WithoutTCP(network string, _, reply *wire.Msg) *wire.Msg {
	if network == "tcp" {
		return nil
	}
	return reply
}

// Drop does not answer.
func Drop(string, *wire.Msg, *wire.Msg) *wire.Msg { return nil }

// WrongID answers with a wrong id.
func WrongID(_ string, _, reply *wire.Msg) *wire.Msg {
	if reply != nil {
		reply.Id++
	}
	return reply
}

// WrongQuestion answers another question.
func WrongQuestion(_ string, _, reply *wire.Msg) *wire.Msg {
	if reply != nil && len(reply.Question) > 0 {
		reply.Question[0].Name = "evil.example."
	}
	return reply
}

// Rcode answers with an rcode only.
func Rcode(rcode int) Behaviour {
	return func(_ string, _, reply *wire.Msg) *wire.Msg {
		if reply != nil {
			reply.Rcode = rcode
			reply.Answer, reply.Ns = nil, nil
		}
		return reply
	}
}

// TTL gives all records of the reply this TTL, and an SOA this minimum.
func TTL(seconds uint32) Behaviour {
	return func(_ string, _, reply *wire.Msg) *wire.Msg {
		if reply == nil {
			return nil
		}
		for _, rr := range append(append([]wire.RR{}, reply.Answer...), reply.Ns...) {
			rr.Header().Ttl = seconds
			if soa, ok := rr.(*wire.SOA); ok {
				soa.Minttl = seconds
			}
		}
		return reply
	}
}

// Hold delays every reply until the channel is closed.
func Hold(until <-chan struct{}) Behaviour {
	return func(_ string, _, reply *wire.Msg) *wire.Msg {
		<-until
		return reply
	}
}

// LowerCase returns the question in lower case.
func LowerCase(_ string, _, reply *wire.Msg) *wire.Msg {
	return withName(reply, strings.ToLower)
}

// RandomCase returns the question in letters of random case.
func RandomCase(_ string, _, reply *wire.Msg) *wire.Msg {
	return withName(reply, func(name string) string {
		return strings.Map(func(r rune) rune {
			if rand.IntN(2) == 1 {
				return unicode.ToUpper(r)
			}
			return unicode.ToLower(r)
		}, name)
	})
}

func withName(reply *wire.Msg, change func(string) string) *wire.Msg {
	if reply != nil && len(reply.Question) > 0 {
		reply.Question[0].Name = change(reply.Question[0].Name)
	}
	return reply
}
