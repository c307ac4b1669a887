package dns

import (
	"fmt"
	"strings"
	"testing"

	wire "github.com/miekg/dns"
)

func wireMessage(t testing.TB, rcode int, records ...string) *wire.Msg {
	t.Helper()
	m := new(wire.Msg)
	m.Rcode = rcode
	for _, text := range records {
		rr, err := wire.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		if rr.Header().Rrtype == wire.TypeSOA || rr.Header().Rrtype == wire.TypeNS {
			m.Ns = append(m.Ns, rr)
		} else {
			m.Answer = append(m.Answer, rr)
		}
	}
	return m
}

func TestReadingReplies(t *testing.T) {
	const soa = "example. 900 SOA a. b. 1 1 1 1 60"
	for _, c := range []struct {
		name    string
		rcode   int
		records []string
		want    string
	}{
		{"the record", 0, []string{"A.example. 30 TXT x"}, `["x"] 30s`},
		{"records of other names and types beside it", 0, []string{"b.example. 1 TXT no", "a.example. 1 A 192.0.2.1", "a.example. 30 TXT x"}, `["x"] 30s`},
		{"records of another class", 0, []string{"a.example. 30 CH TXT no", soa}, `[] 1m0s`},
		{"a chain in the wrong order", 0, []string{"c.example. 20 TXT x", "b.example. 10 CNAME c.example.", "a.example. 30 CNAME B.example."}, `["x"] 10s`},
		{"the lowest TTL of a set", 0, []string{"a.example. 30 TXT x", "a.example. 20 TXT y"}, `["x" "y"] 20s`},
		{"no such type", 0, []string{soa}, `[] 1m0s`},
		{"the SOA's own TTL, where it is lower", 0, []string{"example. 20 SOA a. b. 1 1 1 1 60"}, `[] 20s`},
		{"no such name", 3, []string{soa}, `absent [] 1m0s`},
		{"an alias to a name that does not exist", 3, []string{"a.example. 30 CNAME b.example.", soa}, `[] 30s`},
		{"an alias to a name without the type", 0, []string{"a.example. 30 CNAME b.example.", soa}, `[] 30s`},
		{"the middle of a chain", 0, []string{"a.example. 30 CNAME b.example."}, `go on at b.example`},
		{"a referral", 0, []string{"example. 30 NS a.example."}, `error`},
		{"an empty reply", 0, nil, `[] 0s`},
		{"an alias to itself", 0, []string{"a.example. 30 CNAME a.example."}, `error`},
		{"a name that was not asked for", 0, []string{"b.example. 30 TXT x", soa}, `[] 1m0s`},
		{"an alias that cannot be asked for", 0, []string{`a.example. 30 CNAME x\.y.example.`}, `error`},
		{"an alias to the root", 0, []string{`a.example. 30 CNAME .`}, `go on at .`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := readReply(wireMessage(t, c.rcode, c.records...), "a.example", wire.TypeTXT)
			got := ""
			switch {
			case err != nil:
				got = "error"
			case s.answer == nil:
				got = "go on at " + s.alias
			default:
				got = fmt.Sprintf("%q %s", s.answer.texts, s.ttl)
				if s.answer.absent {
					got = "absent " + got
				}
			}
			if got != c.want {
				t.Errorf("%s (%v), want %s", got, err, c.want)
			}
		})
	}
}

func TestAHostThatCannotBeOneIsLeftOut(t *testing.T) {
	m := wireMessage(t, 0, `a.example. 1 PTR x\.y.example.`, `a.example. 1 PTR Ok.example.`)
	s, err := readReply(m, "a.example", wire.TypePTR)
	if err != nil || fmt.Sprintf("%q", s.answer.texts) != `["ok.example"]` {
		t.Errorf("%+v, %v", s.answer, err)
	}
}

// BenchmarkWorst reads the most expensive reply over TCP: it has only aliases, and each
// pass finds the right one last. The ordinary replies for comparison have addresses,
// with the same total number of records.
func BenchmarkWorst(b *testing.B) {
	var chain, ordinary []string
	for i := range 4000 {
		chain = append(chain, fmt.Sprintf("x%d.example. 1 CNAME a.example.", i))
	}
	for i := range maxCNAMEs {
		chain = append(chain, fmt.Sprintf("%c.example. 1 CNAME %c.example.", 'a'+i, 'b'+i))
	}
	for i := range len(chain) / 8 {
		ordinary = append(ordinary, fmt.Sprintf("a.example. 1 A 198.51.%d.%d", i>>8, i&255))
	}
	b.Run("aliases/ordinary", func(b *testing.B) { benchmarkReply(b, ordinary, 8, 0) })
	b.Run("aliases/hostile", func(b *testing.B) { benchmarkReply(b, chain, 1, maxCNAMEs) })
}

func benchmarkReply(b *testing.B, records []string, times, aliases int) {
	m := wireMessage(b, 0, records...)
	m.Compress = true
	packet, err := m.Pack()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for range times {
			m := new(wire.Msg)
			if err := m.Unpack(packet); err != nil {
				b.Fatal(err)
			}
			if s, err := readReply(m, "a.example", wire.TypeA); err != nil || s.aliases != aliases {
				b.Fatal(s, err)
			}
		}
	}
}

// The time to read a zone file is linear in its length.
func BenchmarkParseZone(b *testing.B) {
	text := strings.Repeat("a.example.com 60 IN A 192.0.2.1\nb.example.com TXT ( \"x\" \"y\" )\n", 1000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseZone(strings.NewReader(text), "z"); err != nil {
			b.Fatal(err)
		}
	}
}

// For every reply, reading ends without a panic and within the limits.
func FuzzReadReply(f *testing.F) {
	for _, records := range [][]string{
		{"a.example. 30 TXT x y \\255"},
		{"a.example. 30 CNAME b.example.", "b.example. 1 MX 10 c.example."},
		{"a.example. 1 A 192.0.2.1", "a.example. 1 AAAA 2001:db8::1"},
		{"example. 900 SOA a. b. 1 1 1 1 60"},
	} {
		packet, err := wireMessage(f, 0, records...).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet, wire.TypeTXT)
		f.Add(packet, wire.TypeMX)
	}
	f.Fuzz(func(t *testing.T, packet []byte, rrtype uint16) {
		m := new(wire.Msg)
		if m.Unpack(packet) != nil {
			return
		}
		for _, name := range []string{"a.example", strings.TrimSuffix(firstOwner(m), ".")} {
			s, err := readReply(m, name, rrtype)
			if err != nil {
				continue
			}
			if (s.answer == nil) == (s.alias == "") {
				t.Errorf("neither an answer nor a way on, or both: %+v", s)
			}
			if s.ttl < 0 || s.ttl > maxTTL || s.aliases > maxCNAMEs {
				t.Errorf("beyond the limits: %+v", s)
			}
			if s.answer != nil && len(s.answer.texts)+len(s.answer.addrs) > maxRecords {
				t.Errorf("%d records", len(s.answer.texts)+len(s.answer.addrs))
			}
		}
	})
}

func firstOwner(m *wire.Msg) string {
	if len(m.Answer) == 0 {
		return "b.example"
	}
	name, _ := rawName(m.Answer[0].Header().Name)
	return name
}
