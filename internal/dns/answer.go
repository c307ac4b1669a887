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

// The longest time that an answer is kept, for any TTL. An answer with a TTL of 0 is
// not kept; it is only for the callers that wait for it (RFC 1035 §3.2.1).
const (
	// maxTTL limits how long a revoked key stays in use.
	maxTTL = time.Hour
	// maxNegativeTTL is lower than RFC 2308 §5 allows (three hours): the administrator
	// who publishes a key or policy waits for it.
	maxNegativeTTL = 5 * time.Minute
	// errorTTL prevents that a name with dead servers delays each message by all
	// tries. RFC 2308 §7.1 allows five minutes.
	errorTTL = 5 * time.Second
)

// Limits of one look-up. Beyond them it is an error: a part of an answer could reverse
// a verdict.
const (
	maxRecords     = 512
	maxRecordBytes = 16 << 10 // of one TXT record; a 4096-bit RSA key takes 750
)

// answer is the cached answer to one question. It is immutable.
type answer struct {
	texts  []string // for TXT the records; for MX and PTR the hosts
	addrs  []netip.Addr
	absent bool // NXDOMAIN
	err    error
	ttl    time.Duration
}

// size returns approximately the memory of the answer.
func (a *answer) size() int {
	n := 24 * len(a.addrs)
	for _, s := range a.texts {
		n += 16 + len(s)
	}
	return n
}

// step is the content of one reply: the answer, or the name at which to continue, since
// the reply ends in the middle of a chain of aliases.
type step struct {
	answer  *answer
	alias   string
	aliases int // CNAMEs followed in this reply
	ttl     time.Duration
}

var errReferral = errors.New("the server answered with a referral, as one does that is not recursive: write a resolver's address into dns.servers")

// readReply finds the answer to a question in a reply with rcode NOERROR or NXDOMAIN.
// An error concerns this reply only: another server may be better.
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
		// The name exists if it is an alias (RFC 8020 §2).
		s.answer = &answer{absent: m.Rcode == wire.RcodeNameError && s.aliases == 0}
	case at != name:
		s.alias = at
	case referral(m):
		return s, errReferral
	default:
		s.ttl = 0 // RFC 2308 §5: without an SOA it should not be cached
		s.answer = &answer{}
	}
	return s, nil
}

// owned is a reply's data for one name: its records of the type, or otherwise the
// target of its CNAME. The TTL is the lowest of all.
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

// seconds returns a TTL; a value with the highest bit set is 0 (RFC 2181 §8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// negativeTTL is how long a reply without records may be kept (RFC 2308 §5); it is
// negative if the reply does not say.
func negativeTTL(m *wire.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*wire.SOA); ok {
			return min(seconds(soa.Minttl), seconds(soa.Hdr.Ttl), maxNegativeTTL)
		}
	}
	return -1
}

// referral distinguishes a reply that refers to other servers from one that says that
// there are no records (RFC 2308 §2.2).
func referral(m *wire.Msg) bool {
	return !m.Authoritative && len(m.Answer) == 0 && slices.ContainsFunc(m.Ns, func(rr wire.RR) bool {
		return rr.Header().Rrtype == wire.TypeNS
	})
}

// collect converts records of one type to an answer.
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
		if name, ok := rawName(s); ok { // else it is not a host name
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
	case *wire.NS:
		host(rr.Ns)
	}
	if n := len(a.texts); n > 0 && len(a.texts[n-1]) > maxRecordBytes {
		return fmt.Errorf("a record has %d octets: more than %d are not read", len(a.texts[n-1]), maxRecordBytes)
	}
	return nil
}
