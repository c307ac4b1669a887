package dmarc

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Resolver is the DNS that this package needs. No such name and no record of the type
// are empty and nil; every error is temporary.
type Resolver interface {
	// LookupTXT returns one string for each TXT record, its strings joined (§4.5).
	LookupTXT(ctx context.Context, name string) ([]string, error)
	// Exists reports false only for a name that DNS denies to exist (NXDOMAIN).
	Exists(ctx context.Context, name string) (bool, error)
}

const (
	// maxQueries is how many names one tree walk asks for at most (§4.10).
	maxQueries = 8
	// maxName is the longest name DNS knows, in octets, without the final dot.
	maxName = 253
	// prefix is what a policy record's name begins with (§4.5).
	prefix = "_dmarc."
)

// A LookupError is a look-up of this package that failed. Err is the resolver's error,
// and may name a resolver of ours.
type LookupError struct {
	Name string
	Err  error

	what string // what was asked of the name
}

func (e *LookupError) Error() string { return fmt.Sprintf(e.what, e.Name) + ": " + e.Err.Error() }

func (e *LookupError) Unwrap() error { return e.Err }

// A Step is one look-up for a policy record and what came of it.
type Step struct {
	// Domain is the domain asked about; the name was "_dmarc." and this.
	Domain string
	// Record is the valid record that was found there, nil for none.
	Record *Record
	// Problem says what was found instead of one valid record and why it does not
	// count; "" where there was nothing at all.
	Problem string
	// Err is set if the look-up failed.
	Err error

	// several is set if more than one record was found.
	several bool
	// invalid is set if the one record found is invalid as a whole.
	invalid bool
	// missed is set if there is none, and a TXT record was meant as one.
	missed bool
}

// answers are the look-ups made for one message, in their order. There are never
// many: a search through them is faster than a map.
type answers struct {
	steps []*Step
	// Room for what most messages need.
	first Step
	room  [4]*Step
}

// ask returns what stands at a domain, from DNS the first time.
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
	s.take(texts)
	return s
}

// take makes the one valid record of the TXT records found. Those that are not DMARC
// records are discarded, and so are several DMARC records (§4.10 steps 2 and 6).
func (s *Step) take(texts []string) {
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
	rec, err := ParseRecord(text)
	if err != nil && !errors.Is(err, ErrNotDMARC) {
		s.invalid = true
		s.Problem = err.Error()
		return
	}
	s.Record = rec
}

// maxOthers is how many TXT records are looked at for one that was meant as a DMARC
// record.
const maxOthers = 16

// explainOthers says what stands there in place of a DMARC record.
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

// walkPast is walk for an author domain some of whose look-ups fail: what it finds is what
// there is if no record stands at the names that failed. It finds nothing where one of
// these lies above a record, since that one may not be the one that applies. It does not
// ask at ICANN suffixes.
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

// lastLabels returns the last n labels of a domain, or the whole of a shorter one.
func lastLabels(domain string, n int) string {
	i := len(domain)
	for ; n > 0 && i >= 0; n-- {
		i = strings.LastIndexByte(domain[:i], '.')
	}
	return domain[i+1:]
}

// organizational selects the organizational domain of start from what a walk that
// began there found (§4.10.2).
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

// psd is what a valid record says of its domain, or yes for an ICANN suffix: the
// names below it belong to strangers, whatever the record says.
func (s *Step) psd() PSD {
	if s.Record.PSD != PSDYes && icannSuffix(s.Domain) {
		return PSDYes
	}
	return s.Record.PSD
}

// belowSuffix returns the last n labels of a domain, or as many more as it takes to be
// no ICANN suffix: psd=y at "uk" does not make "co.uk" an organization.
func belowSuffix(domain string, n int) string {
	org := lastLabels(domain, n)
	for org != domain && icannSuffix(org) {
		n++
		org = lastLabels(domain, n)
	}
	return org
}

// within reports whether a domain is another one or lies below it, label by label.
func within(domain, ancestor string) bool {
	rest, ok := strings.CutSuffix(domain, ancestor)
	return ok && (rest == "" || rest[len(rest)-1] == '.')
}
