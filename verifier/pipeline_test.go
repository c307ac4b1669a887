package verifier_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/authres"
	"signpost/internal/config"
	"signpost/internal/conformance"
	"signpost/internal/dns"
	"signpost/internal/message"
	"signpost/milter"
	"signpost/verifier"
)

// settings are what a case may change in the configuration.
type settings struct {
	MaxMessageBytes string `json:"max_message_bytes"`
	OnTempError     string `json:"on_temperror"`
	Discovery       string
}

// pipeline is a milter with a verifier behind it, and an MTA's connection to it.
type pipeline struct {
	session *gomilter.ClientSession
}

// pipelineTime is when messages arrive that do not say when.
var pipelineTime = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// newPipeline starts a milter that does with a failing message what its author
// domain asks for, in enforce mode.
func newPipeline(t testing.TB, zone *dns.Zone, mode verifier.Mode, s settings, now *int64) *pipeline {
	t.Helper()
	cfg := struct {
		Milter   milter.Config   `yaml:"milter"`
		Verifier verifier.Config `yaml:"verifier"`
	}{milter.Defaults(), verifier.Defaults()}
	yaml := "milter: {listen: ['inet:127.0.0.1:0']" + setting("max_message_bytes", s.MaxMessageBytes) + "}\n" +
		"verifier: {mode: " + string(mode) + setting("on_temperror", s.OnTempError) +
		", dmarc: {on_reject: reject, on_quarantine: quarantine" + setting("discovery", s.Discovery) + "}}\n"
	src := config.Decode("case", []byte(yaml), &cfg)
	cfg.Verifier.Validate(src.Bad)
	if err := src.Err(); err != nil {
		t.Fatalf("%s\n%v", yaml, err)
	}
	at := pipelineTime
	if now != nil {
		at = time.Unix(*now, 0)
	}
	v := verifier.New(cfg.Verifier, zone, "mx.rcpt.example", func() time.Time { return at })
	server := milter.NewServer(cfg.Milter, &milter.Generation{Signer: nobodysSigner{}, Verifier: v}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	addr := server.Addrs()[0]
	client := gomilter.NewClientWithOptions(addr.Network(), addr.String(), gomilter.ClientOptions{
		ActionMask:   gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptQuarantine,
		ProtocolMask: gomilter.OptHeaderLeadingSpace | gomilter.OptNoHeaderReply | gomilter.OptNoBodyReply,
	})
	session, err := client.Session()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		session.Close()
		stop()
		server.Shutdown(context.Background())
		<-ended
	})
	return &pipeline{session}
}

func setting(key, value string) string {
	if value == "" {
		return ""
	}
	return ", " + key + ": " + value
}

// nobodysSigner has no message to sign.
type nobodysSigner struct{}

func (nobodysSigner) Outbound(message.Envelope) (bool, string) { return false, "no message is ours" }
func (nobodysSigner) Sign(context.Context, message.Envelope) message.Transaction {
	panic("no message is ours")
}

// delivery is what became of a message.
type delivery struct {
	code        int // of the reply that refuses it, or 0
	reply       string
	quarantined bool
	delivered   bool
	results     []authres.Result
}

// send hands a message over as Postfix does.
func (p *pipeline) send(t testing.TB, c conformance.Case, text []byte) delivery {
	t.Helper()
	must := func(a *gomilter.Action, err error) {
		t.Helper()
		if err != nil || (a.Code != gomilter.ActContinue && a.Code != gomilter.ActSkip) {
			t.Fatalf("the milter answers %+v, %v", a, err)
		}
	}
	family := gomilter.FamilyInet
	if a, err := netip.ParseAddr(c.IP); err == nil && a.Is6() {
		family = gomilter.FamilyInet6
	}
	must(p.session.Conn(c.Helo, family, 25, c.IP))
	must(p.session.Helo(c.Helo))
	must(p.session.Mail(*c.MailFrom, nil))
	must(p.session.Rcpt("bob@rcpt.example", nil))
	header, body, err := message.Split(bytes.NewReader(text), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range header {
		must(p.session.HeaderField(f.Name, strings.ReplaceAll(f.Value, "\r\n", "\n")))
	}
	must(p.session.HeaderEnd())
	changes, final, err := p.session.BodyReadFrom(body)
	if err != nil {
		t.Fatal(err)
	}
	return deliveryOf(t, changes, final)
}

func deliveryOf(t testing.TB, changes []gomilter.ModifyAction, final *gomilter.Action) delivery {
	t.Helper()
	switch final.Code {
	case gomilter.ActReplyCode:
		return delivery{code: final.SMTPCode, reply: final.SMTPText}
	case gomilter.ActAccept:
	default:
		t.Fatalf("the milter answers %+v", final)
	}
	d := delivery{delivered: true}
	for _, change := range changes {
		switch {
		case change.Code == gomilter.ActQuarantine:
			d.quarantined, d.delivered = true, false
		case change.Code == gomilter.ActInsertHeader && change.HeaderName == "Authentication-Results":
			f, err := authres.Parse(change.HeaderValue)
			if err != nil {
				t.Fatalf("our own field cannot be read: %v\n%s", err, change.HeaderValue)
			}
			d.results = f.Results
		}
	}
	return d
}

// of returns the results of a method.
func (d delivery) of(method string) []authres.Result {
	var found []authres.Result
	for _, r := range d.results {
		if r.Method == method {
			found = append(found, r)
		}
	}
	return found
}

// what is the delivery in the words of the suites.
func (d delivery) what() string {
	switch {
	case d.code/100 == 5:
		return "reject"
	case d.code/100 == 4:
		return "tempfail"
	case d.quarantined:
		return "quarantine"
	}
	for _, r := range d.of("dmarc") {
		switch {
		case r.Value == "pass" && concerns(property(r, "header", "from"), "attack.example"):
			return "deliver_attack_domain_pass"
		case r.Value == "pass":
			return "deliver_dmarc_pass"
		case r.Value == "none":
			return "deliver_no_dmarc"
		case r.Value == "fail", r.Value == "permerror", r.Value == "temperror":
			return "deliver_dmarc_fail"
		}
	}
	return "deliver without a result of DMARC"
}

func (d delivery) isOneOf(words []string) bool {
	for _, w := range words {
		if w == d.what() || (w == "deliver" && d.delivered) {
			return true
		}
	}
	return false
}

func (d delivery) String() string {
	return fmt.Sprintf("%s (%d %s) %+v", d.what(), d.code, d.reply, d.results)
}
