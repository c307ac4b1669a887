package tail

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/message"
	"signpost/milter"
)

// refused is a forged message that arrives and is refused.
func refused() milter.Decided {
	return milter.Decided{
		Rule: "client 203.0.113.66 in none of signer.ours.networks, no login",
		Envelope: &message.Envelope{
			ClientAddr: netip.MustParseAddr("203.0.113.66"), Helo: "mail.example.com", QueueID: "4dKx1",
			Sender: "alice.secret@bounce.example", Recipients: []string{"bob@dest.example", "carol@dest.example", "dave@other.example"},
		},
		Recipients: 3,
		Outcome: message.Outcome{
			Disposition: message.Reject, Reply: message.Reply{Code: 550, Enhanced: "5.7.1", Text: "DMARC: mail from example.com must pass"},
			Author:  &message.Author{Domains: []string{"example.com"}, Addresses: []message.Address{{Local: "alice", Domain: "example.com"}}},
			Rule:    "dmarc: policy reject of example.com, verifier.dmarc.on_reject",
			Results: []message.Result{{Method: "spf", Value: "fail", Domain: "bounce.example"}, {Method: "dmarc", Value: "fail", Domain: "example.com"}},
			Log:     []message.Note{{Key: "spf", Value: "fail (bounce.example)"}, {Key: "decided", Value: "dmarc: policy reject of example.com"}},
		},
		Waited: 12 * time.Millisecond,
	}
}

// signed is a message of ours.
func signed() milter.Decided {
	return milter.Decided{
		Outbound: true, Rule: "logged in as alice.login",
		Envelope: &message.Envelope{
			ClientAddr: netip.MustParseAddr("192.0.2.77"), Helo: "laptop", QueueID: "4dKx2", AuthAuthen: "alice.login", AuthType: "PLAIN",
			Sender: "alice.secret@example.com", Recipients: []string{"bob@dest.example"},
		},
		Recipients: 1,
		Outcome: message.Outcome{
			Disposition: message.Accept,
			Author:      &message.Author{Domains: []string{"example.com"}, Addresses: []message.Address{{Local: "alice.secret", Domain: "example.com"}}},
			Rule:        "signer.domains alice.secret@example.com",
			Signatures:  []message.Signature{{Domain: "example.com", Selector: "s1", Algorithm: "rsa-sha256"}},
			Log:         []message.Note{{Key: "signed", Value: "example.com"}, {Key: "entry", Value: "signer.domains alice.secret@example.com"}},
		},
	}
}

func unsigned() milter.Decided {
	d := signed()
	d.Envelope = &message.Envelope{ClientAddr: netip.MustParseAddr("127.0.0.1"), QueueID: "4dKx3"}
	d.Rule = "client 127.0.0.1 in 127.0.0.0/8"
	d.Outcome = message.Outcome{Disposition: message.Accept, Unsigned: "author domain other.example has no entry", Author: &message.Author{Domains: []string{"other.example"}}}
	return d
}

func would() milter.Decided {
	d := refused()
	d.Outcome.Disposition, d.Outcome.Reply, d.Outcome.Would = message.Accept, message.Reply{}, "reject"
	return d
}

func TestAnEventHasTheFactsOfTheMessage(t *testing.T) {
	f := New(10, false)
	moment := time.Date(2026, 11, 30, 10, 0, 0, 5, time.UTC)
	f.now = func() time.Time { return moment }
	f.Decided(refused())
	f.Decided(signed())
	got := f.Last(10)
	want := []Event{
		{
			Time: moment, Direction: Inbound, QueueID: "4dKx1", Client: "203.0.113.66", Helo: "mail.example.com",
			FromDomains: []string{"example.com"}, Sender: "bounce.example", To: []string{"dest.example", "other.example"}, Recipients: 3,
			Ours:        "client 203.0.113.66 in none of signer.ours.networks, no login",
			Results:     []Result{{"spf", "fail", "bounce.example", ""}, {"dmarc", "fail", "example.com", ""}},
			Disposition: message.Reject, Reply: "550 5.7.1 DMARC: mail from example.com must pass",
			Rule: "dmarc: policy reject of example.com, verifier.dmarc.on_reject", Why: "dmarc: policy reject of example.com, verifier.dmarc.on_reject",
			Notes: []Note{{"spf", "fail (bounce.example)"}, {"decided", "dmarc: policy reject of example.com"}}, WaitedMS: 12,
		},
		{
			Time: moment, Direction: Outbound, QueueID: "4dKx2", Client: "192.0.2.77", Helo: "laptop",
			FromDomains: []string{"example.com"}, Sender: "example.com", To: []string{"dest.example"}, Recipients: 1,
			Ours:        "logged in as ***",
			Signatures:  []Signature{{"example.com", "s1", "rsa-sha256"}},
			Disposition: message.Accept, Rule: "signer.domains ***@example.com",
			Notes: []Note{{"signed", "example.com"}, {"entry", "signer.domains ***@example.com"}},
		},
	}
	for i := range want {
		if i >= len(got) || !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("event %d is\n%+v, want\n%+v", i, got[i], want[i])
		}
	}
}

func TestTheLastMessagesAreKeptAndNoMore(t *testing.T) {
	for _, c := range []struct {
		name               string
		keep, sent, longer int
		least, most        int
	}{
		{"none at first", 10, 0, 0, 0, 0},
		{"fewer than the limit", 10, 7, 0, 7, 7},
		{"the limit in number", 10, 25, 0, 10, 10},
		{"the limit in octets", 100, 500, 900, 20, 99},
		{"records that are cut", 20, 100, 20000, 2, 19},
		{"none where the number is 0", 0, 5, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(c.keep, false)
			for i := range c.sent {
				d := refused()
				d.Envelope.QueueID = fmt.Sprintf("Q%d", i)
				for n := 0; n < c.longer; n += 800 {
					d.Outcome.Log = append(d.Outcome.Log, message.Note{Key: "k", Value: strings.Repeat("x", min(800, c.longer-n))})
				}
				f.Decided(d)
			}
			got := f.Last(1000)
			if len(got) < c.least || len(got) > c.most {
				t.Fatalf("%d are kept, want %d to %d", len(got), c.least, c.most)
			}
			for i, e := range got { // the newest, without a gap
				if want := fmt.Sprintf("Q%d", c.sent-len(got)+i); e.QueueID != want {
					t.Fatalf("place %d has %s, want %s", i, e.QueueID, want)
				}
			}
			if n := len(got); n > 0 {
				if one := f.Last(1); len(one) != 1 || one[0].QueueID != got[n-1].QueueID {
					t.Errorf("the last one is %+v", one)
				}
				if one := f.Queue(got[0].QueueID); len(one) != 1 {
					t.Errorf("of queue id %s there are %d", got[0].QueueID, len(one))
				}
			}
		})
	}
}

func TestAQueueIdThatCameTwiceGivesBoth(t *testing.T) {
	f := New(10, false)
	f.Decided(refused())
	f.Decided(signed())
	f.Decided(refused())
	if got := f.Queue("4dKx1"); len(got) != 2 {
		t.Errorf("%d messages, want 2", len(got))
	}
	if got := f.Queue("none"); got == nil || len(got) != 0 {
		t.Errorf("of an unknown id: %v, want an empty list", got)
	}
}

func TestASlowReaderLosesMessagesAndIsTold(t *testing.T) {
	f := New(0, false)
	r := f.Subscribe(Filter{}, false)
	defer r.Close()
	send := func(n int) {
		for range n {
			f.Decided(refused())
		}
	}
	take := func(n int) (lost uint64) {
		for range n {
			e, l, err := r.Next(t.Context())
			if err != nil || e == nil {
				t.Fatalf("event %v, error %v", e, err)
			}
			lost += l
		}
		return lost
	}
	send(maxWaiting + 10)
	if lost := take(maxWaiting); lost != 0 {
		t.Errorf("%d lost before those that waited, want 0: the lost ones came later", lost)
	}
	if e, lost, _ := r.Next(t.Context()); e != nil || lost != 10 {
		t.Errorf("then event %v and %d lost, want none and 10", e, lost)
	}
	send(maxWaiting + 3)
	take(1)
	send(1)
	if lost := take(maxWaiting); lost != 3 {
		t.Errorf("%d lost, want 3", lost)
	}
}

func TestManyReadersEachGetTheirMessages(t *testing.T) {
	f := New(10, false)
	var all []*Reader
	for i := range 8 {
		all = append(all, f.Subscribe(Filter{Unsigned: i%2 == 1}, i == 0))
	}
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range 3 {
				f.Decided(refused())
				f.Decided(unsigned())
			}
		})
	}
	senders.Wait()
	for i, r := range all {
		want := 24
		if i%2 == 1 {
			want = 12
		}
		for n := range want {
			if e, _, err := r.Next(t.Context()); err != nil || e == nil {
				t.Fatalf("reader %d: %v after %d of %d", i, err, n, want)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if e, _, _ := r.Next(ended); e != nil {
			t.Errorf("reader %d gets more than %d", i, want)
		}
		r.Close()
	}
	if f.Explains() || f.readers.Load() != nil {
		t.Error("readers are left")
	}
}

func TestOnlyAReaderThatAsksGetsTheRules(t *testing.T) {
	f := New(0, false)
	plain := f.Subscribe(Filter{}, false)
	if f.Explains() {
		t.Error("rules are recorded for a reader that did not ask")
	}
	curious := f.Subscribe(Filter{}, true)
	if !f.Explains() {
		t.Error("no rules are recorded")
	}
	d := refused()
	d.Outcome.Trace = &message.Trace{}
	d.Outcome.Trace.Add("author domain", `addresses ["alice@example.com"]`, strings.Repeat("x", 5000))
	f.Decided(d)
	if e, _, _ := plain.Next(t.Context()); e.Steps != nil {
		t.Errorf("the plain reader has %v", e.Steps)
	}
	e, _, _ := curious.Next(t.Context())
	if len(e.Steps) != 1 || e.Steps[0].Compared != `addresses ["***@example.com"]` || len(e.Steps[0].Result) > maxLong+3 {
		t.Errorf("the curious one has %v", e.Steps)
	}
	curious.Close()
	if f.Explains() {
		t.Error("the reader has gone, and rules are recorded")
	}
}

func TestFilters(t *testing.T) {
	known := map[string][]string{"spf": {"pass", "fail"}, "dmarc": {"pass", "fail"}}
	messages := map[string]milter.Decided{"refused": refused(), "signed": signed(), "unsigned": unsigned(), "would": would()}
	for query, want := range map[string]string{
		"":                      "refused signed unsigned would",
		"domain=example.com":    "refused signed would",
		"domain=EXAMPLE.com.":   "refused signed would",
		"domain=other.example":  "refused unsigned would",
		"domain=bounce.example": "refused would",
		"domain=dest.example":   "refused signed would",
		"domain=example":        "refused signed unsigned would",
		"domain=com":            "refused signed would",
		"domain=ample.com":      "",
		"domain=bounce.example&domain=example.com": "refused signed would",
		"direction=inbound":                        "refused would",
		"direction=in":                             "refused would",
		"direction=out":                            "signed unsigned",
		"direction=outbound&domain=other.example":  "unsigned",
		"result=reject":                            "refused",
		"result=REJECT":                            "refused",
		"result=accept":                            "signed unsigned would",
		"result=fail":                              "refused would",
		"result=dmarc%3Dfail":                      "refused would",
		"result=spf%3Dpass":                        "",
		"result=signed":                            "signed",
		"result=unsigned":                          "unsigned",
		"result=signed&result=reject":              "refused signed",
		"unsigned=true":                            "unsigned",
		"would-refuse=true":                        "would",
		"would-refuse=true&direction=out":          "",
	} {
		f, err := ParseFilter(query0(t, query), known)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		again, err := ParseFilter(f.Query(), known)
		if err != nil || !reflect.DeepEqual(again, f) {
			t.Errorf("%s: %+v comes back as %+v, %v", query, f, again, err)
		}
		var got []string
		for _, name := range []string{"refused", "signed", "unsigned", "would"} {
			d := messages[name]
			e, err := decode(encode(nil, &d, time.Now(), false))
			if err != nil {
				t.Fatal(err)
			}
			if f.Match(&e) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s chooses %v, want %s", query, got, want)
		}
	}
	for _, query := range []string{"domain=a b", "direction=up", "result=strange", "result=spf%3Dstrange", "result=none%3Dpass", "domain=" + strings.Repeat("x&domain=", 200)} {
		if _, err := ParseFilter(query0(t, query), known); err == nil {
			t.Errorf("%.40s is accepted", query)
		}
	}
}

func TestJSONOfAnEvent(t *testing.T) {
	d := refused()
	e, err := decode(encode(nil, &d, time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC), false))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(e)
	const want = `{"time":"2026-11-30T10:00:00Z","direction":"inbound","queue_id":"4dKx1","client":"203.0.113.66","helo":"mail.example.com",` +
		`"from_domains":["example.com"],"envelope_from":"bounce.example","envelope_to":["dest.example","other.example"],"recipients":3,` +
		`"ours_because":"client 203.0.113.66 in none of signer.ours.networks, no login",` +
		`"results":[{"method":"spf","result":"fail","domain":"bounce.example"},{"method":"dmarc","result":"fail","domain":"example.com"}],` +
		`"disposition":"reject","reply":"550 5.7.1 DMARC: mail from example.com must pass",` +
		`"rule":"dmarc: policy reject of example.com, verifier.dmarc.on_reject","why":"dmarc: policy reject of example.com, verifier.dmarc.on_reject",` +
		`"notes":[{"key":"spf","value":"fail (bounce.example)"},{"key":"decided","value":"dmarc: policy reject of example.com"}],"waited_ms":12}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v, want\n%s", got, err, want)
	}
}

// Without a reader, a message allocates nothing, with facts kept and without.
func BenchmarkDecided(b *testing.B) {
	for name, keep := range map[string]int{"nothing kept": 0, "facts kept": 1000} {
		for kind, d := range map[string]milter.Decided{"refused": refused(), "signed": signed()} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				f := New(keep, kind == "signed") // a local part costs a copy to hide
				b.ReportAllocs()
				for b.Loop() {
					f.Decided(d)
				}
			})
		}
	}
}

func TestAMessageWithoutReaderAllocatesNothing(t *testing.T) {
	for name, f := range map[string]*Feed{"nothing kept": New(0, false), "facts kept": New(100, false)} {
		d := refused()
		f.Decided(d)
		if n := testing.AllocsPerRun(500, func() { f.Decided(d) }); n != 0 {
			t.Errorf("%s: %v allocations for each message", name, n)
		}
		if f.Explains() {
			t.Errorf("%s: rules are recorded", name)
		}
	}
	d := refused()
	if n := len(encode(nil, &d, time.Now(), false)); n > 420 {
		t.Errorf("the record of a usual message has %d octets", n)
	}
}

// docs/watching.md names every member of the JSON.
func TestTheDocumentNamesEveryMember(t *testing.T) {
	text, err := os.ReadFile("../../docs/watching.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []any{Event{}, Result{}, Signature{}, Note{}, message.Step{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" && !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("%T: %s is not named", of, name)
			}
		}
	}
}
