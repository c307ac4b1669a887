package dmarc

import (
	"strings"

	"signpost/internal/message"
)

// tag is a tag that §9.3 lists as active.
type tag int

const (
	tagUnknown tag = iota
	tagV
	tagP
	tagSP
	tagNP
	tagADKIM
	tagASPF
	tagFO
	tagT
	tagPSD
	tagRUA
	tagRUF
	tagCount
)

var tagNames = [tagCount]string{tagV: "v", tagP: "p", tagSP: "sp", tagNP: "np", tagADKIM: "adkim",
	tagASPF: "aspf", tagFO: "fo", tagT: "t", tagPSD: "psd", tagRUA: "rua", tagRUF: "ruf"}

func tagOf(name string) tag {
	for t, n := range tagNames {
		if n != "" && message.EqualFold(n, name) {
			return tag(t)
		}
	}
	return tagUnknown
}

// value reads the value of a known tag. It reports false for an invalid value; the
// default then stays. The literals of the ABNF are not case sensitive (§4.8).
func (p *parser) value(t tag, value string) bool {
	rec := p.rec
	switch t {
	case tagP:
		p.validP = choose(&rec.P, value, None, Quarantine, Reject)
		return p.validP
	case tagSP:
		return p.subdomain(&rec.SP, value)
	case tagNP:
		return p.subdomain(&rec.NP, value)
	case tagADKIM:
		return choose(&rec.ADKIM, value, Relaxed, Strict)
	case tagASPF:
		return choose(&rec.ASPF, value, Relaxed, Strict)
	case tagPSD:
		return choose(&rec.PSD, value, PSDYes, PSDNo, PSDUnknown)
	case tagT:
		rec.Testing = message.EqualFold(value, "y")
		return rec.Testing || message.EqualFold(value, "n")
	case tagFO:
		return failureOptions(&rec.FO, value)
	case tagRUA:
		rec.RUA = p.uris(value)
		return len(rec.RUA) > 0
	case tagRUF:
		rec.RUF = p.uris(value)
		return len(rec.RUF) > 0
	}
	return false
}

func (p *parser) subdomain(to *Policy, value string) bool {
	ok := choose(to, value, None, Quarantine, Reject)
	p.badSub = p.badSub || !ok
	return ok
}

// choose sets to to the word that equals value.
func choose[T ~string](to *T, value string, words ...T) bool {
	for _, w := range words {
		if message.EqualFold(value, string(w)) {
			*to = w
			return true
		}
	}
	return false
}

// failureOptions reads fo=: "0", "1", "d" and "s", separated by colons, each at most
// once, and not both "0" and "1" (§4.7, §4.8).
func failureOptions(to *string, value string) bool {
	const longest = len("1:d:s")
	if len(value) > 4*longest {
		return false
	}
	var seen [4]bool
	var options []string
	for _, o := range strings.Split(value, ":") {
		o = strings.ToLower(trim(o))
		i := strings.Index("01ds", o)
		if len(o) != 1 || i < 0 || seen[i] {
			return false
		}
		seen[i] = true
		options = append(options, o)
	}
	if seen[0] && seen[1] {
		return false
	}
	*to = strings.Join(options, ":")
	return true
}
