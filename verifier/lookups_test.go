package verifier

import (
	"context"
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
		return Lookups{of("policy"), of("aligned"), of("other")}
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
