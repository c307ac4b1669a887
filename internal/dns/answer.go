package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// The longest that an answer is kept, whatever its TTL says. One with a TTL of 0 is not
// kept at all: it is for those who asked while the query was under way (RFC 1035 §3.2.1).
const (
	// maxTTL bounds how long a key that was revoked goes on being used.
	maxTTL = time.Hour
	// maxNegativeTTL is lower than RFC 2308 §5 would let it be (three hours): a
	// key or policy is published because somebody is waiting for it.
	maxNegativeTTL = 5 * time.Minute
	// errorTTL keeps a name whose servers are dead from holding up each message by
	// all tries. RFC 2308 §7.1 allows five minutes.
	errorTTL = 5 * time.Second
)

// What one look-up may yield. Beyond, it is an error: part of an answer could turn
// a verdict round.
const (
	maxRecords     = 512
	maxRecordBytes = 16 << 10 // of one TXT record; a 4096-bit RSA key takes 750
)

// answer is what is remembered of one question. It does not change once made.
type answer struct {
	texts  []string // for TXT the records; for MX and PTR the hosts
	addrs  []netip.Addr
	absent bool // NXDOMAIN
	err    error
	ttl    time.Duration
}

// size is about what the answer takes of memory.
func (a *answer) size() int {
	n := 24 * len(a.addrs)
	for _, s := range a.texts {
		n += 16 + len(s)
	}
	return n
}

// step is what one reply says on a question: the answer, or the name at which to
// go on asking, since the reply stops in the middle of a chain of aliases.
type step struct {
	answer  *answer
	alias   string
	aliases int // CNAMEs passed in this reply
	ttl     time.Duration
}

var errReferral = errors.New("the server answered with a referral, as one does that is not recursive: write a resolver's address into dns.servers")

// readReply finds the answer to a question in a reply whose rcode is NOERROR or
// NXDOMAIN. An error is one of this reply: another server may do better.
func readReply(m *wire.Msg, name string, rrtype uint16) (step, error) {
	s := step{ttl: maxTTL}
	at := name
	for {
		has, err := ownedBy(m.Answer, at, rrtype)
		if err != nil {
			return s, err
		}
		s.ttl = min(s.ttl, has.ttl)
		if len(has.records) > 0 {
			s.answer, err = collect(has.records)
			return s, err
		}
		if has.alias == "" {
			break
		}
		if s.aliases++; s.aliases > maxCNAMEs {
			return s, errAliases
		}
		at = has.alias
	}
	soa := negativeTTL(m)
	switch {
	case m.Rcode == wire.RcodeNameError || soa >= 0:
		s.ttl = min(s.ttl, max(soa, 0))
		// The name that was asked for exists if it is an alias (RFC 8020 §2).
		s.answer = &answer{absent: m.Rcode == wire.RcodeNameError && s.aliases == 0}
	case at != name:
		s.alias = at
	case referral(m):
		return s, errReferral
	default:
		s.ttl = 0 // §5 of RFC 2308: without an SOA it should not be cached
		s.answer = &answer{}
	}
	return s, nil
}

// owned is what a reply says of one name: its records of the type, or if it has
// none, where its CNAME points to. The TTL is the lowest of what is given.
type owned struct {
	records []wire.RR
	alias   string
	ttl     time.Duration
}

func ownedBy(section []wire.RR, name string, rrtype uint16) (owned, error) {
	has, alias := owned{ttl: maxTTL}, owned{ttl: maxTTL}
	var bad error
	for _, rr := range section {
		h := rr.Header()
		if h.Class != wire.ClassINET || h.Rrtype != rrtype && h.Rrtype != wire.TypeCNAME {
			continue
		}
		if owner, ok := rawName(h.Name); !ok || owner != name {
			continue
		}
		if h.Rrtype == rrtype {
			has.records = append(has.records, rr)
			has.ttl = min(has.ttl, seconds(h.Ttl))
		} else if cname, ok := rr.(*wire.CNAME); ok {
			alias.ttl = seconds(h.Ttl)
			if alias.alias, ok = rawName(cname.Target); !ok {
				bad = fmt.Errorf("the CNAME of %q points to %q, which cannot be asked for", name, cname.Target)
			}
		}
	}
	if len(has.records) > 0 {
		return has, nil
	}
	return alias, bad
}

// seconds is a TTL; one with the highest bit set is 0 (RFC 2181 §8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// negativeTTL is how long a reply without records may be kept (RFC 2308 §5);
// negative when the reply does not say.
func negativeTTL(m *wire.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*wire.SOA); ok {
			return min(seconds(soa.Minttl), seconds(soa.Hdr.Ttl), maxNegativeTTL)
		}
	}
	return -1
}

// referral tells a reply that sends us elsewhere from one that says that there are
// no records. §2.2 of RFC 2308.
func referral(m *wire.Msg) bool {
	return !m.Authoritative && len(m.Answer) == 0 && slices.ContainsFunc(m.Ns, func(rr wire.RR) bool {
		return rr.Header().Rrtype == wire.TypeNS
	})
}

// collect turns records of one type into an answer.
func collect(records []wire.RR) (*answer, error) {
	if len(records) > maxRecords {
		return nil, fmt.Errorf("there are %d records: more than %d are not read", len(records), maxRecords)
	}
	a := &answer{}
	if mx, ok := records[0].(*wire.MX); ok && mx != nil {
		slices.SortStableFunc(records, func(x, y wire.RR) int {
			return int(x.(*wire.MX).Preference) - int(y.(*wire.MX).Preference)
		})
	}
	for _, rr := range records {
		if err := a.add(rr); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *answer) add(rr wire.RR) error {
	host := func(s string) {
		if name, ok := rawName(s); ok { // else it is nobody's host
			a.texts = append(a.texts, name)
		}
	}
	switch rr := rr.(type) {
	case *wire.TXT:
		text := strings.Join(rr.Txt, "")
		if !strings.Contains(text, `\`) {
			a.texts = append(a.texts, text)
			break
		}
		var b strings.Builder
		for _, s := range rr.Txt {
			b.WriteString(unescape(s))
		}
		a.texts = append(a.texts, b.String())
	case *wire.A:
		if addr, ok := netip.AddrFromSlice(rr.A.To4()); ok {
			a.addrs = append(a.addrs, addr)
		}
	case *wire.AAAA:
		if addr, ok := netip.AddrFromSlice(rr.AAAA.To16()); ok {
			a.addrs = append(a.addrs, addr)
		}
	case *wire.MX:
		host(rr.Mx)
	case *wire.PTR:
		host(rr.Ptr)
	}
	if n := len(a.texts); n > 0 && len(a.texts[n-1]) > maxRecordBytes {
		return fmt.Errorf("a record has %d octets: more than %d are not read", len(a.texts[n-1]), maxRecordBytes)
	}
	return nil
}
