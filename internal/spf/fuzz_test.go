package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func FuzzParseRecord(f *testing.F) {
	for _, seed := range []string{
		"v=spf1 +mx a:colo.example.com/28 -all",
		"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 include:_spf.example.com ~all",
		"v=spf1 exists:%{ir}.%{l1r+-}._spf.%{d} redirect=_spf.example.com exp=why.%{d2}",
		"v=spf1 a/24//64 mx//128 ptr:example.com ?all x=%%%_%- ",
		"v=spf1 ip4: all/8 a:museum foo:bar %{",
		"V=SPF1 A:x/y.example/032 -ALL",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !isRecord(text) {
			return
		}
		r, err := ParseRecord(text)
		if err != nil {
			return
		}
		// An accepted record is visible ASCII and spaces. Its directives are its
		// words in order, without modifiers.
		var words []string
		for _, word := range strings.Split(text[len(version):], " ") {
			if strings.ContainsFunc(word, func(c rune) bool { return c <= ' ' || c > '~' }) {
				t.Fatalf("%q holds %q", text, word)
			}
			if i := strings.IndexAny(word, "=:/"); word != "" && (i < 0 || word[i] != '=') {
				words = append(words, word)
			}
		}
		if len(words) != len(r.terms) {
			t.Fatalf("%q: %d directives of %d", text, len(r.terms), len(words))
		}
		for i, term := range r.terms {
			if term.text != words[i] {
				t.Fatalf("%q: %q at %d", text, term.text, i)
			}
			if again, err := parseDirective(strings.ToUpper(term.text)); err != nil || again.mechanism != term.mechanism ||
				again.bits != term.bits || again.network != term.network || again.qualifier != term.qualifier {
				t.Fatalf("%q in upper case: %+v, %v", term.text, again, err)
			}
			if term.bits.ip4 > 32 || term.bits.ip6 > 128 {
				t.Fatalf("%q: %+v", term.text, term.bits)
			}
		}
	})
}

func FuzzMacro(f *testing.F) {
	for _, seed := range macroSeeds {
		f.Add(seed, "strong-bad")
		f.Add(seed, "-a.-b+\x00\xff")
	}
	f.Fuzz(func(t *testing.T, text, local string) {
		e := testEvaluation(local)
		if m, err := parseMacroString(text, inDomainSpec); err == nil && len(text) < 1000 && len(local) < 1000 {
			compareTail(t, m, e)
		}
		m, err := parseMacroString(text, inExplanation)
		if err != nil {
			return
		}
		z := texts{m.text}
		e.resolver = z
		out := e.explain(verdict{explanation: macroString{text: "why.example"}, domain: "example.com"})
		if len(out) > maxExplanation || strings.ContainsFunc(out, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Fatalf("%q explains %q", text, out)
		}
	})
}

// texts answers TXT questions with one record; all other answers are empty.
type texts struct{ text string }

func (x texts) LookupTXT(context.Context, string) ([]string, error)      { return []string{x.text}, nil }
func (x texts) LookupA(context.Context, string) ([]netip.Addr, error)    { return nil, nil }
func (x texts) LookupAAAA(context.Context, string) ([]netip.Addr, error) { return nil, nil }
func (x texts) LookupMX(context.Context, string) ([]string, error)       { return nil, nil }
func (x texts) LookupPTR(context.Context, netip.Addr) ([]string, error)  { return nil, nil }

// FuzzCheckHost evaluates records that refer to each other, with DNS answers made from
// the input. Every evaluation ends within its limits, with an outcome of printable
// text.
func FuzzCheckHost(f *testing.F) {
	f.Add("include:1.example include:2.example -all exp=3.example", "a mx ptr -all", "redirect=%{l}.example", "%{s} from %{c} %{p}",
		"user@0.example", "client.example", []byte{0, 1, 2, 3})
	f.Add("include:0.example", "redirect=0.example", "exists:%{p}.%{d}", "v=spf1 a:%{h} mx:%{l}.2.example ?all",
		"a.b@1.example", "[192.0.2.1]", []byte{7, 7, 200, 9})
	f.Add("-include:1.example exp=3.example", "+all", "a", "%{S} %{t} %{r}",
		"\u00fc@0.example", "b\u00fccher.example", []byte{})
	f.Fuzz(func(t *testing.T, t0, t1, t2, t3, sender, helo string, dice []byte) {
		// Three are SPF records of some kind, the fourth may be anything.
		z := &fuzzZone{texts: [4]string{"v=spf1 " + t0, "v=spf1 " + t1, "v=spf1 " + t2, t3}, dice: dice}
		addr := netip.MustParseAddr("192.0.2.1")
		if len(dice) > 0 && dice[0]&1 == 1 {
			addr = netip.MustParseAddr("2001:db8::1")
		}
		q := Query{Addr: addr, Sender: sender, Helo: helo, Explain: true}
		if q.Sender == "" {
			q.Helo = "0.example"
		}
		out := CheckHost(context.Background(), z, q)
		if err := checkInvariants(out, q); err != nil {
			t.Fatal(err)
		}
		// One TXT for the domain and one for each of ten terms, an MX with ten hosts
		// for each of ten terms, ten PTR names once, and the explanation.
		const most = 1 + MaxLookups*(1+maxMXHosts) + 1 + maxPTRNames + 1
		if z.asked > most {
			t.Fatalf("%d questions", z.asked)
		}
		if z.bad != "" {
			t.Fatalf("asked for %q", z.bad)
		}
	})
}

// fuzzZone has records at 0.example to 3.example; dice decides everything else.
type fuzzZone struct {
	texts [4]string
	dice  []byte
	asked int
	bad   string
}

// roll takes the next dice; it is 1 when there are no more.
func (z *fuzzZone) roll() byte {
	if len(z.dice) == 0 {
		return 1
	}
	d := z.dice[0]
	z.dice = z.dice[1:]
	return d
}

func (z *fuzzZone) ask(name string) error {
	z.asked++
	if !usableName(name) {
		z.bad = name
	}
	if z.roll()%16 == 15 {
		return errors.New("no answer")
	}
	return nil
}

func (z *fuzzZone) LookupTXT(_ context.Context, name string) ([]string, error) {
	err := z.ask(name)
	for i, text := range z.texts {
		if strings.EqualFold(name, fmt.Sprintf("%d.example", i)) {
			return []string{text}, err
		}
	}
	return nil, err
}

func (z *fuzzZone) LookupA(_ context.Context, name string) ([]netip.Addr, error) {
	err := z.ask(name)
	switch d := z.roll(); d % 4 {
	case 0:
		return nil, err
	case 1:
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, err
	default:
		return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, d, 1}), {}}, err
	}
}

func (z *fuzzZone) LookupAAAA(_ context.Context, name string) ([]netip.Addr, error) {
	err := z.ask(name)
	if z.roll()%2 == 0 {
		return nil, err
	}
	return []netip.Addr{netip.MustParseAddr("2001:db8::1")}, err
}

func (z *fuzzZone) hosts() []string {
	hosts := make([]string, z.roll()%13)
	for i := range hosts {
		hosts[i] = [...]string{"0.example", "mail.1.example", ".", "a..b", "X.2.Example.", "\x00.example"}[z.roll()%6]
	}
	return hosts
}

func (z *fuzzZone) LookupMX(_ context.Context, name string) ([]string, error) {
	return z.hosts(), z.ask(name)
}

func (z *fuzzZone) LookupPTR(context.Context, netip.Addr) ([]string, error) {
	return z.hosts(), z.ask("reverse.example")
}
