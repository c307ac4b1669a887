package aggregate

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"signpost/internal/reports/refusal"
)

// Lengths in octets to which values are cut.
const (
	maxComment = 1000
	maxDomain  = 255
	maxWord    = 64
)

// maxCount is more messages than any reporter sees of one sender. The sums of all reports that are kept fit into 64 bits.
const maxCount = 1e9

// clean returns s on one line without spaces around, cut to maxComment.
func clean(s string) string { return cut(strings.Join(strings.Fields(s), " "), maxComment) }

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return strings.TrimRight(s[:limit], " ")
}

// domain returns s as a domain name in lower case, also where an address was written.
func domain(s string) string {
	s = s[strings.LastIndexByte(s, '@')+1:]
	return cut(strings.ToLower(strings.Trim(s, " .<>")), maxDomain)
}

func word(s string) string { return cut(strings.ToLower(s), maxWord) }

// address reads an IP address, also as an address literal of mail (RFC 5321 §4.1.3), as a network of one address, with
// a port, and in IPv4 with leading zeros.
func address(s string) netip.Addr {
	s = strings.Trim(s, " ")
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().Unmap().WithZone("")
	}
	s = strings.Trim(s, "[]")
	if len(s) > len("ipv6:") && strings.EqualFold(s[:len("ipv6:")], "ipv6:") {
		s = s[len("ipv6:"):]
	}
	if p, err := netip.ParsePrefix(s); err == nil && p.IsSingleIP() {
		return p.Addr().Unmap()
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		a, err = netip.ParseAddr(withoutZeros(s))
	}
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// withoutZeros takes leading zeros off the parts of an IPv4 address.
func withoutZeros(s string) string {
	if len(s) > len("255.255.255.255") {
		return s
	}
	parts := strings.Split(s, ".")
	for i, p := range parts {
		parts[i] = strings.TrimLeft(p[:max(0, len(p)-1)], "0") + p[max(0, len(p)-1):]
	}
	return strings.Join(parts, ".")
}

// number reads an integer, also one that was written as 3.0 or 3,0, or as 1,234,567.
func number(s string) (float64, bool) {
	if whole, rest, hasComma := strings.Cut(s, ","); hasComma {
		if isGrouped(s) {
			s = strings.ReplaceAll(s, ",", "")
		} else {
			s = whole + "." + rest
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
}

// isGrouped tells whether commas stand between groups of three digits.
func isGrouped(s string) bool {
	groups := strings.Split(s, ",")
	for i, g := range groups {
		if i > 0 && len(g) != 3 || i == 0 && (g == "" || len(g) > 3) {
			return false
		}
	}
	return true
}

func count(s string) (int64, bool) {
	n, ok := number(s)
	if !ok || n < 1 || n > maxCount {
		return 0, false
	}
	return int64(n), true
}

func passOrFail(s string) string {
	if word(s) == "pass" {
		return "pass"
	}
	return "fail"
}

// disposition returns one of RFC 9990's words: none for what we do not know.
func disposition(s string) string {
	if s = word(s); slices.Contains([]string{"none", "pass", "quarantine", "reject"}, s) {
		return s
	}
	return "none"
}

// results are those of RFC 8601 §2.7, and what reporters write in their place (RFC 7489
// appendix C has unknown and error).
var results = map[string]string{
	"none": "none", "pass": "pass", "fail": "fail", "softfail": "softfail", "policy": "policy", "neutral": "neutral",
	"temperror": "temperror", "permerror": "permerror",
	"hardfail": "fail", "unknown": "temperror", "error": "permerror", "invalid": "permerror",
}

// result returns a result of RFC 8601, or "".
func result(s string) string { return results[word(s)] }

// reasonType returns the type of a reason. Those of RFC 7489 that are gone, and unknown ones, stay.
func reasonType(s string) string { return orElse(word(s), "other") }

// finish checks what a report must have, after its end.
func (r *reader) finish() (*Report, error) {
	m := &r.report.Metadata
	if m.OrgName == "" {
		m.OrgName = domain(m.Email)
	}
	var beginOK, endOK bool
	m.Begin, beginOK = instant(r.begin)
	m.End, endOK = instant(r.end)
	switch {
	case m.OrgName == "":
		return nil, refusal.NoReporter.With("neither org_name nor email")
	case r.report.Policy.Domain == "":
		return nil, refusal.NoDomain.With("policy_published has no domain")
	case !beginOK, !endOK, m.End.Before(m.Begin):
		return nil, refusal.BadPeriod.With("begin %q, end %q", r.begin, r.end)
	}
	return &r.report, nil
}

// instant reads seconds since 1970, also with a fraction or as milliseconds, or a date of RFC 3339, which is UTC if it has
// no zone.
func instant(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Truncate(time.Second), true
		}
	}
	n, ok := number(s)
	if n > 1e11 {
		n /= 1000
	}
	if !ok || n < 1 || n > 1e11 {
		return time.Time{}, false
	}
	return time.Unix(int64(n), 0).UTC(), true
}
