package daemon

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"signpost/internal/dns"
	"signpost/internal/message"
	"signpost/internal/reports/incoming"
	"signpost/keys"
	"signpost/keys/lifecycle"
	"signpost/milter"
	"signpost/signer"
	"signpost/verifier"
)

// Generation is one configuration with its keys, resolver, signer and verifier. It never
// changes; a reload builds a new one.
type Generation struct {
	Config   Config
	Path     string // the file it came from, or ""
	Resolver dns.Source
	Store    *keys.Store
	Tracker  *lifecycle.Tracker // the same in all generations of a process
	Spec     *lifecycle.Spec
	Signer   *signer.Signer
	Verifier *verifier.Verifier

	ourDomains func() incoming.Domains // whose reports are taken
	underLoad  *atomic.Bool            // see processors; the same in all generations of a process
}

// LoadForStart is Load at the start of a process: if a key cannot be loaded, only its entry
// cannot sign.
func LoadForStart(path string, now func() time.Time) (*Generation, error) {
	c, from, err := Read(path)
	if err != nil {
		return nil, err
	}
	return BuildForStart(c, from, now)
}

// BuildForStart is Build at the start of a process; see LoadForStart.
func BuildForStart(c Config, path string, now func() time.Time) (*Generation, error) {
	c.mayLose = true
	return Build(c, path, now, nil)
}

// Load reads the configuration and builds its generation.
func Load(path string, now func() time.Time, before *Generation) (*Generation, error) {
	c, from, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Build(c, from, now, before)
}

// Build loads the tables and keys of a validated configuration. Signatures are made and judged
// by the clock now. The resolver of the generation before stays, with its cache, where its
// configuration has not changed; before is nil for the first generation.
func Build(c Config, path string, now func() time.Time, before *Generation) (*Generation, error) {
	if before != nil {
		c.tables = before.Config.tables
	}
	c, err := c.complete()
	if err == nil && before != nil {
		err = c.vanished(before.Config)
	}
	if err != nil {
		return nil, err
	}
	g := &Generation{Config: c, Path: path}
	g.Config.giveWay = nil
	g.ourDomains = sync.OnceValue(func() incoming.Domains { return g.Config.OurDomains() })
	if before != nil {
		g.Tracker, g.underLoad = before.Tracker, before.underLoad
	} else {
		g.underLoad = new(atomic.Bool)
		g.Tracker = lifecycle.NewTracker(c.Keys.State, time.Now)
	}
	if g.Store, err = openKeys(c, g.Tracker, before); err != nil {
		return nil, err
	}
	c.Keys.Shared, c.Keys.Optional = nil, nil // only to load keys; there may be a hundred thousand
	g.Config.Keys = c.Keys
	if g.Resolver, err = openResolver(c.DNS, before); err != nil {
		return nil, err
	}
	g.Spec = &lifecycle.Spec{Config: c.Keys, Store: g.Store, Listed: c.Signer.Listed(g.Store.Refs()), Require: c.Signer.RequirePublished}
	g.Spec.GiveWay = c.giveWay
	g.Spec.Servers = Servers(g.Resolver)
	g.Spec.ServersChanged = before != nil && (c.DNS.ZoneFile != "" || !slices.EqualFunc(before.Spec.Servers, g.Spec.Servers, sameServer))
	if before == nil { // at a reload, Begin comes first
		g.Tracker.Preview(g.Spec)
	}
	g.Signer = signer.New(c.Signer, c.tables.Index(), &g.Spec.Active, now)
	host, _ := os.Hostname() // used only where the MTA sends no macro j
	g.Verifier = verifier.New(c.Verifier, g.Resolver, host, now).WithRSA(g.verifyRSA(c.Keys.Backend)).
		WithSharing(func(client netip.Addr) verifier.Lookups {
			l := dns.ForMessage(g.Resolver, client)
			return verifier.Lookups{Policy: l.Policy, AlignedKeys: l.AlignedKeys, OtherKeys: l.OtherKeys, Cached: l.Cached}
		}).WithOwnDomains(g.Signer.Names)
	if c.Signer.ARC.On() {
		g.Verifier = g.Verifier.WithSealing(g.beginSeal)
	}
	g.Signer = g.Signer.WithForged(g.Verifier.Forged).WithResults(g.Verifier.OwnResults).WithArrival(g.Verifier.Arrival)
	return g, nil
}

// beginSeal begins the seal of a message, where the signer chooses it.
func (g *Generation) beginSeal(ctx context.Context, env message.Envelope, trace *message.Trace) verifier.Seal {
	if s := g.Signer.Seal(ctx, env, trace); s != nil {
		return s
	}
	return nil
}

// openResolver opens the resolver, or keeps the one of the generation before. The servers of
// resolv.conf may have changed, so they are read again.
func openResolver(c dns.Config, before *Generation) (dns.Source, error) {
	if before != nil && c.ZoneFile == "" && len(c.Servers) > 0 && reflect.DeepEqual(before.Config.DNS, c) {
		return before.Resolver, nil
	}
	r, err := dns.Open(c)
	if err != nil && c.ZoneFile != "" {
		err = fmt.Errorf("dns.zone_file: %w", err)
	}
	return r, err
}

// Servers returns the DNS servers of a source, for a lifecycle.Spec.
func Servers(source dns.Source) []lifecycle.Server {
	var all []lifecycle.Server
	for _, s := range dns.Each(source) {
		all = append(all, s)
	}
	return all
}

func sameServer(a, b lifecycle.Server) bool { return a.String() == b.String() }

// openKeys loads the keys that the configuration lists, and the standby keys. A key that cannot
// be loaded is an error, except in three cases, where only its entry cannot sign: at the start
// of the process; if the process started without this key; and if only a database lists the key
// and it was in use.
func openKeys(c Config, w *lifecycle.Tracker, before *Generation) (*keys.Store, error) {
	inUse := map[keys.Ref]bool{}
	for ref := range c.Keys.Optional {
		if w.InUse(ref) {
			inUse[ref] = true
			delete(c.Keys.Optional, ref)
		}
	}
	c.Keys.MayFail = func(ref keys.Ref) bool {
		return c.mayLose || inUse[ref] || (before != nil && before.Store.Lost(ref) != nil)
	}
	c.Keys.GiveWay = c.giveWay
	refs := c.Signer.Refs()
	return keys.Open(c.Keys, refs, w.Standby(refs)...)
}

// Handlers returns the signer and the verifier for the milter.
func (g *Generation) Handlers() *milter.Generation {
	return &milter.Generation{Signer: g.Signer, Verifier: g.Verifier}
}

// verifyRSA returns how signatures of incoming mail are verified; nil: by Go. Go takes longer for one than libcrypto, but
// a foreign call wakes the runtime's monitor thread, which costs more than the difference while the process is mostly
// asleep.
func (g *Generation) verifyRSA(b keys.Backend) func(*rsa.PublicKey, crypto.Hash, []byte, []byte) bool {
	return g.whileUnderLoad(b, b.VerifyRSA())
}

func (g *Generation) whileUnderLoad(b keys.Backend, verify func(*rsa.PublicKey, crypto.Hash, []byte, []byte) bool) func(*rsa.PublicKey, crypto.Hash, []byte, []byte) bool {
	if verify == nil || b != keys.BackendAuto {
		return verify
	}
	return func(public *rsa.PublicKey, hash crypto.Hash, sum, signature []byte) bool {
		return g.underLoad.Load() && verify(public, hash, sum, signature)
	}
}
