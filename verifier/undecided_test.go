package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"signpost/internal/config"
	"signpost/internal/dns"
	"signpost/internal/message"
)

// noSlot says, as an error of internal/dns does, whether this host is to blame.
type noSlot struct{ local bool }

func (noSlot) Error() string { return "no slot" }
func (e noSlot) Local() bool { return e.local }

// fails is a resolver that cannot look up one TXT name, or the PTR records.
type fails struct {
	*dns.Zone
	txt string
	ptr bool
	err error
}

func (f fails) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if name == f.txt {
		return nil, fmt.Errorf("look up %s: %w", name, f.err)
	}
	return f.Zone.LookupTXT(ctx, name)
}

func (f fails) LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	if f.ptr {
		return nil, f.err
	}
	return f.Zone.LookupPTR(ctx, addr)
}

// What this host cannot look up counts like an undecided identifier, even if it is the
// policy: otherwise a client that keeps it busy could choose that nothing is refused.
func TestALookUpThatThisHostCannotMakeIsDecidedByOnUndecided(t *testing.T) {
	const reject, none = "v=DMARC1; p=reject", "v=DMARC1; p=none"
	local, remote := noSlot{true}, noSlot{false}
	for _, tt := range []struct {
		name, config, record, spf, failing string
		err                                error
		want                               message.Disposition
	}{
		{"the policy, here", "", reject, "v=spf1 -all", "_dmarc.victim.example", local, message.Tempfail},
		{"the policy, in the victim's DNS", "", reject, "v=spf1 -all", "_dmarc.victim.example", remote, message.Accept},
		{"the policy, in the victim's DNS, on_temperror", "on_temperror: tempfail\n", reject, "v=spf1 -all", "_dmarc.victim.example", remote, message.Tempfail},
		{"the policy, and the message's time was over", "", reject, "v=spf1 -all", "_dmarc.victim.example", context.DeadlineExceeded, message.Tempfail},
		{"the policy, and the message was given up", "", reject, "v=spf1 -all", "_dmarc.victim.example", context.Canceled, message.Tempfail},
		{"the policy, here, on_undecided: accept", "on_undecided: accept\non_temperror: tempfail\n", reject, "v=spf1 -all", "_dmarc.victim.example", local, message.Accept},
		{"the policy, here, and no policy is acted on", "dmarc: {on_reject: tag, on_quarantine: accept}\n", reject, "v=spf1 -all", "_dmarc.victim.example", local, message.Accept},
		{"SPF, here, reject", "", reject, "v=spf1 -all", "victim.example", local, message.Tempfail},
		{"PTR, here, reject", "", reject, "v=spf1 ptr -all", "ptr", local, message.Tempfail},
		{"PTR, in DNS, reject", "", reject, "v=spf1 ptr -all", "ptr", remote, message.Reject},
		{"SPF, here, none", "", none, "v=spf1 -all", "victim.example", local, message.Accept},
		{"SPF alone, here", "spf: {on_fail: reject}\n", "", "v=spf1 -all", "victim.example", local, message.Tempfail},
		{"PTR for SPF alone, here", "spf: {on_fail: reject}\n", "", "v=spf1 ptr -all", "ptr", local, message.Tempfail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := dns.NewZone()
			if tt.record != "" {
				z.AddTXT("_dmarc.victim.example", tt.record)
			}
			z.AddTXT("victim.example", tt.spf)
			cfg := Defaults()
			if err := config.Decode("test", []byte("mode: enforce\n"+tt.config), &cfg).Err(); err != nil {
				t.Fatal(err)
			}
			v := New(cfg, fails{z, tt.failing, tt.failing == "ptr", tt.err}, "mx.receiver.example", func() time.Time { return caseTime })
			env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66"), Sender: "ceo@victim.example"}
			tx := v.Verify(context.Background(), env)
			tx.Header(env, message.Header{{Name: "From", Value: " ceo@victim.example"}})
			if out := tx.End(); out.Disposition != tt.want {
				t.Errorf("%s, want %s: %+v", out.Disposition, tt.want, out)
			}
		})
	}
}

// The sender chooses the author domain too, and can choose one below the victim's whose name
// servers do not answer.
func TestAnAuthorDomainThatFailsInDNSIsJudgedByTheDomainAboveIt(t *testing.T) {
	for _, tt := range []struct {
		name, config, record, spf string
		want                      message.Disposition
	}{
		{"reject", "", "v=DMARC1; p=reject", "v=spf1 -all", message.Tempfail},
		{"quarantine that is tagged", "", "v=DMARC1; p=quarantine", "v=spf1 -all", message.Accept},
		{"quarantine that is held", "dmarc: {on_quarantine: quarantine}\n", "v=DMARC1; p=reject; sp=quarantine", "v=spf1 -all", message.Tempfail},
		{"none", "", "v=DMARC1; p=none", "v=spf1 -all", message.Accept},
		{"none, on_temperror", "on_temperror: tempfail\n", "v=DMARC1; p=none", "v=spf1 -all", message.Tempfail},
		{"on_undecided: accept", "on_undecided: accept\n", "v=DMARC1; p=reject", "v=spf1 -all", message.Accept},
		{"SPF passes for the author domain", "", "v=DMARC1; p=reject", "v=spf1 +all", message.Accept},
		{"monitor", "mode: monitor\n", "v=DMARC1; p=reject", "v=spf1 -all", message.Accept},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := dns.NewZone()
			z.AddTXT("_dmarc.victim.example", tt.record)
			z.AddTXT("lame.victim.example", tt.spf)
			cfg := Defaults()
			cfg.Mode = Enforce
			if err := config.Decode("test", []byte("authserv_id: mx.receiver.example\n"+tt.config), &cfg).Err(); err != nil {
				t.Fatal(err)
			}
			v := New(cfg, fails{z, "_dmarc.lame.victim.example", false, noSlot{false}}, "mx.receiver.example", func() time.Time { return caseTime })
			env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66"), Sender: "ceo@lame.victim.example"}
			tx := v.Verify(context.Background(), env)
			tx.Header(env, message.Header{{Name: "From", Value: " ceo@lame.victim.example"}})
			if out := tx.End(); out.Disposition != tt.want {
				t.Errorf("%s, want %s: %+v", out.Disposition, tt.want, out)
			}
		})
	}
}

// Two author domains: what one of them asks for is done, even if the other fares worse by its
// published policy and is accepted by the configuration.
func TestNoAuthorDomainLiftsWhatAnotherAsksFor(t *testing.T) {
	const from = " a@victim.example, b@held.example"
	for _, tt := range []struct {
		name, config, failing string
		err                   error
		want                  message.Disposition
	}{
		{"one undecided and spared, one held", "on_undecided: accept\ndmarc: {on_quarantine: quarantine}\n", "victim.example", noSlot{false}, message.Quarantine},
		{"one that this host could not look up, one tagged", "dmarc: {on_quarantine: tag}\n", "_dmarc.victim.example", noSlot{true}, message.Tempfail},
		{"one tagged, one refused", "dmarc: {on_reject: tag, on_quarantine: reject}\n", "", nil, message.Reject},
		{"all accepted", "dmarc: {on_reject: accept, on_quarantine: accept}\n", "", nil, message.Accept},
	} {
		for _, ambiguous := range []string{"tag", "accept"} {
			t.Run(tt.name+", "+ambiguous, func(t *testing.T) {
				z := dns.NewZone()
				z.AddTXT("_dmarc.victim.example", "v=DMARC1; p=reject")
				z.AddTXT("_dmarc.held.example", "v=DMARC1; p=quarantine")
				z.AddTXT("victim.example", "v=spf1 -all")
				cfg := Defaults()
				if err := config.Decode("test", []byte("mode: enforce\nauthor: {on_ambiguous: "+ambiguous+"}\n"+tt.config), &cfg).Err(); err != nil {
					t.Fatal(err)
				}
				v := New(cfg, fails{z, tt.failing, false, tt.err}, "mx.receiver.example", func() time.Time { return caseTime })
				env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66"), Sender: "ceo@victim.example"}
				tx := v.Verify(context.Background(), env)
				tx.Header(env, message.Header{{Name: "From", Value: from}})
				if out := tx.End(); out.Disposition != tt.want {
					t.Errorf("%s, want %s: %+v", out.Disposition, tt.want, out)
				}
			})
		}
	}
}

// A panic in a look-up is a failure of ours, and spares nothing either.
func TestAPanicIsDecidedByOnUndecided(t *testing.T) {
	for yaml, want := range map[string]message.Disposition{
		"mode: enforce\n":                                              message.Tempfail,
		"mode: enforce\non_undecided: accept\n":                        message.Accept,
		"mode: enforce\ndmarc: {on_reject: tag, on_quarantine: tag}\n": message.Accept,
		"mode: monitor\n":                                              message.Accept,
	} {
		cfg := Defaults()
		if err := config.Decode("test", []byte(yaml), &cfg).Err(); err != nil {
			t.Fatal(err)
		}
		v := New(cfg, panics{}, "mx.receiver.example", func() time.Time { return caseTime })
		env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66"), Sender: "ceo@victim.example"}
		tx := v.Verify(context.Background(), env)
		tx.Header(env, message.Header{{Name: "From", Value: " ceo@victim.example"}})
		if out := tx.End(); out.Disposition != want {
			t.Errorf("%q: %s, want %s: %+v", yaml, out.Disposition, want, out)
		}
	}
}

type panics struct{ *dns.Zone }

func (panics) LookupTXT(context.Context, string) ([]string, error) { panic(errors.New("ouch")) }

// The rest of a body that is too long could only break a signature, and a retry does not
// make it shorter: where the policy refuses without the signature, the message is refused.
func TestAMessageThatWasCutIsNotSparedForAnUnreadSignature(t *testing.T) {
	for _, tt := range []struct {
		name, record, spf, config string
		want                      message.Disposition
		reply                     string
	}{
		{"reject", "v=DMARC1; p=reject", "v=spf1 -all", "", message.Reject,
			"550 5.7.1 DMARC: mail from example.com must pass SPF or DKIM for that domain, its policy is reject: spf=fail (example.com), dkim=temperror (example.com); DKIM selector ed: the message is too large to be checked; see the TXT record of _dmarc.example.com and RFC 9989"},
		{"reject, on_temperror and on_undecided accept", "v=DMARC1; p=reject", "v=spf1 -all", "on_temperror: accept\non_undecided: accept\n", message.Reject, ""},
		{"reject that is tagged", "v=DMARC1; p=reject", "v=spf1 -all", "dmarc: {on_reject: tag}\n", message.Accept, ""},
		{"quarantine that is held", "v=DMARC1; p=quarantine", "v=spf1 -all", "dmarc: {on_quarantine: quarantine}\n", message.Quarantine, ""},
		{"none", "v=DMARC1; p=none", "v=spf1 -all", "on_temperror: tempfail\n", message.Accept, ""},
		{"no record", "", "v=spf1 -all", "on_temperror: tempfail\n", message.Accept, ""},
		{"SPF passes", "v=DMARC1; p=reject", "v=spf1 +all", "", message.Accept, ""},
		{"SPF may pass another time", "v=DMARC1; p=reject", "v=spf1 include:dead.example -all", "", message.Tempfail,
			"451 4.7.24 SPF for example.com could not be checked just now because DNS did not answer for dead.example, try again later"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := readCase(t, "testdata/cases/DKIM alone carries DMARC.txt")
			c.sections["dns"] = "example.com. TXT \"" + tt.spf + "\"\ndead.example. SERVFAIL\n"
			if tt.record != "" {
				c.sections["dns"] += "_dmarc.example.com. TXT \"" + tt.record + "\"\n"
			}
			cfg := Defaults()
			if err := config.Decode("test", []byte("mode: enforce\n"+tt.config), &cfg).Err(); err != nil {
				t.Fatal(err)
			}
			v := New(cfg, c.zone(t), "mx.receiver.example", func() time.Time { return caseTime })
			env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66"), Sender: "alice@example.com"}
			header, body := c.message(t)
			tx := v.Verify(context.Background(), env)
			tx.Header(env, header)
			tx.Body(body)
			tx.Cut()
			out := tx.End()
			reply := fmt.Sprintf("%d %s %s", out.Reply.Code, out.Reply.Enhanced, out.Reply.Text)
			if out.Disposition != tt.want || (tt.reply != "" && reply != tt.reply) {
				t.Errorf("%s, %s, want %s, %s", out.Disposition, reply, tt.want, tt.reply)
			}
		})
	}
}
