package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"signpost/keys"
)

// silence has all servers say nothing, or answer again.
func (s *scene) silence(silent bool) {
	for _, n := range s.dns {
		n.set(func() { n.silent = silent })
	}
}

func TestAStartWaitsForNothing(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.silence(true)
		begun := time.Now()
		s.start("s1")
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
		d := s.spec.Active.of("example.com")
		if len(d.pending) == 0 || len(d.Keys) != 0 {
			t.Errorf("before DNS answered, %d keys sign, open: %v", len(d.Keys), len(d.pending) > 0)
		}
		if text := s.logged(); text != "" {
			t.Errorf("what is not known yet is told: %s", text)
		}
		begun = time.Now()
		check(t, d.wait(s.t.Context()))
		if took := time.Since(begun); took != firstAnswer {
			t.Errorf("a message waited %v for DNS that is silent", took)
		}
		if len(s.spec.Active.of("example.com").pending) > 0 {
			t.Error("the next message waits again")
		}
	})
}

func TestAMessageWaitsNoLongerThanItsContext(t *testing.T) {
	play(t, func(s *scene) {
		s.silence(true)
		s.start("s1")
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		if err := s.spec.Active.of("example.com").wait(ctx); err == nil {
			t.Error("the answer of DNS is reported")
		}
		if d := s.spec.Active.of("example.com"); len(d.pending) == 0 || len(d.Keys) != 0 {
			t.Errorf("%d keys sign", len(d.Keys))
		}
		s.after(firstAnswer) // the lookup goes on without it
	})
}

// full has all servers put off who asks, until the function it returns is called.
func (s *scene) full() (free func()) {
	for _, n := range s.dns {
		n.set(func() { n.slots = make(chan struct{}, 1) })
		n.slots <- struct{}{}
	}
	return func() {
		for _, n := range s.dns {
			<-n.slots
		}
	}
}

func TestAKeyThatWasNotAskedForDoesNotSign(t *testing.T) {
	play(t, func(s *scene) {
		free := s.full()
		s.start("s1")
		for range 3 {
			ctx, cancel := context.WithTimeout(s.t.Context(), MaxWait)
			if err := s.spec.Active.of("example.com").wait(ctx); err == nil {
				t.Error("the answer of DNS is reported")
			}
			cancel()
			if d := s.spec.Active.of("example.com"); len(d.pending) == 0 || len(d.Keys) != 0 {
				t.Errorf("%d keys sign, open: %v", len(d.Keys), len(d.pending) > 0)
			}
		}
		if n := s.dns[0].queries(); n != 0 {
			t.Errorf("%d queries", n)
		}
		free()
		s.want("when it was asked for", "", "s1 pending")
	})
}

func TestAMessageHasItsQuestionPutAgain(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		free := s.full()
		s.tracker = NewTracker(s.cfg.State, time.Now) // no query runs in the background
		s.reload("s1")
		d := s.spec.Active.of("example.com")
		d.expedite()
		s.after(firstAnswer - time.Second)
		waited := make(chan error, 1)
		go func() { waited <- d.wait(s.t.Context()) }()
		s.after(2 * time.Second)
		free()
		check(t, <-waited)
		s.want("after the second time", "s1", "s1 active")
	})
}

func TestTheTimeOfAKeyBeginsWithItsTurn(t *testing.T) {
	play(t, func(s *scene) {
		for _, n := range s.dns {
			n.delay = firstAnswer - time.Second
		}
		free := s.full()
		s.start("s1")
		s.spec.Active.of("example.com").expedite()
		s.after(firstAnswer - time.Second)
		free()
		s.after(2 * time.Second)
		if d := s.spec.Active.of("example.com"); len(d.pending) == 0 || len(d.Keys) != 0 {
			t.Errorf("before DNS had its time, %d keys sign, open: %v", len(d.Keys), len(d.pending) > 0)
		}
		s.after(firstAnswer)
		s.want("when DNS has answered", "", "s1 pending")
	})
}

// crowd is a spec of many domains with one key each.
func crowd(t *testing.T, domains int, servers ...Server) *Spec {
	listed := map[keys.Ref]*keys.Key{}
	p := &Spec{Config: keys.Defaults(), Store: keys.NewStore(listed, nil, nil), Require: true, Servers: servers}
	p.Config.State = filepath.Join(t.TempDir(), "keys.json")
	for i := range domains {
		ref := keys.Ref{Domain: fmt.Sprintf("d%d.example", i), Selector: "s1"}
		listed[ref] = keys.KnownKey(ref, keys.Ed25519, 2048, ref.Domain)
		p.Listed = append(p.Listed, Listed{Ref: ref})
	}
	return p
}

// signing counts the domains that a key signs for, and those with pending lookups.
func (p *Spec) signing() (signing, open int) {
	for _, d := range p.Active.sets.Load().all() {
		switch {
		case len(d.pending) > 0:
			open++
		case len(d.Keys) > 0:
			signing++
		}
	}
	return signing, open
}

func TestSlowDNSIsNotSilent(t *testing.T) {
	const domains = 1000
	for _, hurried := range []bool{false, true} {
		t.Run(fmt.Sprint("hurried ", hurried), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := &nameserver{name: "slow", delay: 700 * time.Millisecond, slots: make(chan struct{}, 2*maxQueries)}
				p := crowd(t, domains, slow)
				w := NewTracker(p.Config.State, time.Now)
				w.Begin(t.Context(), p, slog.New(slog.DiscardHandler))
				ctx, cancel := context.WithCancel(t.Context())
				var run sync.WaitGroup
				run.Go(func() { w.Run(ctx) })
				if hurried {
					for _, l := range p.Listed {
						p.Active.of(l.Domain).expedite()
					}
				}
				open := domains
				for range 400 {
					pass(100 * time.Millisecond)
					var signing int
					if signing, open = p.signing(); signing > 0 {
						t.Fatalf("%d domains are signed for by keys that are not published", signing)
					}
				}
				if open > 0 {
					t.Errorf("%d lookups are pending", open)
				}
				cancel()
				run.Wait()
			})
		})
	}
}

// Answers out of turn wake Run again and again: that does not put off a round.
func TestTheRestCountsFromTheLastRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := crowd(t, 1000, &nameserver{})
		w := NewTracker(p.Config.State, time.Now)
		w.Begin(t.Context(), p, slog.New(slog.DiscardHandler))
		for _, q := range w.pending {
			q.expedited.Store(true)
		}
		delete(w.pending, p.Listed[0].Ref) // it was answered, and its turn comes
		w.rested = time.Now()
		const rest = 1000 * roundRest
		for _, gone := range []time.Duration{0, rest / 2, rest, 2 * rest} {
			pass(time.Until(w.rested.Add(gone)))
			if got, want := w.pause(), max(0, rest-gone); got != want {
				t.Errorf("%v after the round, the pause is %v, want %v", gone, got, want)
			}
		}
	})
}

func TestTheEndDecidesNothing(t *testing.T) {
	play(t, func(s *scene) {
		s.silence(true)
		s.start("s1")
		s.after(time.Second)
		s.end()
		if d := s.spec.Active.of("example.com"); len(d.pending) == 0 || len(d.Keys) != 0 {
			t.Errorf("%d keys sign, open: %v", len(d.Keys), len(d.pending) > 0)
		}
	})
}

func TestTheSilenceOfFormerServersDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := crowd(t, 1, &nameserver{name: "former", silent: true})
		w := NewTracker(before.Config.State, time.Now)
		w.Begin(t.Context(), before, slog.New(slog.DiscardHandler))
		before.Active.of("d0.example").expedite()
		pass(time.Second)
		p := crowd(t, 1, &nameserver{name: "later", slots: make(chan struct{})}) // whose turn never comes
		p.ServersChanged = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.Begin(ctx, p, slog.New(slog.DiscardHandler))
		pass(firstAnswer)
		if signing, open := p.signing(); signing != 0 || open != 1 {
			t.Errorf("%d are signed for by keys that are not asked for, %d are open", signing, open)
		}
	})
}

// The rounds of the spec before go on while a reload asks, and decide nothing for it.
func TestRoundsDuringAReloadDecideNothingForIt(t *testing.T) {
	for name, before := range map[string]struct {
		domains int
		require bool
	}{"new domains": {500, true}, "require_published is switched on": {1000, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := &nameserver{name: "slow", delay: 700 * time.Millisecond}
				few, many := crowd(t, before.domains, slow), crowd(t, 1000, slow)
				few.Require = before.require
				w := NewTracker(few.Config.State, time.Now)
				w.Begin(t.Context(), few, slog.New(slog.DiscardHandler))
				ctx, cancel := context.WithCancel(t.Context())
				var run sync.WaitGroup
				run.Go(func() { w.Run(ctx) })
				run.Go(func() { // more rounds than Run has without lookups
					for range 5 {
						<-time.After(time.Second)
						w.round(ctx)
					}
				})
				pass(time.Second)
				reload, end := context.WithTimeout(ctx, MaxWait)
				defer end()
				w.Begin(reload, many, slog.New(slog.DiscardHandler))
				if signing, open := many.signing(); signing != 0 || open == 0 {
					t.Errorf("%d are signed for by keys that are not published, %d are open", signing, open)
				}
				cancel()
				run.Wait()
			})
		})
	}
}

func TestAReloadLeavesOpenWhatWasNotAskedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &nameserver{name: "slow", delay: 700 * time.Millisecond}
		few, many := crowd(t, 1, slow), crowd(t, 1000, slow)
		w := NewTracker(few.Config.State, time.Now)
		w.Begin(t.Context(), few, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(t.Context(), MaxWait)
		defer cancel()
		begun := time.Now()
		w.Begin(ctx, many, slog.New(slog.DiscardHandler))
		if took := time.Since(begun); took > MaxWait {
			t.Errorf("the reload took %v", took)
		}
		if signing, open := many.signing(); signing != 0 || open < 500 || open > 990 {
			t.Errorf("%d are signed for by keys that are not published, %d are open", signing, open)
		}
	})
}

func TestAKeyThatWasProvenSignsAtOnceAfterARestart(t *testing.T) {
	play(t, func(s *scene) {
		s.provenOnce("s1")
		outage := func(err error) {
			for _, n := range s.dns {
				n.set(func() { n.broken = err })
			}
		}
		outage(errors.New("SERVFAIL"))
		s.after(10 * time.Minute)
		s.start("s1")
		d := s.spec.Active.of("example.com")
		if len(d.pending) > 0 || len(d.Keys) != 1 {
			t.Errorf("%d keys sign, open: %v", len(d.Keys), len(d.pending) > 0)
		}
		outage(nil)
		s.after(time.Minute)
		s.want("when DNS was asked again, in the background", "", "s1 missing")
	})
}

// A key that stands in may sign at once, but whether it has to is not known before
// its successor was asked for.
func TestASuccessorIsAskedForBeforeAKeyStandsIn(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		s.end()
		s.publish("s2")
		s.tracker = NewTracker(s.cfg.State, time.Now)
		s.reload("s2")
		if len(s.spec.Active.of("example.com").pending) == 0 {
			t.Error("the successor was not asked for")
		}
		s.want("a start with another selector", "s2", "s1 retiring, s2 active")
	})
}

func TestAReloadEndsQuestionsThatNobodyAsksAnyMore(t *testing.T) {
	play(t, func(s *scene) {
		s.silence(true)
		s.tracker = NewTracker(s.cfg.State, time.Now)
		s.reload("s1")
		d := s.spec.Active.of("example.com")
		waited := make(chan error, 1)
		go func() { waited <- d.wait(s.t.Context()) }()
		synctest.Wait()
		s.silence(false)
		s.publish("s2")
		s.reload("s2")
		check(t, <-waited)
		s.want("after the reload", "s2", "s2 active")
		if len(s.tracker.pending) != 0 {
			t.Errorf("%d lookups are pending", len(s.tracker.pending))
		}
		s.after(firstAnswer)
	})
}

func TestAQuestionEndsWithItsKey(t *testing.T) {
	for name, end := range map[string]func(*scene){
		"an answer about another key of the domain": func(s *scene) {
			s.tracker.pending[keys.Ref{Domain: "example.com", Selector: "s1"}].expedite()
			s.after(time.Second)
		},
		"the round": func(s *scene) {
			s.tracker.mu.Lock()
			defer s.tracker.mu.Unlock()
			s.tracker.apply(maps.Clone(s.tracker.known), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.publish("s1")
				s.tracker = NewTracker(s.cfg.State, time.Now)
				old := Fact{Domain: "example.com", Selector: "s2", Algorithm: keys.Ed25519, Fingerprint: s.keys["s2"].Fingerprint(), State: Retiring,
					DNS: keys.Absent, FirstSeen: time.Now().Add(-time.Hour), Unlisted: time.Now().Add(time.Second - s.cfg.QueueTime)}
				s.tracker.known[old.ref()] = &old
				s.reload("s1")
				if s.tracker.pending[old.ref()] == nil {
					t.Fatal("there is no question about the key that is retiring")
				}
				s.after(2 * time.Second)
				s.logged()
				waited := make(chan struct{})
				q := s.tracker.pending[old.ref()]
				go func() { <-q.done; close(waited) }()
				end(s)
				if s.tracker.pending[old.ref()] != nil {
					t.Error("it is still open")
				}
				<-waited
				s.wantLogged("selector=s2 state=retired was=retiring")
				s.want("then", "s1", "s1 active, s2 retired")
			})
		})
	}
}

func TestWhatWasNeverRequiredIsAskedForFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &nameserver{name: "slow", delay: 700 * time.Millisecond}
		lax, strict := crowd(t, 1000, slow), crowd(t, 1000, slow)
		lax.Require = false
		w := NewTracker(lax.Config.State, time.Now)
		w.Begin(t.Context(), lax, slog.New(slog.DiscardHandler))
		if signing, _ := lax.signing(); signing != 1000 {
			t.Fatalf("%d domains are signed for", signing)
		}
		ctx, cancel := context.WithTimeout(t.Context(), MaxWait)
		defer cancel()
		w.Begin(ctx, strict, slog.New(slog.DiscardHandler))
		if signing, open := strict.signing(); signing != 0 || open == 0 {
			t.Errorf("%d are signed for by keys that are not published, %d are open", signing, open)
		}
	})
}

func TestOnlyKeysThatMayYetSignAreWaitedFor(t *testing.T) {
	key := &keys.Key{}
	asked := func(c candidate, dns keys.Answer) candidate {
		c.fact.DNS, c.pending = dns, nil
		return c
	}
	listed := candidate{listed: true, key: key, fact: Fact{Algorithm: keys.RSA, DNS: keys.Found}, pending: &lookup{}}
	later, latest := listed, listed
	later.activeFrom, latest.activeFrom = noon.Add(-time.Hour), noon.Add(time.Hour)
	spare := candidate{key: key, fact: Fact{Algorithm: keys.RSA, DNS: keys.Found, State: Retiring}, pending: &lookup{}}
	lost, other, otherSpare := spare, listed, spare
	lost.key = nil
	other.fact.Algorithm, otherSpare.fact.Algorithm = keys.Ed25519, keys.Ed25519
	for _, c := range []struct {
		name string
		all  []candidate
		want int
	}{
		{"a listed key", []candidate{listed}, 1},
		{"two listed keys, of which one is proven", []candidate{asked(listed, keys.Found), listed}, 1},
		{"one whose active_from is to come", []candidate{asked(listed, keys.Found), latest}, 0},
		{"that alone", []candidate{latest}, 0},
		{"that, and one that stands in", []candidate{latest, spare}, 1},
		{"one whose place is taken", []candidate{listed, asked(later, keys.Found)}, 0},
		{"one whose place may be taken", []candidate{listed, later}, 2},
		{"one whose place is not taken", []candidate{listed, asked(later, keys.Absent)}, 1},
		{"one that takes a place", []candidate{asked(listed, keys.Found), later}, 1},
		{"a spare of a proven key", []candidate{asked(listed, keys.Found), spare}, 0},
		{"a spare of a key of which nothing is known", []candidate{asked(listed, keys.NoAnswer), spare}, 1},
		{"a spare of a key that is asked for", []candidate{listed, spare}, 2},
		{"a spare without its file", []candidate{asked(listed, keys.Absent), lost}, 0},
		{"a spare of the other listed algorithm", []candidate{asked(listed, keys.Found), asked(other, keys.Absent), otherSpare}, 1},
		{"a spare of an algorithm that is given up", []candidate{asked(listed, keys.Found), otherSpare}, 0},
		{"that, where else none signs", []candidate{asked(listed, keys.Absent), otherSpare}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all []*candidate
			for _, one := range c.all {
				all = append(all, &one)
			}
			if got := signingSet(all, true, noon, nil); len(got.pending) != c.want {
				t.Errorf("%d lookups are awaited, want %d", len(got.pending), c.want)
			}
		})
	}
}

// Who signs after one answer is the same whether all domains are looked at or
// those concerned.
func TestAFewDomainsAreDecidedOnAsAllAre(t *testing.T) {
	const domains = 40
	random := rand.New(rand.NewPCG(1, 2))
	listed, standby := map[keys.Ref]*keys.Key{}, map[keys.Ref]*keys.Key{}
	p := &Spec{Config: keys.Defaults(), Store: keys.NewStore(listed, standby, nil), Require: true}
	known := facts{}
	for i := range domains {
		domain := fmt.Sprintf("d%d.example", i)
		for j, selector := range []string{"s1", "s2", "old"} {
			k := keys.KnownKey(keys.Ref{Domain: domain, Selector: selector}, []keys.Algorithm{keys.RSA, keys.Ed25519}[random.IntN(2)], 2048, fmt.Sprint(domain, j))
			f := Fact{Domain: domain, Selector: selector, Algorithm: k.Algorithm, Fingerprint: k.Fingerprint(), State: Active, DNS: []keys.Answer{keys.NoAnswer, keys.Found, keys.Absent, keys.Differs}[random.IntN(4)]}
			if f.DNS == keys.Found {
				f.FirstSeen = noon
			}
			known[f.ref()] = &f
			if selector == "old" {
				standby[f.ref()] = k
				continue
			}
			listed[f.ref()] = k
			p.Listed = append(p.Listed, Listed{Ref: f.ref()})
			if random.IntN(3) == 0 { // an address signs with it, and with another domain's
				other := keys.Ref{Domain: fmt.Sprintf("d%d.example", random.IntN(i+1)), Selector: "s1"}
				p.Listed = append(p.Listed, Listed{Ref: f.ref(), SignsFor: "alice@" + domain}, Listed{Ref: other, SignsFor: "alice@" + domain})
			}
		}
	}
	roster := func() map[string]string {
		words := map[string]string{}
		for set, d := range p.Active.sets.Load().all() {
			for _, k := range d.Keys {
				words[set] += k.Domain + " " + k.Selector + ", "
			}
			words[set] += d.Why
		}
		return words
	}
	for i := range domains {
		p.assignAll(known, noon, nil)
		ref := keys.Ref{Domain: fmt.Sprintf("d%d.example", i), Selector: "s1"}
		f := *known[ref]
		f.DNS = []keys.Answer{keys.Found, keys.Absent}[i%2]
		known[ref] = &f
		before, after := p.reassign(known, noon, nil, []string{ref.Domain})
		few := roster()
		next := p.assignAll(known, noon, nil).facts
		if all := roster(); !maps.Equal(few, all) {
			t.Errorf("%s: a few domains: %v\nall: %v", ref, few, all)
		}
		for ref := range before {
			if after.of(ref) != next.of(ref) {
				t.Errorf("%s: a few domains: %+v\nall: %+v", ref, after.of(ref), next.of(ref))
			}
		}
	}
}

// What servers said that are not asked any more decides nothing, however it came in.
func TestAnswersOfFormerServersDecideNothing(t *testing.T) {
	for _, hurried := range []bool{false, true} {
		play(t, func(s *scene) {
			s.publish("s1")
			for _, n := range s.dns {
				n.delay = 3 * time.Second
			}
			s.start("s1")
			if hurried {
				s.spec.Active.of("example.com").expedite()
			}
			s.after(time.Second)
			s.serversChanged = true
			s.dns = []*nameserver{{name: "later", records: map[string][]string{}}}
			s.reload("s1")
			s.after(3 * time.Second) // the former ones have answered
			s.want("with servers that do not have it", "", "s1 pending")
		})
	}
}

// Reloads, which databases may cause every second, do not keep silence from being heard.
func TestReloadsDoNotKeepAQuestionOpen(t *testing.T) {
	play(t, func(s *scene) {
		s.provenOnce("s1")
		s.after(24 * time.Hour)
		s.silence(true)
		s.start("s1")
		for range 5 {
			d := s.spec.Active.of("example.com")
			go func() {
				ctx, cancel := context.WithTimeout(s.t.Context(), MaxWait)
				defer cancel()
				_ = d.wait(ctx)
			}()
			s.after(3 * time.Second)
			s.reload("s1")
		}
		if d := s.spec.Active.of("example.com"); len(d.pending) > 0 {
			t.Error("after five reloads in a quarter of a minute the question is open")
		}
		s.after(MaxWait)
	})
}

// What is open at the end of a reload to other servers stays so until these have been
// asked, although the former ones fall silent at that moment.
func TestSilenceThatAReloadOvertakesDecidesNothing(t *testing.T) {
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			const domains = 200
			before := crowd(t, domains, &nameserver{name: "former", silent: true})
			w := NewTracker(before.Config.State, time.Now)
			w.Begin(t.Context(), before, slog.New(slog.DiscardHandler))
			for _, l := range before.Listed {
				before.Active.of(l.Domain).expedite()
			}
			p := crowd(t, domains, &nameserver{name: "later", slots: make(chan struct{})}) // whose turn never comes
			p.ServersChanged = true
			ctx, cancel := context.WithTimeout(t.Context(), firstAnswer)
			defer cancel()
			w.Begin(ctx, p, slog.New(slog.DiscardHandler))
			pass(2 * firstAnswer)
			if signing, open := p.signing(); signing != 0 || open != domains {
				t.Errorf("%d are signed for by keys that were not asked for, %d are open", signing, open)
			}
		})
	}
}

func TestTheSilenceOfFormerServersIsForgotten(t *testing.T) {
	play(t, func(s *scene) {
		s.silence(true)
		s.start("s1")
		s.want("with servers that are dead", "s1", "s1 active")
		s.serversChanged = true
		s.dns = []*nameserver{{name: "later", slots: make(chan struct{})}} // whose turn never comes
		s.reload("s1")
		if d := s.spec.Active.of("example.com"); len(d.pending) == 0 || len(d.Keys) > 0 {
			t.Errorf("%d keys sign, open: %v; the servers in force were asked %d times", len(d.Keys), len(d.pending) > 0, s.dns[0].queries())
		}
	})
}

// A resolver that is still starting refuses at once.
func TestAFailureIsNotYetSilence(t *testing.T) {
	play(t, func(s *scene) {
		for _, n := range s.dns {
			n.broken = errors.New("connection refused")
		}
		s.start("s1")
		s.after(firstAnswer / 2)
		for _, n := range s.dns {
			n.set(func() { n.broken = nil })
		}
		s.want("when it has started", "", "s1 pending")
	})
	play(t, func(s *scene) {
		for _, n := range s.dns {
			n.broken = errors.New("connection refused")
		}
		s.start("s1")
		s.want("when it never does", "s1", "s1 active")
	})
}

// rotated is a domain whose key s1 is still listed, was replaced by s2 long ago, and
// has been revoked since.
func (s *scene) rotated() (listed []string) {
	s.publish("s1")
	s.publish("s2")
	listed = []string{"s1", "s2@" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}
	s.start(listed...)
	s.after(time.Hour + s.cfg.QueueTime + 10*time.Minute)
	s.want("after the change", "s2", "s1 retired, s2 active")
	s.publish("s1", "v=DKIM1; p=")
	s.after(24 * time.Hour)
	return listed
}

// neverSigns holds that a selector signs at no time.
func (s *scene) neverSigns(selector string, during time.Duration) {
	s.t.Helper()
	for begun := time.Now(); time.Since(begun) < during; s.after(500 * time.Millisecond) {
		if d := s.spec.Active.of("example.com"); len(d.pending) == 0 && len(d.Keys) > 0 && d.Keys[0].Selector == selector {
			s.t.Fatalf("%s signs after %v", selector, time.Since(begun))
		}
	}
}

// It is listed, so it would sign again when its successor vanishes.
func TestARetiredKeyThatIsListedIsAskedFor(t *testing.T) {
	play(t, func(s *scene) {
		s.rotated()
		for _, n := range s.dns {
			n.set(func() { n.delay = 2 * time.Second })
		}
		s.withdraw("s2")
		s.neverSigns("s1", time.Hour)
	})
	play(t, func(s *scene) { // and at a start
		listed := s.rotated()
		s.end()
		s.withdraw("s2")
		s.start(listed...)
		s.neverSigns("s1", time.Hour)
	})
}

// Its file may be another domain's, or systemd's, and so not where it is looked for.
func TestAListedKeyIsNotForgotten(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.publish("s2")
		s.start("s1", "s2@"+time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		check(t, os.Rename(s.keys["s1"].Path, filepath.Join(t.TempDir(), "elsewhere")))
		s.after(time.Hour + s.cfg.QueueTime + time.Hour)
		s.want("after the change", "s2", "s1 retired, s2 active")
	})
}

func TestAStateFileOfTheFutureIsNotRecent(t *testing.T) {
	play(t, func(s *scene) {
		s.provenOnce("s1")
		s.tracker = NewTracker(s.cfg.State, func() time.Time { return time.Now().Add(-1000 * time.Hour) }) // a clock that was ahead then
		s.reload("s1")
		if d := s.spec.Active.of("example.com"); len(d.pending) == 0 {
			t.Errorf("not asked for, and %d keys sign", len(d.Keys))
		}
	})
}

// One address has replaced the key, for another its turn is to come.
func TestAKeyOfTwoAddressesHasOneState(t *testing.T) {
	listed, standby := map[keys.Ref]*keys.Key{}, map[keys.Ref]*keys.Key{}
	p := &Spec{Config: keys.Defaults(), Store: keys.NewStore(listed, standby, nil), Require: true}
	known := facts{}
	s1, s2 := keys.Ref{Domain: "example.com", Selector: "s1"}, keys.Ref{Domain: "example.com", Selector: "s2"}
	for _, ref := range []keys.Ref{s1, s2} {
		listed[ref] = keys.KnownKey(ref, keys.RSA, 2048, ref.Selector)
		known[ref] = &Fact{Domain: ref.Domain, Selector: ref.Selector, Algorithm: keys.RSA, Fingerprint: ref.Selector, DNS: keys.Found, FirstSeen: noon, Asked: noon, State: Active}
	}
	p.Listed = []Listed{
		{Ref: s1, SignsFor: "alice@example.com"},
		{Ref: s2, SignsFor: "alice@example.com", ActiveFrom: noon.Add(-time.Hour)},
		{Ref: s1, SignsFor: "bob@example.com", ActiveFrom: noon.Add(time.Hour)},
		{Ref: s2, SignsFor: "bob@example.com"},
	}
	for range 100 { // the signing sets are in a map
		if got := p.assignAll(known, noon, nil).facts[s1].State; got != Published {
			t.Fatalf("s1 is %s, which is to sign for bob", got)
		}
	}
}

func BenchmarkAnswerAmong10000Domains(b *testing.B) {
	const domains = 10_000
	listed := map[keys.Ref]*keys.Key{}
	p := &Spec{Config: keys.Defaults(), Store: keys.NewStore(listed, nil, nil), Require: true}
	known := facts{}
	for i := range domains {
		ref := keys.Ref{Domain: fmt.Sprintf("d%d.example", i), Selector: "s1"}
		listed[ref] = keys.KnownKey(ref, keys.RSA, 2048, "x")
		p.Listed = append(p.Listed, Listed{Ref: ref})
		known[ref] = &Fact{Domain: ref.Domain, Selector: "s1", Algorithm: keys.RSA, Fingerprint: "x", DNS: keys.Found, FirstSeen: noon}
	}
	p.assignAll(known, noon, nil)
	b.ReportAllocs()
	for b.Loop() {
		p.reassign(known, noon, nil, []string{"d5000.example"})
	}
}
