package lifecycle

import (
	"cmp"
	"slices"
	"strings"

	"signpost/keys"
)

// layout has the keys that a spec lists, grouped by signing set. With a hundred thousand
// domains a decision is frequent and the list the same, so it is grouped once for each spec.
type layout struct {
	index  map[string]int32 // of each signing set, by its name
	listed []listedKey      // by set, each in the order of the configuration
	sets   []int32          // the set of each key in the order of the configuration
	ends   []int32          // of each set in listed
	// elsewhere are the loaded or lost keys in sets that do not have the name of their domain.
	elsewhere map[keys.Ref]bool
	// eachOnce says that each key is listed once, in the set of its own domain.
	eachOnce bool
	timed    bool // a key has an active_from
}

// listedKey is a key as the configuration lists it for one signing set.
type listedKey struct {
	*Listed
	key *keys.Key // nil: not loaded
}

func (p listedKey) ref() keys.Ref {
	if p.key != nil {
		return p.key.Ref()
	}
	return p.Ref
}

// set is the name of the signing set.
func (p listedKey) set() string { return cmp.Or(p.SignsFor, p.ref().Domain) }

// own reports whether the key's domain lists it for itself.
func (p listedKey) own() bool { return p.SignsFor == "" || p.SignsFor == p.Domain }

// layout returns the spec's. That of a spec in force is made.
func (p *Spec) layout() *layout {
	if p.grouped == nil {
		p.grouped = newLayout(p.Listed, p.Store)
	}
	return p.grouped
}

// layoutAfter makes the layout of a spec that follows on another one. Where both list the same keys, only the
// loaded keys are its own.
func (p *Spec) layoutAfter(before *Spec) {
	was := before.layout()
	if p.grouped != nil || !was.eachOnce || !slices.Equal(p.Listed, before.Listed) {
		return
	}
	next := *was
	next.listed = make([]listedKey, len(was.listed))
	lookup, at := p.Store.InOrder(), was.begins()
	for i, set := range was.sets {
		to := &next.listed[at[set]]
		at[set]++
		to.Listed = &p.Listed[i]
		if to.key, _ = lookup(to.Domain, to.Selector); to.key != nil && to.key.Ref() != to.Ref {
			return // not canonical
		}
	}
	p.grouped = &next
}

func newLayout(listed []Listed, store *keys.Store) *layout {
	l := &layout{
		index: make(map[string]int32, len(listed)), listed: make([]listedKey, len(listed)), sets: make([]int32, len(listed)),
		elsewhere: map[keys.Ref]bool{}, eachOnce: true,
	}
	all, sets := make([]listedKey, len(listed)), l.sets
	lookup := store.InOrder()
	for i := range listed {
		all[i].Listed = &listed[i]
		all[i].key, _ = lookup(listed[i].Domain, listed[i].Selector)
		ref := all[i].ref()
		set := all[i].set()
		l.eachOnce = l.eachOnce && set == ref.Domain && all[i].own()
		l.timed = l.timed || !listed[i].ActiveFrom.IsZero()
		at, known := l.index[set]
		if !known {
			at = int32(len(l.ends))
			l.index[set] = at
			l.ends = append(l.ends, 0)
		}
		sets[i] = at
		l.ends[at]++
		if set != ref.Domain && (all[i].key != nil || store.Lost(ref) != nil) {
			l.elsewhere[ref] = true
		}
	}
	for i := 1; i < len(l.ends); i++ {
		l.ends[i] += l.ends[i-1]
	}
	next := l.begins()
	for i, at := range sets {
		l.listed[next[at]] = all[i]
		next[at]++
	}
	for i := range l.ends {
		set := l.set(i)
		for n, p := range set {
			l.eachOnce = l.eachOnce && !slices.ContainsFunc(set[:n], func(o listedKey) bool { return o.ref() == p.ref() })
		}
	}
	return l
}

// set returns the keys of the signing set i.
func (l *layout) set(i int) []listedKey { return l.listed[l.begin(i):l.ends[i]] }

// begins returns the begin of each set in listed.
func (l *layout) begins() []int32 {
	if len(l.ends) == 0 {
		return nil
	}
	return append(make([]int32, 1, len(l.ends)), l.ends[:len(l.ends)-1]...)
}

func (l *layout) begin(i int) int32 {
	if i == 0 {
		return 0
	}
	return l.ends[i-1]
}

// owns reports whether the entry of the key's own domain lists it.
func (l *layout) owns(ref keys.Ref) bool {
	i, ok := l.index[ref.Domain]
	return ok && slices.ContainsFunc(l.set(int(i)), func(p listedKey) bool { return p.own() && p.ref() == ref })
}

// unlisted returns the known keys that the entries of their own domains do not list, ordered,
// and of those that other entries list only the ones that their own domain once did. If only
// is not nil, it names the domains that are wanted.
func (l *layout) unlisted(known facts, only map[string]bool) []keys.Ref {
	var others []keys.Ref
	for ref, f := range known {
		if (only == nil || only[ref.Domain]) && (f.Own || !l.elsewhere[ref]) && !l.owns(ref) {
			others = append(others, ref)
		}
	}
	slices.SortFunc(others, keys.Ref.Compare)
	return others
}

// ofDomain cuts the keys of one domain off an ordered list.
func ofDomain(refs []keys.Ref, domain string) []keys.Ref {
	begin, _ := slices.BinarySearchFunc(refs, domain, func(r keys.Ref, d string) int { return strings.Compare(r.Domain, d) })
	end := begin
	for end < len(refs) && refs[end].Domain == domain {
		end++
	}
	return refs[begin:end]
}
