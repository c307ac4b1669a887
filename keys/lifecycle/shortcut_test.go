package lifecycle

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"signpost/keys"
)

// loading is how a listed key fares in keys.Open.
type loading int

const (
	isLoaded loading = iota
	isLost
	isLeftOut // see keys.Config.Optional
)

// history is what happens to a tracker. Two of the same seed are the same.
type history struct {
	t       *testing.T
	random  *rand.Rand
	tracker *Tracker
	now     time.Time
	long    bool // no shortcut is taken
	listed  []Listed
	prints  map[keys.Ref]int // which private key is in each file
	shared  bool             // the files of all domains have the same few private keys
	missing map[keys.Ref]loading
	lax     bool // keys need not be published
	spec    *Spec
	answers int // of DNS while a reload decided; before it, where no shortcut is taken
}

func newHistory(t *testing.T, seed uint64, long bool) *history {
	h := &history{t: t, random: rand.New(rand.NewPCG(seed, 1)), now: noon, long: long, prints: map[keys.Ref]int{}, shared: seed%3 == 0, missing: map[keys.Ref]loading{}}
	h.tracker = NewTracker(t.TempDir()+"/none", func() time.Time { return h.now })
	return h
}

// step changes the list, the keys, the facts from DNS, and the set of keys that sign. Then it reloads.
func (h *history) step() {
	h.now = h.now.Add(time.Duration(h.random.IntN(48)) * time.Hour)
	for range h.random.IntN(3) {
		ref := keys.Ref{Domain: fmt.Sprintf("d%d.example", h.random.IntN(4)), Selector: fmt.Sprintf("s%d", h.random.IntN(2))}
		l := Listed{Ref: ref}
		switch h.random.IntN(8) {
		case 0:
			l.SignsFor = "a@" + ref.Domain
		case 1:
			l.ActiveFrom = h.now.Add(time.Duration(h.random.IntN(48)-24) * time.Hour)
		case 2:
			h.prints[ref]++
		case 3, 4:
			h.missing[ref] = loading(h.random.IntN(3))
		case 5:
			h.lax = h.random.IntN(4) == 0
		}
		at := slices.IndexFunc(h.listed, func(o Listed) bool { return o.Ref == ref })
		if at >= 0 && h.random.IntN(2) == 0 {
			h.listed = slices.Delete(slices.Clone(h.listed), at, at+1)
		} else {
			h.listed = slices.Insert(slices.Clone(h.listed), h.random.IntN(len(h.listed)+1), l)
		}
	}
	if h.spec != nil {
		before := maps.Clone(h.tracker.known)
		for _, ref := range h.tracker.known.sorted() {
			answer := keys.Found
			switch h.random.IntN(8) {
			case 0:
				answer = keys.Absent
			case 1, 2:
			default:
				continue
			}
			f := h.tracker.known[ref].observed([]keys.Answer{answer}, "", h.now)
			h.tracker.known[ref] = &f
		}
		h.tracker.apply(before, nil)
		sets := maps.Collect(h.spec.Active.sets.Load().all())
		for _, name := range slices.Sorted(maps.Keys(sets)) {
			for _, k := range sets[name].Keys {
				if h.random.IntN(3) == 0 {
					k.Used(h.now)
				}
			}
		}
	}
	h.reload(h.answer())
}

// reload gets an answer of DNS while it decides.
func (h *history) reload(answer func()) {
	loaded, standby, lost := map[keys.Ref]*keys.Key{}, map[keys.Ref]*keys.Key{}, map[keys.Ref]error{}
	key := func(ref keys.Ref) *keys.Key {
		if n := h.prints[ref]; h.shared {
			return keys.KnownKey(ref, []keys.Algorithm{keys.Ed25519, keys.Ed25519, keys.RSA}[n%3], 256, fmt.Sprint(n%3))
		}
		return keys.KnownKey(ref, keys.Ed25519, 256, fmt.Sprint(ref, h.prints[ref]))
	}
	var refs []keys.Ref
	for _, l := range h.listed {
		refs = append(refs, l.Ref)
		switch h.missing[l.Ref] {
		case isLoaded:
			loaded[l.Ref] = key(l.Ref)
		case isLost:
			lost[l.Ref] = errors.New("no file")
		}
	}
	for _, ref := range h.tracker.Standby(refs) {
		if h.missing[ref] == isLoaded {
			standby[ref] = key(ref)
		}
	}
	p := &Spec{Config: keys.Defaults(), Store: keys.NewStore(loaded, standby, lost), Listed: h.listed, Require: !h.lax}
	if h.long {
		p.grouped = newLayout(p.Listed, p.Store)
		p.grouped.eachOnce = false
	}
	if h.long || len(h.listed) == 0 {
		answer()
	} else {
		calls := 0
		p.GiveWay = func() {
			if calls++; calls == len(h.listed)+1 { // all facts are read, the decisions come
				answer()
			}
		}
	}
	h.tracker.Begin(h.t.Context(), p, slog.New(slog.DiscardHandler))
	h.spec = p
}

// answer returns what applies an answer of DNS about one of the known keys, at some reloads.
func (h *history) answer() func() {
	w := h.tracker
	if h.spec == nil || len(w.known) == 0 || h.random.IntN(3) > 0 {
		return func() {}
	}
	ref := w.known.sorted()[h.random.IntN(len(w.known))]
	found := keys.Finding{Answer: []keys.Answer{keys.Found, keys.Absent}[h.random.IntN(2)]}
	return func() {
		if !w.mu.TryLock() {
			h.t.Fatal("the reload gives way with the lock of the tracker")
		}
		defer w.mu.Unlock()
		h.answers++
		w.apply(maps.Clone(w.known), []observation{{target: target{ref: ref, fingerprint: w.known.of(ref).Fingerprint}, epoch: h.spec.epoch, findings: []keys.Finding{found}}})
	}
}

// text is all that was decided.
func (h *history) text() string {
	text := ""
	for _, ref := range h.tracker.known.sorted() {
		text += fmt.Sprintf("%+v\n", h.tracker.known.of(ref))
	}
	sets := maps.Collect(h.spec.Active.sets.Load().all())
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		text += name + ": "
		for _, k := range sets[name].Keys {
			text += k.Ref().String() + " " + k.Fingerprint() + ", "
			if loaded, _ := h.spec.Store.Lookup(k.Domain, k.Selector); loaded != k && h.spec.Store.Standby(k.Ref()) != k {
				h.t.Fatalf("%s signs with a key of another generation", k.Ref())
			}
		}
		text += fmt.Sprintf("%s, lost: %s\n", sets[name].Why, sets[name].Lost)
	}
	return text
}

// A reload takes what has not changed from the spec before, does not hold the tracker's lock while it decides, and
// decides the same.
func TestShortcutsDecideTheSame(t *testing.T) {
	onlyListed, shared, answers := 0, 0, 0
	for seed := range uint64(300) {
		short, long := newHistory(t, seed, false), newHistory(t, seed, true)
		for n := range 20 {
			before := short.spec
			short.step()
			long.step()
			if got, want := short.text(), long.text(); got != want {
				t.Fatalf("seed %d, step %d: with shortcuts\n%s\nwithout\n%s", seed, n, got, want)
			}
			if before != nil && before.onlyListed {
				onlyListed++
				if len(before.Listed) > 0 && len(short.spec.Listed) > 0 && &before.grouped.sets[0] == &short.spec.grouped.sets[0] {
					shared++
				}
			}
		}
		answers += short.answers
	}
	if onlyListed < 100 || shared < 100 || answers < 100 {
		t.Errorf("%d specs of listed keys only, %d shared layouts and %d answers during reloads are too few to show anything", onlyListed, shared, answers)
	}
}

func TestAReloadWithoutAChangeKeepsTheFacts(t *testing.T) {
	h := newHistory(t, 1, false)
	h.listed = []Listed{{Ref: keys.Ref{Domain: "a.example", Selector: "s1"}}, {Ref: keys.Ref{Domain: "b.example", Selector: "s1"}}}
	h.reload(func() {})
	h.reload(func() {})
	changed := func() bool { return h.spec.assignAll(h.tracker.known, h.now, nil).changed }
	k, _ := h.spec.Store.Lookup("b.example", "s1")
	k.Used(h.now)
	h.reload(func() {})
	if f := h.tracker.known.of(h.listed[1].Ref); changed() || !f.LastUsed.Equal(h.now) {
		t.Errorf("after a reload without a change: the facts have changed, or lack a use: %+v", f)
	}
	h.prints[h.listed[0].Ref]++
	h.reload(func() {})
	if f := h.tracker.known.of(h.listed[0].Ref); f.Fingerprint != fmt.Sprint(h.listed[0].Ref, 1) {
		t.Errorf("after a reload with another key in the file: %+v", f)
	}
}

func TestAKeyStandsInAfterReloadsOfTheSameList(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		s.after(time.Hour)
		s.reload("s1")
		s.reload("s2")
		s.want("after the edit", "s1", "s1 retiring, s2 pending")
		s.reload("s2")
		s.reload("s2")
		s.want("after two more reloads", "s1", "s1 retiring, s2 pending")
		s.publish("s2")
		s.after(11 * time.Minute)
		s.want("when DNS has it", "s2", "s1 retiring, s2 active")
	})
}
