package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"signpost/internal/dns"
)

// answer is what one server says about a name's text records.
type answer struct {
	view          string // the server, in sentences
	authoritative bool
	records       []string
	err           error
}

// views asks DNS for text records at each server by itself: those with authority for the name,
// and those of the configuration. It remembers the answers. Its methods may be used concurrently.
type views struct {
	authorities *dns.Authorities
	configured  []dns.Server
	zone        string // the zone file in place of all servers, or ""

	mu    sync.Mutex
	names map[string]func() []answer
}

func newViews(source dns.Source, zone string, port uint16) *views {
	return &views{
		authorities: dns.NewAuthorities(source, port), configured: dns.Each(source), zone: zone,
		names: map[string]func() []answer{},
	}
}

// ask returns the answers of all servers about a name, those with authority first.
func (v *views) ask(ctx context.Context, name string) []answer {
	v.mu.Lock()
	once := v.names[name]
	if once == nil {
		once = sync.OnceValue(func() []answer { return v.askAll(ctx, name) })
		v.names[name] = once
	}
	v.mu.Unlock()
	return once()
}

func (v *views) askAll(ctx context.Context, name string) []answer {
	authorities, _ := v.authorities.Of(ctx, name) // without them, the resolvers are asked alone
	servers := slices.Concat(authorities, v.configured)
	all := make([]answer, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() {
			all[i] = answer{view: v.name(s, i < len(authorities)), authoritative: i < len(authorities)}
			all[i].records, all[i].err = lookUp(ctx, s, name)
		})
	}
	wg.Wait()
	return all
}

func lookUp(ctx context.Context, s dns.Server, name string) ([]string, error) {
	done, err := s.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.LookupTXT(ctx, name)
}

func (v *views) name(s dns.Server, authoritative bool) string {
	switch {
	case v.zone != "":
		return "the zone file " + v.zone
	case authoritative:
		return s.String() + ", which has authority"
	}
	return "the resolver " + s.String()
}

// believed returns the answers that decide: those of servers with authority, and of a resolver
// that answers otherwise. none says that no server answered at all.
func believed(all []answer) (good []answer, none error) {
	for _, a := range all {
		if a.err == nil {
			good = append(good, a)
		} else {
			none = a.err
		}
	}
	if len(good) > 0 {
		none = nil
	}
	return good, none
}

// truth returns the answer of the first server with authority, or else of the first resolver
// that answers.
func (v *views) truth(ctx context.Context, name string) ([]string, error) {
	good, err := believed(v.ask(ctx, name))
	if err != nil || len(good) == 0 {
		return nil, err
	}
	return good[0].records, nil
}

// source is DNS for our evaluators: text records by views.truth, the rest by the resolver.
type source struct {
	dns.Asker
	views *views
}

func (s source) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return s.views.truth(ctx, strings.ToLower(strings.TrimSuffix(name, ".")))
}

// evaluators returns DNS for our evaluators.
func (h *Host) evaluators() source { return source{h.DNS, h.views} }

// fault is what is wrong with the records that one server has at a name.
type fault struct {
	id string
	// text is the rest of a sentence that begins with the name.
	text     string
	severity Severity
	effect   string
	remedy   Remedy
}

// judge judges the records at a name by each view, and makes one finding of a fault that several
// views have. It reports whether any server answered.
func (h *Host) judge(ctx context.Context, name, subject string, faults func(records []string) []fault) bool {
	good, err := believed(h.views.ask(ctx, name))
	if err != nil {
		h.undecided("the records at "+name, err.Error())
	}
	h.lookAtFailing(name, subject, h.views.ask(ctx, name))
	byText := map[string][]answer{}
	var order []fault
	for _, a := range good {
		for _, f := range faults(a.records) {
			key := f.id + " " + f.text
			if byText[key] == nil {
				order = append(order, f)
			}
			byText[key] = append(byText[key], a)
		}
	}
	for _, f := range order {
		seen := byText[f.id+" "+f.text]
		h.add(Finding{
			ID: f.id, Severity: f.severity, Subject: subject, Consequence: f.effectAt(seen, good), Remedy: f.remedy,
			Finding: fmt.Sprintf("%s %s (%s)", name, f.text, where(seen, good)),
		})
	}
	return len(good) > 0
}

// lookAtFailing finds a resolver that has no answer where the domain's own servers have one.
func (h *Host) lookAtFailing(name, subject string, all []answer) {
	var failed []string
	authority := ""
	for _, a := range all {
		switch {
		case a.authoritative && a.err == nil:
			authority = a.view
		case !a.authoritative && (a.err == nil || localFailure(a.err)):
			return
		case !a.authoritative:
			failed = append(failed, fmt.Sprintf("%s (%v)", a.view, a.err))
		}
	}
	if authority == "" || len(failed) == 0 {
		return
	}
	h.find("resolver.fails", subject, fmt.Sprintf("%s: %s answers, and %s does not", name, authority, strings.Join(failed, ", ")),
		Remedy{Text: "Where the zone is signed (DNSSEC), its signatures may be broken or too old; see what the chain lacks:", Lines: []string{"delv " + name + " TXT"}})
}

// localFailure reports whether a look-up failed on this host, or for lack of time.
func localFailure(err error) bool {
	var e *dns.Error
	return !errors.As(err, &e) || e.Local()
}

// effectAt is the consequence. It is another one where only a resolver has the fault, and the
// domain's own servers do not.
func (f fault) effectAt(seen, all []answer) string {
	authoritative := func(a answer) bool { return a.authoritative }
	if f.effect == "" && f.id == "key.not-published" && slices.ContainsFunc(all, authoritative) && !slices.ContainsFunc(seen, authoritative) {
		return "Signpost does not sign with a key that its resolver does not see; where that is an old answer in its cache, it passes with the TTL"
	}
	return f.effect
}

// where names the views that have a fault, and those that do not.
func where(seen, all []answer) string {
	const shown = 3
	list := func(answers []answer) string {
		var names []string
		for i, a := range answers {
			if i == shown {
				names = append(names, fmt.Sprintf("%d more", len(answers)-shown))
				break
			}
			names = append(names, a.view)
		}
		return strings.Join(names, "; ")
	}
	others := slices.DeleteFunc(slices.Clone(all), func(a answer) bool {
		return slices.ContainsFunc(seen, func(s answer) bool { return s.view == a.view })
	})
	switch {
	case len(others) == 0 && len(all) > 1:
		return fmt.Sprintf("seen by all %d servers asked: %s", len(all), list(seen))
	case len(others) == 0:
		return "seen by " + list(seen)
	}
	return fmt.Sprintf("seen by %s; not by %s", list(seen), list(others))
}

// isOffline reports whether DNS comes from a file.
func (h *Host) isOffline() bool { return h.Config.DNS.ZoneFile != "" }

// publicAddress reports whether hosts of the Internet can be at an address.
func publicAddress(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !private(netip.PrefixFrom(a, a.BitLen()))
}
