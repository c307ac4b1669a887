package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"signpost/keys"
)

// firstStart is a process that has just started with the keys of two domains, d0.example
// and d1.example, which its server has in DNS or has not.
func firstStart(t *testing.T, published ...bool) (*Tracker, *Spec, *nameserver) {
	server := &nameserver{name: "one", records: map[string][]string{}}
	dir := t.TempDir()
	cfg := keys.Defaults()
	cfg.Dir, cfg.State = dir, filepath.Join(dir, "keys.json")
	spec := &Spec{Config: cfg, Require: true, Servers: []Server{server}}
	var refs []keys.Ref
	for i, there := range published {
		k, err := keys.Generate(dir, fmt.Sprintf("d%d.example", i), "s1", keys.Ed25519, 0)
		check(t, err)
		refs = append(refs, k.Ref())
		spec.Listed = append(spec.Listed, Listed{Ref: k.Ref()})
		if there {
			server.records[k.RecordName()] = []string{k.Record()}
		}
	}
	var err error
	spec.Store, err = keys.Open(cfg, refs)
	check(t, err)
	tracker := NewTracker(cfg.State, time.Now)
	return tracker, spec, server
}

func TestForWaitsForTheKeysOfAFallbackTogether(t *testing.T) {
	for _, c := range []struct {
		published []bool
		took      time.Duration
		signs     string
	}{
		{[]bool{true, true}, 3 * time.Second, "d0.example"},
		{[]bool{false, true}, 3 * time.Second, "d1.example"}, // and not six: both are asked at once
		{[]bool{false, false}, 3 * time.Second, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			tracker, spec, server := firstStart(t, c.published...)
			server.delay = 3 * time.Second
			tracker.Begin(t.Context(), spec, slog.New(slog.DiscardHandler))
			if f := spec.Active.Now("d0.example", "d1.example"); len(f.Own.Keys) > 0 || f.Fallback != nil {
				t.Errorf("%v: before DNS has answered: %+v", c.published, f)
			}
			begun := time.Now()
			found, err := spec.Active.For(t.Context(), "d0.example", "d1.example")
			check(t, err)
			if took := time.Since(begun); took != c.took {
				t.Errorf("%v: it took %v", c.published, took)
			}
			signs := ""
			for _, d := range []*SigningSet{found.Own, found.Fallback} {
				if d != nil && len(d.Keys) > 0 {
					signs += d.Keys[0].Domain
				}
			}
			if signs != c.signs || (len(found.Own.Keys) > 0) != (found.Fallback == nil) {
				t.Errorf("%v: %q signs, want %q", c.published, signs, c.signs)
			}
		})
	}
}

func TestForSaysWhyItIsNotKnownWhoSigns(t *testing.T) {
	t.Run("its context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tracker, spec, server := firstStart(t, true)
			server.silent = true
			tracker.Begin(t.Context(), spec, slog.New(slog.DiscardHandler))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if found, err := spec.Active.For(ctx, "d0.example", ""); err == nil || found != (Found{}) {
				t.Errorf("%+v, %v", found, err)
			}
			time.Sleep(2 * MaxWait) // so that the lookup ends
		})
	})
	t.Run("the configuration is replaced", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tracker, spec, server := firstStart(t, true)
			server.delay = time.Second
			tracker.Begin(t.Context(), spec, slog.New(slog.DiscardHandler))
			outcome := make(chan error, 1)
			go func() {
				_, err := spec.Active.For(t.Context(), "d0.example", "")
				outcome <- err
			}()
			synctest.Wait()
			next := &Spec{Config: spec.Config, Store: spec.Store, Listed: spec.Listed, Require: true, Servers: spec.Servers}
			soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // before DNS answers
			defer cancel()
			tracker.Begin(soon, next, slog.New(slog.DiscardHandler))
			if err := <-outcome; !errors.Is(err, errReplaced) {
				t.Errorf("the error is %v", err)
			}
		})
	})
}

func TestForKnowsNothingOfAnUnknownName(t *testing.T) {
	var none ActiveKeys
	if found, err := none.For(t.Context(), "d0.example", "d1.example"); found != (Found{}) || err != nil || none.Has("d0.example") {
		t.Errorf("%+v, %v", found, err)
	}
}
