package verifier

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/dns"
	"signpost/internal/message"
)

// noting is a zone that notes what it is asked, under a name of its own.
type noting struct {
	*dns.Zone
	mu    *sync.Mutex
	asked map[string][]string
	as    string
}

func (n noting) LookupTXT(ctx context.Context, name string) ([]string, error) {
	n.mu.Lock()
	n.asked[n.as] = append(n.asked[n.as], name)
	n.mu.Unlock()
	return n.Zone.LookupTXT(ctx, name)
}

// What decides is not asked for beside what cannot: keys of signatures that cannot align
// have look-ups of their own, and so have those that could.
func TestLookupsAreAskedForByWhatDependsOnThem(t *testing.T) {
	var client netip.Addr
	n := noting{Zone: dns.NewZone(), mu: new(sync.Mutex), asked: map[string][]string{}}
	share := func(addr netip.Addr) Lookups {
		client = addr
		of := func(as string) noting { return noting{n.Zone, n.mu, n.asked, as} }
		return Lookups{Policy: of("policy"), AlignedKeys: of("aligned"), OtherKeys: of("other")}
	}
	v := New(Defaults(), n, "mx.receiver.example", func() time.Time { return caseTime }).WithSharing(share)
	env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66"), Helo: "junk.example", Sender: "a@sender.example"}
	const tags = "; s=s; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=eA=="
	var h message.Header
	for _, d := range []string{"junk.example", "author.example", "mail.author.example", "other.org"} {
		h = append(h, message.Field{Name: "DKIM-Signature", Value: " v=1; a=ed25519-sha256; d=" + d + tags})
	}
	h = append(h, message.Field{Name: "From", Value: " a@author.example"})
	tx := v.Explain(context.Background(), env, nil)
	tx.Header(env, h)
	tx.Body([]byte("x\r\n"))
	if _, err := tx.Judge(); err != nil {
		t.Fatal(err)
	}
	if client != env.ClientAddr {
		t.Errorf("shared as client %v", client)
	}
	for as, want := range map[string]string{
		"policy":  "_dmarc.author.example _dmarc.example sender.example",
		"aligned": "s._domainkey.author.example s._domainkey.mail.author.example",
		"other":   "s._domainkey.junk.example s._domainkey.other.org",
	} {
		slices.Sort(n.asked[as])
		if got := strings.Join(slices.Compact(n.asked[as]), " "); got != want {
			t.Errorf("%s: %s, want %s", as, got, want)
		}
	}
	if len(n.asked[""]) > 0 {
		t.Errorf("asked past the share: %v", n.asked[""])
	}
}

// partlyCached has the answers of a zone but for the question of this number and those that follow it until
// EndRun is called.
type partlyCached struct {
	*dns.Zone
	missing, asked int
	missed         bool
}

func (c *partlyCached) EndRun() bool {
	missed := c.missed
	c.missed = false
	return !missed
}

func (c *partlyCached) miss() error {
	c.missed = c.missed || c.asked == c.missing
	c.asked++
	if c.missed {
		return errors.New("not in the cache")
	}
	return nil
}

func (c *partlyCached) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if err := c.miss(); err != nil {
		return nil, err
	}
	return c.Zone.LookupTXT(ctx, name)
}

func (c *partlyCached) LookupA(ctx context.Context, name string) ([]netip.Addr, error) {
	if err := c.miss(); err != nil {
		return nil, err
	}
	return c.Zone.LookupA(ctx, name)
}

func (c *partlyCached) LookupAAAA(ctx context.Context, name string) ([]netip.Addr, error) {
	if err := c.miss(); err != nil {
		return nil, err
	}
	return c.Zone.LookupAAAA(ctx, name)
}

func (c *partlyCached) LookupMX(ctx context.Context, name string) ([]string, error) {
	if err := c.miss(); err != nil {
		return nil, err
	}
	return c.Zone.LookupMX(ctx, name)
}

func (c *partlyCached) LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	if err := c.miss(); err != nil {
		return nil, err
	}
	return c.Zone.LookupPTR(ctx, addr)
}

func (c *partlyCached) Exists(ctx context.Context, name string) (bool, error) {
	if err := c.miss(); err != nil {
		return false, err
	}
	return c.Zone.Exists(ctx, name)
}

// The outcome of a message does not depend on the cache. Each case runs once for each of its answers, and that answer
// is missing.
func TestTheOutcomeIsTheSameWhicheverAnswerIsNotCached(t *testing.T) {
	onEachCase(t, func(t *testing.T, c testCase) {
		t.Parallel()
		for n := 0; ; n++ {
			cached := &partlyCached{Zone: c.zone(t), missing: n}
			out, header := c.runWith(t, cached)
			checkCase(t, c, out, header)
			if t.Failed() {
				t.Fatalf("with answer %d missing", n)
			}
			if cached.asked <= n {
				break // all were there
			}
		}
	})
}

// With all answers at hand, a message needs no other goroutine, and a panic ends nothing but its message.
func TestNothingRunsInTheBackgroundThatIsCached(t *testing.T) {
	z := arcZone(t)
	sealed := sealedBy(t, sealedBy(t, sealedMail, "list.example", authorPassed, nil), "gateway.example", "mx.gateway.example; arc=pass", nil)
	cfg := Defaults()
	cfg.Mode = Enforce
	waiting := Lookups{Policy: panics{z}, AlignedKeys: panics{z}, OtherKeys: panics{z}}
	judge := func(cached CachedResolver) message.Outcome {
		l := waiting
		l.Cached = cached
		v := New(cfg, z, "mx", func() time.Time { return caseTime }).WithSharing(func(netip.Addr) Lookups { return l })
		env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66"), Helo: "a.example", Sender: "ceo@victim.example"}
		tx := v.Verify(context.Background(), env)
		header, body := splitMail(t, sealed)
		tx.Header(env, header)
		tx.Body([]byte(body))
		return tx.End()
	}
	if out := judge(&partlyCached{Zone: z, missing: -1}); out.Failure != "" {
		t.Errorf("a resolver that may wait was asked: %s", out.Failure)
	}
	if out := judge(panickingCache{panics{z}}); out.Disposition != message.Tempfail || !strings.Contains(out.Failure, "ouch") {
		t.Errorf("%+v", out)
	}
}

type panickingCache struct{ panics }

func (panickingCache) EndRun() bool { return true }
