package daemon

import (
	"os"
	"time"

	"signpost/internal/status"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

// watch adds the series that are read from the service at each scrape.
func (c *counters) watch(s *Service) {
	c.watchConfiguration(s)
	c.watchConnections(s)
	c.watchDNS(s)
	c.watchKeys(s)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (c *counters) watchConfiguration(s *Service) {
	c.collected("signpost_ready", "gauge", "1 where mail can be handled, as /readyz says.", func(add adder) { add(truth(len(s.notReady()) == 0)) })
	c.collected("signpost_generation", "gauge", "Number of the configuration in force: 1 at the start, one more with each reload.", func(add adder) {
		if current, _ := s.vitals.inForce(); current != nil {
			add(float64(current.number))
		}
	})
	c.collected("signpost_last_reload_success", "gauge", "1 where the last reload put a configuration in force, or there was none; 0 where it was refused.", func(add adder) {
		_, reload := s.vitals.inForce()
		add(truth(reload.OK || reload.At.IsZero()))
	})
	c.collected("signpost_last_reload_timestamp_seconds", "gauge", "Time of the last reload, else of the start.", func(add adder) {
		at := s.vitals.started
		if _, reload := s.vitals.inForce(); !reload.At.IsZero() {
			at = reload.At
		}
		add(float64(at.Unix()))
	})
	c.collected("signpost_configuration_differs", "gauge", "1 where the configuration file differs from what is in force, or is gone.", func(add adder) {
		if current, _ := s.vitals.inForce(); current != nil {
			state, _ := s.vitals.onDisk(s.path, current.Config.sum)
			add(truth(state != status.Same && state != ""))
		}
	})
}

func (c *counters) watchConnections(s *Service) {
	c.collected("signpost_listener_up", "gauge", "1 where MTAs can connect to the listener, 0 where its socket is gone or closed.", func(add adder) {
		for _, l := range s.server.State().Listeners {
			add(truth(l.Problem == ""), l.Address)
		}
	}, "listener")
	c.collected("signpost_connections", "gauge", "Open milter connections, by listener.", func(add adder) {
		for _, l := range s.server.State().Listeners {
			add(float64(l.Connections), l.Address)
		}
	}, "listener")
	c.collected("signpost_connections_total", "counter", "Milter connections that were accepted, by listener.", func(add adder) {
		for _, l := range s.server.State().Listeners {
			add(float64(l.Accepted), l.Address)
		}
	}, "listener")
	c.collected("signpost_connections_limit", "gauge", "Milter connections that may be open at once.", func(add adder) { add(float64(s.limits().MaxConnections)) })
	c.collected("signpost_header_memory_bytes", "gauge", "Memory of the headers of all current messages.", func(add adder) { add(float64(s.limits().HeaderMemory)) })
	c.collected("signpost_header_memory_limit_bytes", "gauge", "Limit of that memory (milter.max_header_memory).", func(add adder) { add(float64(s.limits().MaxHeaderMemory)) })
	c.collected("signpost_slot_waits_total", "counter", "What had to wait for a slot: milter connections, and DNS look-ups for messages.", func(add adder) {
		add(float64(s.limits().SlotWaits), "connection")
		if current, _ := s.vitals.inForce(); current != nil {
			add(float64(current.lookups().SlotWaits), "dns")
		}
	}, "of")
}

func (c *counters) watchDNS(s *Service) {
	lookups := func(pick func(*inForce) uint64) func(adder) {
		return func(add adder) {
			if current, _ := s.vitals.inForce(); current != nil {
				add(float64(pick(current)))
			}
		}
	}
	c.collected("signpost_dns_lookups_total", "counter", "DNS look-ups for messages, also those that the cache answers.",
		lookups(func(f *inForce) uint64 { return f.lookups().Lookups }))
	c.collected("signpost_dns_cache_hits_total", "counter", "DNS look-ups for messages that the cache answered.",
		lookups(func(f *inForce) uint64 { return f.lookups().CacheHits }))
	c.collected("signpost_dns_queries_total", "counter", "Queries to DNS servers, by server and result: answered, failed (a reply that is no result, as SERVFAIL), unanswered.", func(add adder) {
		for _, t := range s.vitals.servers.Totals() {
			add(float64(t.Queries-t.Failed-t.Unanswered), t.Address, "answered")
			add(float64(t.Failed), t.Address, "failed")
			add(float64(t.Unanswered), t.Address, "unanswered")
		}
	}, "server", "result")
}

// A key's series have its domain and selector as labels. There are as many keys as
// metrics.per_key says.
func (c *counters) watchKeys(s *Service) {
	c.collected("signpost_domains", "gauge", "Names that are signed for, by state: signing, planned, awaited, partial, unsigned, lost (docs/status.md).", func(add adder) {
		current, _ := s.vitals.inForce()
		if current == nil {
			return
		}
		states := s.domains(current.Generation, 0).States
		for _, state := range []string{status.Signing, status.Planned, status.Awaited, status.Partial, status.Unsigned, status.Lost} {
			add(float64(states[state]), state)
		}
	}, "state")
	c.collected("signpost_keys", "gauge", "Keys that the configuration lists, and that could be loaded.", func(add adder) {
		if current, _ := s.vitals.inForce(); current != nil {
			add(float64(len(current.Store.Keys())))
		}
	})
	perKey := func(name, help string, each func(adder, keyMetrics), labels ...string) {
		c.collected(name, "gauge", help, func(add adder) {
			for _, k := range s.keyMetrics() {
				each(add, k)
			}
		}, append([]string{"domain", "selector"}, labels...)...)
	}
	perKey("signpost_key_state", "1 for the state of each listed key: active, pending, published, missing, differs, retiring, retired, lost.",
		func(add adder, k keyMetrics) { add(1, k.ref.Domain, k.ref.Selector, k.state) }, "state")
	perKey("signpost_key_age_seconds", "Time since the file of the key was written.", func(add adder, k keyMetrics) {
		if !k.made.IsZero() {
			add(age(k.made), k.ref.Domain, k.ref.Selector)
		}
	})
	perKey("signpost_key_unseen_seconds", "Time since a DNS server last had the record of the key; no series where none ever had it.", func(add adder, k keyMetrics) {
		if !k.seen.IsZero() {
			add(age(k.seen), k.ref.Domain, k.ref.Selector)
		}
	})
}

func age(since time.Time) float64 { return max(0, time.Since(since).Seconds()) }

// keyMetrics is what the series of a key tell.
type keyMetrics struct {
	ref        keys.Ref
	state      string
	made, seen time.Time
}

// keyMetrics returns the first metrics.per_key listed keys.
func (s *Service) keyMetrics() []keyMetrics {
	current, _ := s.vitals.inForce()
	if current == nil {
		return nil
	}
	most := s.started.Metrics.PerKey
	var all []keyMetrics
	for _, f := range current.Tracker.Known(current.Spec, most) {
		ref := keys.Ref{Domain: f.Domain, Selector: f.Selector}
		if current.Store.Lost(ref) == nil {
			all = append(all, keyMetrics{ref, string(f.State), current.made()[ref], f.LastSeen})
		}
	}
	for _, ref := range current.lostKeys(most - len(all)) {
		all = append(all, keyMetrics{ref: ref, state: status.Lost})
	}
	return all
}

// lostKeys returns the first listed keys that could not be loaded.
func (f *inForce) lostKeys(most int) []keys.Ref {
	var all []keys.Ref
	seen := map[keys.Ref]bool{}
	for _, l := range f.Spec.Listed {
		if len(all) >= most {
			break
		}
		if f.Store.Lost(l.Ref) != nil && !seen[l.Ref] {
			seen[l.Ref] = true
			all = append(all, l.Ref)
		}
	}
	return all
}

// madeTimes returns when the files of the first listed keys were written.
func madeTimes(spec *lifecycle.Spec, most int) map[keys.Ref]time.Time {
	made := map[keys.Ref]time.Time{}
	for _, l := range spec.Listed {
		if len(made) >= most {
			break
		}
		k, ok := spec.Store.Lookup(l.Domain, l.Selector)
		if !ok {
			continue
		}
		if info, err := os.Stat(k.Path); err == nil {
			made[l.Ref] = info.ModTime()
		}
	}
	return made
}
