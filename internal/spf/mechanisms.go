package spf

import "net/netip"

// match evaluates one mechanism (§4.6.2, §5).
func (e *evaluation) match(t *term, domain string) (bool, *exception) {
	switch t.mechanism {
	case mechanismAll:
		return true, nil
	case mechanismIP4, mechanismIP6:
		return t.network.Contains(e.addr), nil
	}
	if ex := e.countTerm(); ex != nil {
		return false, ex
	}
	// RFC 8616 §4: such a term does not match; an include does not even give an error.
	if e.localUnusable && t.target.usesLocalPart() {
		return false, nil
	}
	name, ex := e.targetName(t.target, domain)
	if ex != nil {
		return false, ex
	}
	if name == "" && t.mechanism != mechanismInclude {
		return false, nil // §4.8 does not say
	}
	matched, ex := e.matchName(t, name)
	// A ptr does not match if DNS fails. But if the time is up, the result is not
	// known (§4.6.4).
	if err := e.ctx.passed(); !matched && ex == nil && err != nil {
		ex = e.tempError(name, err)
	}
	return matched, ex
}

// matchName evaluates a mechanism that looks up name.
func (e *evaluation) matchName(t *term, name string) (bool, *exception) {
	switch t.mechanism {
	case mechanismInclude:
		return e.include(t, name)
	case mechanismA:
		return e.matchA(t, name)
	case mechanismMX:
		return e.matchMX(t, name)
	case mechanismPTR:
		return e.matchPTR(name)
	default:
		return e.exists(name)
	}
}

// include matches if the client passes the check of another domain (§5.2).
func (e *evaluation) include(t *term, name string) (bool, *exception) {
	if name == "" {
		return false, permError("%s makes no domain name to include (RFC 7208 section 5.2)", quote(t.text))
	}
	switch v := e.checkHost(name); v.result {
	case Pass:
		return true, nil
	case TempError, PermError:
		return false, &exception{v.result, v.reason, v.failed}
	case None:
		return false, permError("the target of an include: %s", v.reason)
	default:
		return false, nil
	}
}

// matchA compares the addresses of one name (§5.3).
func (e *evaluation) matchA(t *term, name string) (bool, *exception) {
	addrs, err := e.addresses(name)
	if err != nil {
		return false, e.tempError(name, err)
	}
	if len(addrs) == 0 {
		return false, e.countVoid()
	}
	return e.anyMatches(addrs, t.bits), nil
}

// matchMX compares the addresses of the MX hosts of a name. A name without MX records
// has no implicit MX (§5.4).
func (e *evaluation) matchMX(t *term, name string) (bool, *exception) {
	hosts, err := e.resolver.LookupMX(e.ctx, name)
	if err != nil {
		return false, e.tempError(name, err)
	}
	if len(hosts) == 0 {
		return false, e.countVoid()
	}
	if len(hosts) > maxMXHosts {
		return false, permError("%s has %d MX hosts, at most %d are allowed (RFC 7208 section 4.6.4)", quote(name), len(hosts), maxMXHosts)
	}
	asked, found := 0, 0
	for _, host := range hosts {
		host = withoutDot(host)
		if !usableName(host) {
			continue // also a null MX (RFC 7505 §3)
		}
		addrs, err := e.addresses(host)
		if err != nil {
			return false, e.tempError(host, err)
		}
		if e.anyMatches(addrs, t.bits) {
			return true, nil
		}
		asked++
		found += len(addrs)
	}
	if asked > 0 && found == 0 {
		return false, e.countVoid()
	}
	return false, nil
}

// exists matches if the name has an A record, for clients of both families (§5.7).
func (e *evaluation) exists(name string) (bool, *exception) {
	addrs, err := e.resolver.LookupA(e.ctx, name)
	if err != nil {
		return false, e.tempError(name, err)
	}
	if len(addrs) == 0 {
		return false, e.countVoid()
	}
	return true, nil
}

// addresses looks up a host's addresses of the client's family (§5).
func (e *evaluation) addresses(name string) ([]netip.Addr, error) {
	if e.addr.Is4() {
		return e.resolver.LookupA(e.ctx, name)
	}
	return e.resolver.LookupAAAA(e.ctx, name)
}

// anyMatches compares the high-order bits of the client's address with those of each of
// these (§5).
func (e *evaluation) anyMatches(addrs []netip.Addr, bits cidrLengths) bool {
	n := bits.ip4
	if !e.addr.Is4() {
		n = bits.ip6
	}
	for _, a := range addrs {
		if netip.PrefixFrom(a, int(n)).Contains(e.addr) {
			return true
		}
	}
	return false
}
