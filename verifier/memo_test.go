package verifier

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/message"
	"signpost/internal/spf"
)

// withoutMemo is the verifier that parses each record each time.
func withoutMemo(v *Verifier) *Verifier {
	with := *v
	with.records = records{spf: &memo[*spf.Record]{}, keys: &memo[*dkim.Key]{}, dmarc: &memo[*dmarc.Record]{}}
	return &with
}

// judged is all that a verifier says of the message of a case.
func (c testCase) judged(t *testing.T, v *Verifier, header message.Header, body []byte) string {
	t.Helper()
	out := c.send(v, header, body)
	r := out.Judged.(*Result)
	report, err := json.Marshal(r.Report())
	if err != nil {
		t.Error(err)
	}
	record := "no record"
	if r.Verdict.DMARC.Record != nil {
		record = fmt.Sprintf("%+v", *r.Verdict.DMARC.Record)
	}
	// Of the outcome, what differs from message to message: where it is, and how long it took.
	out.Author, out.Judged, out.EnvelopeWaited = nil, nil, false
	return fmt.Sprintf("%+v\n%s\n%+v\n%+v\n%+v\n%s", out, report, r.Decision, r.Findings, r.Verdict.SPF, record)
}

// The first message of a domain has its records parsed, the second has them remembered, and
// several have them at once. What comes out is the same, and the records stay as they were.
func TestARememberedRecordSaysWhatAParsedOneSays(t *testing.T) {
	remembered := 0
	onEachCase(t, func(t *testing.T, c testCase) {
		header, body := c.message(t)
		v := c.verifier(t, nil)
		want := c.judged(t, withoutMemo(v), header, body)
		for _, which := range []string{"first", "second"} {
			if got := c.judged(t, v, header, body); got != want {
				t.Errorf("the %s message: %s\nwithout a memo: %s", which, got, want)
			}
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if got := c.judged(t, v, header, body); got != want {
					t.Errorf("at the same time: %s\nwithout a memo: %s", got, want)
				}
			})
		}
		all.Wait()
		remembered += checkMemo(t, v.records.spf) + checkMemo(t, v.records.keys) + checkMemo(t, v.records.dmarc)
	})
	if remembered < 100 {
		t.Errorf("%d records remembered in all cases", remembered)
	}
}

// checkMemo compares what is remembered with what the texts say, and adds it up.
func checkMemo[V interface{ Octets() int }](t *testing.T, m *memo[V]) (entries int) {
	t.Helper()
	octets := 0
	for i := range m.sets {
		for j := range m.sets[i] {
			p := m.sets[i][j].Load()
			if p == nil {
				continue
			}
			entries++
			octets += p.octets
			if value, err := m.parse(p.text); err == nil && !reflect.DeepEqual(value, p.value) || !reflect.DeepEqual(err, p.err) {
				t.Errorf("%q: %+v and error %v, remembered %+v and %v", p.text, value, err, p.value, p.err)
			}
			if p.octets > memoLarge {
				t.Errorf("%.60q takes %d octets", p.text, p.octets)
			}
		}
	}
	if octets != m.octets || octets > memoOctets {
		t.Errorf("%d entries take %d octets, counted %d, at most %d", entries, octets, m.octets, memoOctets)
	}
	return entries
}

// counting is a memo that counts how often it parses a text.
func counting(text string) (m *memo[*spf.Record], parsed *int) {
	parsed = new(int)
	return newMemo(func(asked string) (*spf.Record, error) {
		if asked == text {
			*parsed++
		}
		return spf.ParseRecord(asked)
	}), parsed
}

func TestRecordsOfAnAttackerDoNotDisplaceThoseInUse(t *testing.T) {
	const inUse = "v=spf1 ip4:192.0.2.0/24 -all"
	for name, text := range map[string]func(i int) string{
		"short records":    func(i int) string { return fmt.Sprintf("v=spf1 exists:%d.example.com -all", i) },
		"many terms":       func(i int) string { return fmt.Sprintf("v=spf1 exists:%d.example.com%s", i, strings.Repeat(" a", 60)) },
		"records at fault": func(i int) string { return fmt.Sprintf("v=spf1 exists:%d.example.com %s", i, strings.Repeat("?", 900)) },
	} {
		t.Run(name, func(t *testing.T) {
			m, times := counting(inUse)
			for i := range 20_000 {
				m.get(text(i))
				m.get(inUse)
			}
			entries := checkMemo(t, m)
			if entries > 2*memoSets || entries < 200 {
				t.Errorf("%d entries", entries)
			}
			if *times > 20 {
				t.Errorf("the record in use was parsed %d times", *times)
			}
		})
	}
}

func TestARecordThatTakesTooMuchIsNotKept(t *testing.T) {
	for name, text := range map[string]string{
		"a long text":        "v=spf1 exp=" + strings.Repeat("x", memoLarge) + ".com",
		"many short terms":   "v=spf1" + strings.Repeat(" a", memoLarge/50),
		"many short macros":  "v=spf1 exp=" + strings.Repeat("%%", memoLarge/40) + ".com",
		"too long for SPF":   "v=spf1 " + strings.Repeat("a ", memoLarge),
		"a fault at the end": "v=spf1 " + strings.Repeat("a ", memoLarge/2) + "?",
	} {
		m, parsed := counting(text)
		for range 3 {
			m.get(text)
		}
		if n := checkMemo(t, m); n != 0 || *parsed != 3 {
			t.Errorf("%s: %d kept, parsed %d times", name, n, *parsed)
		}
	}
}

// Where all that is kept is in use, a new record finds room all the same.
func TestTheNewestRecordIsKept(t *testing.T) {
	const newest = "v=spf1 a:newest.example.com -all"
	m, times := counting(newest)
	for i := range 3000 {
		for range 2 {
			m.get(fmt.Sprintf("v=spf1 a:%d.example.com%s", i, strings.Repeat(" a", 60)))
		}
	}
	for range 2 {
		m.get(newest)
	}
	if *times != 1 {
		t.Errorf("the record that came last was parsed %d times", *times)
	}
	checkMemo(t, m)
}

func TestOneMemoServesManyGoroutines(t *testing.T) {
	m := newMemo(dmarc.ParseRecord)
	text := func(i int) string { return fmt.Sprintf("v=DMARC1; p=reject; rua=mailto:%d@example.com", i) }
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 5000 {
				own, shared := text(worker*10_000+i), text(1_000_000+i%100)
				for _, asked := range []string{own, shared} {
					if r, err := m.get(asked); err != nil || r.Raw != asked {
						t.Errorf("%q: %+v, %v", asked, r, err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	checkMemo(t, m)
}

// min_rsa_bits is of the configuration: a generation has a memo of its own.
func TestAKeyIsRememberedUnderTheConfigurationThatReadIt(t *testing.T) {
	const short = "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDcaRaXbhPfaXnCMgQPIBB6MbnU1VqJsDSgPsXUMTtKrrE+ZdVu/NyWaxmVSZsZNtXZQ2oXV3RrE6HZl2EjX4nOV0Jn8XcnUqEyfGGJZ/G9oCNDPBnlEbbVYLyk6JVg6BsVXLZRTGX4hTdi9NdNRBs3ZD1AoK2IjGIlZQDlPcQDAQIDAQAB"
	for _, bits := range []int{1024, 2048} {
		cfg := Defaults()
		cfg.DKIM.MinRSABits = bits
		r := newRecords(cfg)
		_, err := r.keys.get(short)
		_, again := r.keys.get(short)
		if (err == nil) != (bits == 1024) || !errors.Is(again, err) {
			t.Errorf("min_rsa_bits %d: %v, then %v", bits, err, again)
		}
	}
}
