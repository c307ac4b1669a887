package doctor

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"signpost/internal/dns"
)

// lookAtResolvers checks each DNS server of the configuration.
func lookAtResolvers(ctx context.Context, h *Host) {
	names := h.probeNames()
	if len(names) == 0 {
		return
	}
	var down []string
	up := 0
	for _, s := range h.views.configured {
		health, alive := probeServer(ctx, s, names)
		switch {
		case ctx.Err() != nil:
			h.unseen("the DNS servers", "the time was up before they answered")
			return
		case !alive:
			down = append(down, fmt.Sprintf("%s: %v", s, health.Err))
			continue
		}
		up++
		h.lookAtHealth(s, health)
	}
	for _, text := range down {
		h.resolverDown(text, up)
	}
	if up > 0 {
		h.lookForRewriting(ctx)
	}
}

// probeNames are names that a resolver has to know. A zone file need not know the top-level
// domains.
func (h *Host) probeNames() []string {
	names := append([]string{}, h.Domains[:min(2, len(h.Domains))]...)
	if !h.isOffline() {
		names = append(names, "com")
	}
	return names
}

// probeServer asks for the names until one is answered, and then for that once more: the first
// answer may have come from far away, the second is in the server's cache.
func probeServer(ctx context.Context, s dns.Server, names []string) (h dns.Health, alive bool) {
	for _, name := range names {
		if h = dns.Probe(ctx, s, name); h.Err != nil {
			continue
		}
		if again := dns.Probe(ctx, s, name); again.Err == nil && again.Took < h.Took {
			h.Took = again.Took
		}
		return h, true
	}
	return h, false
}

func (h *Host) lookAtHealth(s dns.Server, health dns.Health) {
	if health.Took >= h.SlowDNS {
		h.find("resolver.slow", s.String(), fmt.Sprintf("%s took %s for a name that it had in its cache; the limit is %s (--slow-dns)", s, health.Took.Round(time.Millisecond), h.SlowDNS), h.resolverRemedy("Use a resolver on this host or in its network"))
	}
	if health.TCP != nil {
		h.find("resolver.no-tcp", s.String(), fmt.Sprintf("%s answers over UDP and not over TCP: %v", s, health.TCP),
			Remedy{Text: "Open port 53 over TCP, too, in the firewall on the way and in the resolver. See whether it answers:", Lines: []string{"dig +tcp @" + strings.TrimSuffix(s.String(), ":53") + " com NS"}})
	}
}

func (h *Host) resolverDown(text string, up int) {
	f := Finding{ID: "resolver.down", Subject: h.serverOf(text), Finding: text, Remedy: h.resolverRemedy("Start or replace it")}
	if up > 0 {
		f.Severity, f.Consequence = Medium, "look-ups wait for this server before they go to the next one"
	}
	h.add(f)
}

func (h *Host) serverOf(text string) string {
	if h.isOffline() {
		return h.Config.DNS.ZoneFile
	}
	server, _, _ := strings.Cut(text, ": ")
	return server
}

func (h *Host) resolverRemedy(text string) Remedy {
	return Remedy{Text: text + ", best a validating one on this host such as unbound; in " + h.configName() + ":", Lines: []string{"dns: {servers: [127.0.0.1]}"}}
}

// lookForRewriting asks for names that do not exist.
func (h *Host) lookForRewriting(ctx context.Context) {
	label := "signpost" + strings.ToLower(rand.Text())
	for _, name := range []string{label + ".com", label + ".invalid"} {
		addrs, err := h.DNS.LookupA(ctx, name)
		if err == nil && len(addrs) > 0 {
			h.find("resolver.rewrites", name, fmt.Sprintf("the resolver gives %s for %s, which does not exist", addrs[0], name), h.resolverRemedy("Use a resolver that does not change answers"))
			return
		}
	}
}
