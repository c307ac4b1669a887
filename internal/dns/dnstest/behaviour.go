package dnstest

import (
	"math/rand/v2"
	"strings"
	"unicode"

	wire "github.com/miekg/dns"
)

// Truncate sends nothing but the TC bit over UDP, so that TCP has to be used.
func Truncate(network string, _, reply *wire.Msg) *wire.Msg {
	if reply != nil && network == "udp" {
		reply.Truncated = true
		reply.Answer, reply.Ns = nil, nil
	}
	return reply
}

// Drop answers nothing.
func Drop(string, *wire.Msg, *wire.Msg) *wire.Msg { return nil }

// WrongID answers with an id that was not asked with.
func WrongID(_ string, _, reply *wire.Msg) *wire.Msg {
	if reply != nil {
		reply.Id++
	}
	return reply
}

// WrongQuestion answers a question that was not put.
func WrongQuestion(_ string, _, reply *wire.Msg) *wire.Msg {
	if reply != nil && len(reply.Question) > 0 {
		reply.Question[0].Name = "evil.example."
	}
	return reply
}

// Rcode answers with an rcode and nothing else.
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

// Hold keeps every reply back until the channel is closed.
func Hold(until <-chan struct{}) Behaviour {
	return func(_ string, _, reply *wire.Msg) *wire.Msg {
		<-until
		return reply
	}
}

// LowerCase gives the question back in lower case, however it was asked.
func LowerCase(_ string, _, reply *wire.Msg) *wire.Msg {
	return withName(reply, strings.ToLower)
}

// RandomCase gives the question back in letters of random case.
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
