package dns

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	wire "github.com/miekg/dns"

	"signpost/internal/message"
)

// Failure is a way in which a name in a Zone fails to answer.
type Failure string

const (
	Timeout  Failure = "TIMEOUT"  // no answer ever comes; from a Zone the error comes at once
	ServFail Failure = "SERVFAIL" // the server says that it cannot answer
	NXDomain Failure = "NXDOMAIN" // the name does not exist, though names below it may be listed
)

// defaultTTL is the TTL of records to which none was given, in seconds.
const defaultTTL = 3600

// A Zone answers from memory. It may hold names of any domain; it is the whole
// DNS, as far as it goes. Names that are not in it do not exist; names that have
// others below them do, without records (RFC 8020 §2). Wildcards work as in
// RFC 1034 §4.3.3, and CNAMEs are followed. All methods may be used concurrently.
type Zone struct {
	mu    sync.RWMutex
	nodes map[string]*node
}

// node is one name. One without records and failures is an empty non-terminal.
type node struct {
	sets     map[uint16]*rrset
	failures map[uint16]Failure // by type; under anyType for each type without records
}

// anyType is in node.failures the key for the types that are not listed.
const anyType = 0

// rrset is the records of one name and type: addrs for A and AAAA, texts for all
// else. For TXT, a text is a whole record; for MX, prefs runs beside texts.
type rrset struct {
	ttl   uint32
	texts []string
	addrs []netip.Addr
	prefs []uint16
}

// NewZone returns a zone in which no name exists.
func NewZone() *Zone { return &Zone{nodes: map[string]*node{"": {}}} }

// AddTXT adds one TXT record made of these strings. Their octets are kept as they
// are; look-ups see them joined without a separator.
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
			return -1 // behind those of the same preference
		})
		s.prefs = slices.Insert(slices.Clone(s.prefs), at, pref)
		s.texts = slices.Insert(slices.Clone(s.texts), at, hostName(host))
	})
}

// AddPTR adds a PTR record. The name is the one under in-addr.arpa or ip6.arpa, or
// an address, for which that name is made.
func (z *Zone) AddPTR(name, target string) {
	if addr, err := netip.ParseAddr(name); err == nil {
		name = reverseName(addr)
	}
	z.add(name, wire.TypePTR, func(s *rrset) { s.texts = append(s.texts, hostName(target)) })
}

// AddCNAME makes the name an alias. Records of other types at the same name are
// found all the same; the alias stands for the types that are not there.
func (z *Zone) AddCNAME(name, target string) {
	z.add(name, wire.TypeCNAME, func(s *rrset) { s.texts = []string{hostName(target)} })
}

// Fail makes look-ups of a name fail. rrtype is a type ("TXT"); "" means every
// type that has no records here, and so does a type that is not known. NXDomain is
// for all types, whatever rrtype says.
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

// hostName is a host as it stands in answers.
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
	// What look-ups have returned does not change under their callers: put may
	// append to the slices, but writes to none of the elements there are.
	set := *old
	put(&set)
	n.sets[rrtype] = &set
}

// node returns the name's node, made if need be, and with it those above. The
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
