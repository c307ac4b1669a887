package dmarc

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Resolver is the DNS that this package needs. A name that does not exist and a name
// without records give an empty answer and nil; every error is temporary.
type Resolver interface {
	// LookupTXT returns one string for each TXT record, its strings joined (§4.5).
	LookupTXT(ctx context.Context, name string) ([]string, error)
	// Exists reports false only for NXDOMAIN.
	Exists(ctx context.Context, name string) (bool, error)
}

const (
	// maxQueries limits the names that one tree walk queries (§4.10).
	maxQueries = 8
	// maxName is the length of the longest DNS name, in octets, without the final dot.
	maxName = 253
	// prefix begins the name of a policy record (§4.5).
	prefix = "_dmarc."
)

// A LookupError is a failed look-up of this package. Err is the resolver's error; it
// may name our own resolver.
type LookupError struct {
	Name string
	Err  error

	what string // the type of the query
}

func (e *LookupError) Error() string { return fmt.Sprintf(e.what, e.Name) + ": " + e.Err.Error() }

func (e *LookupError) Unwrap() error { return e.Err }

// A Step is one look-up of a policy record and its result.
type Step struct {
	// Domain is the queried domain; the name was "_dmarc." and this.
	Domain string
	// Record is the valid record found there, nil if there is none.
	Record *Record
	// Problem says which other text was found and why it does not count; "" if there
	// was none.
	Problem string
	// Err is set if the look-up failed.
	Err error

	// several is set if more than one record was found.
	several bool
	// invalid is set if the only record is invalid as a whole.
	invalid bool
	// missed is set if there is no record, but a TXT record that was meant as one.
	missed bool
}

// Select reads the texts at the name of a domain's policy record as Discover does.
func Select(domain string, texts []string) Step {
	s := Step{Domain: domain}
	s.take(texts, ParseRecord)
	return s
}

// Fault is the kind of the problem, for programs: several (more than one record, so that none
// counts), syntax (the only record is invalid, or a text misses being one), foreign (only texts that
// are something else), or "".
func (s Step) Fault() string {
	switch {
	case s.several:
		return "several"
	case s.invalid || s.missed:
		return "syntax"
	case s.Problem != "":
		return "foreign"
	}
	return ""
}

// answers are the look-ups made for one message, in order. There are few, so a linear
// search is faster than a map.
type answers struct {
	parse func(txt string) (*Record, error) // nil is ParseRecord
	steps []*Step
	// Memory for most messages.
	first Step
	room  [4]*Step
}

// ask returns the step for a domain; it queries DNS the first time only.
func (a *answers) ask(ctx context.Context, r Resolver, domain string) *Step {
	for _, s := range a.steps {
		if s.Domain == domain {
			return s
		}
	}
	s := &a.first
	if a.steps == nil {
		a.steps = a.room[:0]
	} else {
		s = new(Step)
	}
	s.Domain = domain
	a.steps = append(a.steps, s)
	if len(prefix)+len(domain) > maxName {
		s.Problem = "the name of its policy record would be too long for DNS"
		return s
	}
	texts, err := r.LookupTXT(ctx, prefix+domain)
	if err != nil {
		s.Err = &LookupError{Name: prefix + domain, Err: err, what: "looking up the DMARC record at %s"}
		return s
	}
	parse := a.parse
	if parse == nil {
		parse = ParseRecord
	}
	s.take(texts, parse)
	return s
}

// take selects the one valid record of the TXT records found. Records other than DMARC
// are discarded, and so are several DMARC records (§4.10 steps 2 and 6).
func (s *Step) take(texts []string, parse func(txt string) (*Record, error)) {
	found := 0
	text := ""
	for _, t := range texts {
		version, _, _ := strings.Cut(t, ";")
		if isVersion(version) {
			found++
			text = t
		}
	}
	switch found {
	case 0:
		s.explainOthers(texts)
		return
	case 1:
	default:
		s.several = true
		s.Problem = fmt.Sprintf("%d DMARC records there, so none counts: leave one", found)
		return
	}
	rec, err := parse(text)
	if err != nil && !errors.Is(err, ErrNotDMARC) {
		s.invalid = true
		s.Problem = err.Error()
		return
	}
	s.Record = rec
}

// maxOthers limits how many TXT records are examined for one that was meant as a DMARC
// record.
const maxOthers = 16

// explainOthers says which texts were found in place of a DMARC record.
func (s *Step) explainOthers(texts []string) {
	if len(texts) == 0 {
		return
	}
	s.Problem = "the TXT records there are not DMARC records"
	for _, t := range texts[:min(len(texts), maxOthers)] {
		if why := nearMiss(t); why != "" {
			s.missed = true
			s.Problem = "a TXT record at " + prefix + s.Domain + " misses being one: " + why
			return
		}
	}
}

// walk goes up the tree from a domain and returns the look-ups that found a valid
// record, the longest name first (§4.10).
func (a *answers) walk(ctx context.Context, r Resolver, start string) ([]*Step, error) {
	var found []*Step
	for target := start; target != ""; target = parent(target) {
		s := a.ask(ctx, r, target)
		if s.Err != nil {
			return nil, s.Err
		}
		if s.Record == nil {
			continue
		}
		found = append(found, s)
		// §4.10 steps 2 and 6
		if s.psd() != PSDUnknown {
			break
		}
	}
	return found, nil
}

// walkPast is walk for an author domain with failing look-ups: it assumes that the
// failed names have no record. It finds nothing if a failed name is above a record,
// since that record then may not be the one that applies. It does not query ICANN
// suffixes.
func (a *answers) walkPast(ctx context.Context, r Resolver, start string) []*Step {
	var found []*Step
	for target := start; target != "" && !icannSuffix(target); target = parent(target) {
		if ctx.Err() != nil {
			return nil
		}
		s := a.ask(ctx, r, target)
		if s.Err != nil && len(found) > 0 {
			return nil
		}
		if s.Record == nil {
			continue
		}
		found = append(found, s)
		if s.psd() != PSDUnknown {
			break
		}
	}
	return found
}

// parent returns the next target of a walk: the domain without its leftmost label, or
// the last seven labels of one of eight or more (§4.10 step 4).
func parent(domain string) string {
	if tail := lastLabels(domain, maxQueries-1); tail != domain {
		return tail
	}
	_, rest, _ := strings.Cut(domain, ".")
	return rest
}

// lastLabels returns the last n labels of a domain, or the whole domain if it is
// shorter.
func lastLabels(domain string, n int) string {
	i := len(domain)
	for ; n > 0 && i >= 0; n-- {
		i = strings.LastIndexByte(domain[:i], '.')
	}
	return domain[i+1:]
}

// organizational selects the organizational domain of start from the results of a walk
// that began there (§4.10.2).
func organizational(start string, found []*Step) string {
	for _, s := range found {
		switch {
		case s.psd() == PSDNo: // rule 1
			return s.Domain
		case s.psd() == PSDYes && s.Domain != start: // rule 2
			return belowSuffix(start, strings.Count(s.Domain, ".")+2)
		}
	}
	if len(found) > 0 { // rule 3
		return found[len(found)-1].Domain
	}
	return start
}

// psd returns the record's psd=, or yes for an ICANN suffix that does not say: unrelated
// parties own the names below it. psd=n counts there, too (§4.10.2 rule 1).
func (s *Step) psd() PSD {
	if s.Record.PSD == PSDUnknown && icannSuffix(s.Domain) {
		return PSDYes
	}
	return s.Record.PSD
}

// belowSuffix returns the last n labels of a domain, or as many more as are needed for
// a name that is not an ICANN suffix: psd=y at "uk" does not make "co.uk" an
// organization.
func belowSuffix(domain string, n int) string {
	org := lastLabels(domain, n)
	for org != domain && icannSuffix(org) {
		n++
		org = lastLabels(domain, n)
	}
	return org
}

// within reports whether a domain is parent or a subdomain of it, by labels.
func within(domain, ancestor string) bool {
	rest, ok := strings.CutSuffix(domain, ancestor)
	return ok && (rest == "" || rest[len(rest)-1] == '.')
}
