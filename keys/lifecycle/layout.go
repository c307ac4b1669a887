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
	index map[string]int32 // of each signing set, by its name
	posts []post           // by set, each in the order of the configuration
	ends  []int32          // of each set in posts
	// elsewhere are the loaded or lost keys in sets that do not have the name of their domain.
	elsewhere map[keys.Ref]bool
}

// post is a listed key in one signing set. A key that is neither loaded nor lost has no key and
// no reason.
type post struct {
	listed *Listed
	key    *keys.Key
}

func (p post) ref() keys.Ref {
	if p.key != nil {
		return p.key.Ref()
	}
	return p.listed.Ref
}

// set is the name of the signing set.
func (p post) set() string { return cmp.Or(p.listed.SignsFor, p.ref().Domain) }

// own reports whether the key's domain lists it for itself.
func (p post) own() bool { return p.listed.SignsFor == "" || p.listed.SignsFor == p.listed.Domain }

// layout returns the spec's. The caller holds the lock of the tracker.
func (p *Spec) layout() *layout {
	if p.grouped == nil {
		p.grouped = newLayout(p.Listed, p.Store)
	}
	return p.grouped
}

func newLayout(listed []Listed, store *keys.Store) *layout {
	l := &layout{index: make(map[string]int32, len(listed)), posts: make([]post, len(listed)), elsewhere: map[keys.Ref]bool{}}
	all, sets := make([]post, len(listed)), make([]int32, len(listed))
	for i := range listed {
		all[i].listed = &listed[i]
		all[i].key, _ = store.Lookup(listed[i].Domain, listed[i].Selector)
		ref := all[i].ref()
		set := all[i].set()
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
	next := make([]int32, len(l.ends))
	for i := 1; i < len(l.ends); i++ {
		next[i] = l.ends[i-1]
		l.ends[i] += l.ends[i-1]
	}
	for i, at := range sets {
		l.posts[next[at]] = all[i]
		next[at]++
	}
	return l
}

// set returns the keys of the signing set i.
func (l *layout) set(i int) []post {
	begin := int32(0)
	if i > 0 {
		begin = l.ends[i-1]
	}
	return l.posts[begin:l.ends[i]]
}

// owns reports whether the entry of the key's own domain lists it.
func (l *layout) owns(ref keys.Ref) bool {
	i, ok := l.index[ref.Domain]
	return ok && slices.ContainsFunc(l.set(int(i)), func(p post) bool { return p.own() && p.ref() == ref })
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
