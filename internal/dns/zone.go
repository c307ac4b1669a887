package dns

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	wire "github.com/miekg/dns"

	"signpost/internal/message"
)

// Failure is a way in which look-ups of a name in a Zone fail.
type Failure string

const (
	Timeout  Failure = "TIMEOUT"  // no answer comes; a Zone returns the error at once
	ServFail Failure = "SERVFAIL" // the server reports a failure
	NXDomain Failure = "NXDOMAIN" // the name does not exist, even if names below it are listed
)

// defaultTTL is the TTL of records without one, in seconds.
const defaultTTL = 3600

// A Zone answers from memory. It may have names of any domain and is the whole DNS:
// names that are not in it do not exist; names above others exist without records (RFC
// 8020 §2). Wildcards work as in RFC 1034 §4.3.3, and CNAMEs are followed. All methods
// may be used concurrently.
type Zone struct {
	mu    sync.RWMutex
	nodes map[string]*node
}

// node is one name. Without records and failures it is an empty non-terminal.
type node struct {
	sets     map[uint16]*rrset
	failures map[uint16]Failure // by type; under anyType for each type without records
}

// anyType is the key in node.failures for the types that are not listed.
const anyType = 0

// rrset is the records of one name and type: addrs for A and AAAA, texts for other
// types. For TXT, a text is a whole record; for MX, prefs is parallel to texts.
type rrset struct {
	ttl   uint32
	texts []string
	addrs []netip.Addr
	prefs []uint16
}

// NewZone returns an empty zone.
func NewZone() *Zone { return &Zone{nodes: map[string]*node{"": {}}} }

// AddTXT adds one TXT record made of these strings. Their octets are kept unchanged;
// look-ups join them without a separator.
func (z *Zone) AddTXT(name string, strs ...string) {
	z.add(name, wire.TypeTXT, func(s *rrset) { s.texts = append(s.texts, strings.Join(strs, "")) })
}

// AddA adds an A or an AAAA record, by the family of the address. An IPv4-mapped
// IPv6 address is an AAAA record.
func (z *Zone) AddA(name string, addr netip.Addr) {
	rrtype := wire.TypeAAAA
	if addr.Is4() {
		rrtype = wire.TypeA
	}
	z.add(name, rrtype, func(s *rrset) { s.addrs = append(s.addrs, addr) })
}

// AddMX adds an MX record. The host "." or "" makes a null MX (RFC 7505).
func (z *Zone) AddMX(name string, pref uint16, host string) {
	z.add(name, wire.TypeMX, func(s *rrset) {
		at, _ := slices.BinarySearchFunc(s.prefs, pref, func(a, b uint16) int {
			if a > b {
				return 1
			}
			return -1 // after those of the same preference
		})
		s.prefs = slices.Insert(slices.Clone(s.prefs), at, pref)
		s.texts = slices.Insert(slices.Clone(s.texts), at, hostName(host))
	})
}

// AddPTR adds a PTR record. The name is under in-addr.arpa or ip6.arpa, or is an
// address, which is converted to that name.
func (z *Zone) AddPTR(name, target string) {
	if addr, err := netip.ParseAddr(name); err == nil {
		name = reverseName(addr)
	}
	z.add(name, wire.TypePTR, func(s *rrset) { s.texts = append(s.texts, hostName(target)) })
}

// AddCNAME makes the name an alias. Records of other types at the same name are still
// found; the alias applies to the types that are absent.
func (z *Zone) AddCNAME(name, target string) {
	z.add(name, wire.TypeCNAME, func(s *rrset) { s.texts = []string{hostName(target)} })
}

// Fail makes look-ups of a name fail. rrtype is a type ("TXT"); "" and unknown types
// mean every type without records here. NXDomain is for all types and ignores rrtype.
func (z *Zone) Fail(name, rrtype string, how Failure) {
	t := uint16(anyType)
	if how != NXDomain {
		t = wire.StringToType[strings.ToUpper(rrtype)]
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	n := z.node(name, how != NXDomain)
	if n.failures == nil {
		n.failures = map[uint16]Failure{}
	}
	n.failures[t] = how
}

// hostName is a host as returned in answers.
func hostName(s string) string {
	name, _ := canonical(s)
	if name == "" {
		return "."
	}
	return message.LowerASCII(name)
}

func (z *Zone) add(name string, rrtype uint16, put func(*rrset)) {
	z.mu.Lock()
	defer z.mu.Unlock()
	n := z.node(name, true)
	if n.sets == nil {
		n.sets = map[uint16]*rrset{}
	}
	old := n.sets[rrtype]
	if old == nil {
		old = &rrset{ttl: defaultTTL}
	}
	// The results of look-ups do not change under their callers: put may append to the
	// slices, but does not write to existing elements.
	set := *old
	put(&set)
	n.sets[rrtype] = &set
}

// node returns the name's node; it creates the node and those above it if needed. The
// names above one that does not exist need not exist either.
func (z *Zone) node(name string, exists bool) *node {
	name, _ = canonical(name)
	name = message.LowerASCII(name)
	n := z.nodes[name]
	if n == nil {
		n = &node{}
		z.nodes[name] = n
	}
	for up := name; exists && up != ""; {
		up = parent(up)
		if z.nodes[up] != nil {
			break
		}
		z.nodes[up] = &node{}
	}
	return n
}
