package spf

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// names returns these names for every address, and the client's address for every name.
type names struct {
	Resolver
	list []string
}

func (n names) LookupPTR(context.Context, netip.Addr) ([]string, error) { return n.list, nil }
func (n names) LookupA(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{client}, nil
}

// A PTR name is foreign text, even a validated one.
func TestATK069WhatIsNoNameIsNeitherFollowedNorTold(t *testing.T) {
	z := zoneOf("v=spf1 -exists:%{p}.none.invalid exp=why.example.com -all")
	z.AddTXT("why.example.com", "client is %{p}")
	for _, name := range []string{
		"a\r\nbcc: x@example.com", "a\x00.example.com", "caf\xe9.example.com", "\u202emoc.elpmaxe.com", "a..example.com",
		strings.Repeat("a", 64) + ".example.com", strings.Repeat("a.", 127) + "example.com", "", ".", "a\x7f.example.com",
	} {
		r := &recorder{Resolver: names{z, []string{name}}}
		out := checkExample(t, r, "user")
		if out.Result != Fail || strings.Join(r.asked, "; ") != "TXT example.com; PTR 192.0.2.1; A unknown.none.invalid; TXT why.example.com" || out.Explanation != "client is unknown" {
			t.Errorf("%q: %+v after %q", name, out, r.asked)
		}
	}
}

// The owner of an address may publish any number of names for it.
func TestATK069AFloodOfPTRRecordsCostsTenLookups(t *testing.T) {
	z := zoneOf("v=spf1 ptr exists:%{p}.example.com -all")
	for i := range 10_000 {
		z.AddPTR("1.2.0.192.in-addr.arpa", fmt.Sprintf("h%d.example.com", i))
	}
	r := &recorder{Resolver: z}
	out := checkExample(t, r, "user")
	asked := map[string]int{}
	for _, q := range r.asked {
		asked[q[:3]]++
	}
	// The names, their addresses, and the one address that "exists" looks up.
	if out.Result != Fail || asked["PTR"] != 1 || asked["A h"] > maxPTRNames {
		t.Errorf("%+v after %v", out, asked)
	}
}
