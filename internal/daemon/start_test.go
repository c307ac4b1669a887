package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
	"signpost/internal/message"
	"signpost/keys"
	"signpost/signer"
)

// started is a daemon with many domains that has just started, and its DNS.
type started struct {
	*Service
	dns *dnstest.Server
}

func crowd(t *testing.T, domains int, tell dnstest.Behaviour) started {
	t.Helper()
	dir := t.TempDir()
	zone := dns.NewZone()
	c := Defaults()
	c.Keys.Dir, c.Keys.State = filepath.Join(dir, "keys"), filepath.Join(dir, "state", "keys.json")
	key, err := keys.Generate(c.Keys.Dir, "example.com", "s1", keys.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range domains {
		name := fmt.Sprintf("d%d.example", i)
		c.Signer.Domains = append(c.Signer.Domains, signer.Domain{Domain: name, KeysOf: "example.com", Selectors: []signer.Selector{{Selector: "s1"}}})
		zone.AddTXT("s1._domainkey."+name, key.Record())
	}
	server := dnstest.Serve(t, zone)
	server.Behave(tell)
	c.DNS.Servers = []string{server.Addr}
	g, err := Build(c, "", time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{processors: newProcessors(g.underLoad), log: slog.New(slog.DiscardHandler), current: g}
	s.begin(g)
	t.Cleanup(s.watchKeys())
	return started{s, server}
}

// sign is the signing of a message from a domain.
func (s started) sign(ctx context.Context, domain string) message.Outcome {
	h := message.Header{{Name: "From", Value: " alice@" + domain}, {Name: "Subject", Value: " hello"}}
	job := s.current.Signer.Sign(ctx, message.Envelope{})
	if job.Header(message.Envelope{}, h) {
		job.Body([]byte("hello\r\n"))
	}
	return job.End()
}

func TestTheFirstMessageWaitsForItsOwnDomainOnly(t *testing.T) {
	const domains = 1000
	release, asked := make(chan struct{}), make(chan struct{}, 4*domains)
	s := crowd(t, domains, func(_ string, query, reply *wire.Msg) *wire.Msg {
		if query.Question[0].Name != "s1._domainkey.d500.example." {
			asked <- struct{}{}
			<-release
		}
		return reply
	})
	for range 10 { // the survey is under way, and hears nothing
		<-asked
	}
	out := s.sign(t.Context(), "d500.example")
	if len(out.Insert) != 1 || !strings.Contains(out.Insert[0].Value, "d=d500.example;") {
		t.Errorf("the first message: %+v", out)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out = s.sign(ctx, "d501.example")
	if out.Disposition != message.Tempfail || len(out.Insert) != 0 || !strings.Contains(out.Failure, "before DNS answered") {
		t.Errorf("a message that cannot wait: %+v", out)
	}

	waiting := make(chan message.Outcome, 1)
	go func() { waiting <- s.sign(t.Context(), "d502.example") }()
	close(release)
	if out := <-waiting; len(out.Insert) != 1 {
		t.Errorf("a message that waited: %+v", out)
	}
}

func TestAKeyThatDNSHasNotNeverSignsAtTheStart(t *testing.T) {
	s := crowd(t, 3, func(_ string, query, reply *wire.Msg) *wire.Msg {
		if query.Question[0].Name == "s1._domainkey.d1.example." {
			return dnstest.Rcode(wire.RcodeNameError)("", query, reply)
		}
		return reply
	})
	for i, want := range []int{1, 0, 1} {
		out := s.sign(t.Context(), fmt.Sprintf("d%d.example", i))
		if len(out.Insert) != want || (want == 0 && !strings.Contains(out.Unsigned, "DNS has no key at s1._domainkey.d1.example")) {
			t.Errorf("d%d.example: %+v", i, out)
		}
	}
}

// A message of the generation before, for which DNS is heard after the reload, is
// signed or comes again.
func TestAMessageThatWaitsAcrossAReloadNeverLeavesUnsigned(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{}, 100)
	s := crowd(t, 1, func(_ string, _, reply *wire.Msg) *wire.Msg {
		asked <- struct{}{}
		<-release
		return reply
	})
	defer close(release)
	out := make(chan message.Outcome, 1)
	go func() { out <- s.sign(t.Context(), "d0.example") }()
	<-asked // in the background, and out of turn
	<-asked
	s.dns.Behave(nil)
	next, err := Build(s.current.Config, "", time.Now, s.current)
	if err != nil {
		t.Fatal(err)
	}
	s.begin(next)
	if o := <-out; len(o.Insert) != 1 && o.Disposition != message.Tempfail {
		t.Errorf("%+v", o)
	}
	if d := next.Spec.Active.Now("d0.example", "").Own; len(d.Keys) != 1 {
		t.Errorf("after the reload %d keys sign: %s", len(d.Keys), d.Why)
	}
}
