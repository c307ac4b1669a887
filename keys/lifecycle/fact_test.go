package lifecycle

import (
	"strings"
	"testing"
	"time"

	"signpost/keys"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestWhatIsKnownOfAKeyAfterEachServerWasAsked(t *testing.T) {
	const ( // short, for the table
		no, ok, gone, other = keys.NoAnswer, keys.Found, keys.Absent, keys.Differs
	)
	for _, c := range []struct {
		name    string
		known   keys.Answer
		answers []keys.Answer
		want    keys.Answer
	}{
		{"every server has it", no, []keys.Answer{ok, ok}, ok},
		{"one has it, one does not answer, and nothing was known", no, []keys.Answer{ok, no}, no},
		{"one has it and one does not", no, []keys.Answer{ok, gone}, gone},
		{"one has it and one has another key", gone, []keys.Answer{ok, other}, other},
		{"no server has it", no, []keys.Answer{gone, gone}, gone},
		{"the only one that answers has it not", no, []keys.Answer{gone, no}, gone},
		{"no server answers, and nothing was known", no, []keys.Answer{no, no}, no},
		{"a DNS error leaves a published key", ok, []keys.Answer{no, no}, ok},
		{"a DNS error leaves an absent key", gone, []keys.Answer{no}, gone},
		{"a DNS error leaves a wrong key", other, []keys.Answer{no}, other},
		{"a published key stays while one server has it", ok, []keys.Answer{ok, gone}, ok},
		{"a published key stays while one server has it and another fails", ok, []keys.Answer{no, ok}, ok},
		{"a published key is withdrawn", ok, []keys.Answer{gone, gone}, gone},
		{"a published key is withdrawn, says the only one that answers", ok, []keys.Answer{no, gone}, gone},
		{"a published key is replaced", ok, []keys.Answer{other, gone}, other},
		{"a wrong key is withdrawn", other, []keys.Answer{gone}, gone},
		{"an absent key comes to every server", gone, []keys.Answer{ok, ok}, ok},
		{"an absent key has come to one server only", gone, []keys.Answer{ok, gone}, gone},
		{"no server says any more that it is absent, but not all have it", gone, []keys.Answer{ok, no}, no},
		{"no server was asked", ok, nil, ok},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := combine(c.known, c.answers); got != c.want {
				t.Errorf("known %q, answers %q: got %q, want %q", c.known, c.answers, got, c.want)
			}
		})
	}
}

// The table of states in ARCHITECTURE.md, row by row.
func TestTheStatesOfAKey(t *testing.T) {
	const queue = 7 * 24 * time.Hour
	later, ago := noon.Add(time.Hour), noon.Add(-queue)
	seen := Fact{DNS: keys.Found, FirstSeen: ago, LastSeen: noon}
	for _, c := range []struct {
		name string
		fact Fact
		role
		want     State
		unlisted time.Time
	}{
		{name: "listed, nothing known, another key signs", role: role{listed: true}, want: Pending},
		{name: "listed, nothing known, and it signs", role: role{listed: true, signs: true}, want: Active},
		{name: "listed, not in DNS, which is not required", fact: Fact{DNS: keys.Absent}, role: role{listed: true, signs: true}, want: Active},
		{name: "listed, not in DNS", fact: Fact{DNS: keys.Absent}, role: role{listed: true}, want: Pending},
		{name: "listed, another key in DNS", fact: Fact{DNS: keys.Differs}, role: role{listed: true}, want: Differing},
		{name: "listed, seen in DNS", fact: seen, role: role{listed: true, signs: true}, want: Active},
		{name: "listed, seen in DNS, active_from to come", fact: seen, role: role{listed: true, activeFrom: later}, want: Published},
		{name: "listed, not in DNS, active_from to come", fact: Fact{DNS: keys.Absent}, role: role{listed: true, activeFrom: later}, want: Pending},
		{name: "listed, was in DNS once, gone", fact: Fact{DNS: keys.Absent, FirstSeen: ago}, role: role{listed: true}, want: Missing},
		{name: "listed, was in DNS once, now another key", fact: Fact{DNS: keys.Differs, FirstSeen: ago}, role: role{listed: true}, want: Differing},
		{name: "listed again after it had retired", fact: Fact{DNS: keys.Found, FirstSeen: ago, Unlisted: ago}, role: role{listed: true, signs: true}, want: Active},
		{name: "listed, and another has taken over by active_from", fact: seen, role: role{listed: true, replaced: true}, want: Retiring, unlisted: noon},
		{name: "no longer listed", fact: seen, want: Retiring, unlisted: noon},
		{name: "no longer listed, used though never seen in DNS", fact: Fact{LastUsed: ago}, want: Retiring, unlisted: noon},
		{name: "no longer listed, never seen nor used", fact: Fact{DNS: keys.Absent}, want: Forgotten, unlisted: noon},
		{name: "no longer listed for less than the queue time", fact: Fact{DNS: keys.Found, FirstSeen: ago, Unlisted: ago.Add(1)}, want: Retiring, unlisted: ago.Add(1)},
		{name: "no longer listed for the queue time", fact: Fact{DNS: keys.Found, FirstSeen: ago, Unlisted: ago}, want: Retired, unlisted: ago},
		{name: "no longer listed for the queue time, but listed under another name", fact: Fact{DNS: keys.Found, FirstSeen: ago, Unlisted: ago}, role: role{elsewhere: true}, want: Retiring, unlisted: ago},
		{name: "no longer listed for the queue time, needed under another name since", fact: Fact{DNS: keys.Found, FirstSeen: ago, Unlisted: ago}, role: role{lastElsewhere: ago.Add(1)}, want: Retiring, unlisted: ago},
		{name: "no longer listed for the queue time under any name", fact: Fact{DNS: keys.Found, FirstSeen: ago, Unlisted: ago}, role: role{lastElsewhere: ago}, want: Retired, unlisted: ago},
		{name: "no longer listed, but standing in for its successor", fact: Fact{DNS: keys.Found, FirstSeen: ago, Unlisted: ago}, role: role{signs: true}, want: Retiring, unlisted: noon},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.fact.advanced(c.role, noon, queue)
			if got.State != c.want || !got.Unlisted.Equal(c.unlisted) {
				t.Errorf("state %q, last needed %v; want %q, %v", got.State, got.Unlisted, c.want, c.unlisted)
			}
		})
	}
}

func TestAFactRemembersWhenDNSHadTheKey(t *testing.T) {
	f := Fact{}.observed([]keys.Answer{keys.Found, keys.NoAnswer}, "gets no answer", noon)
	if !f.FirstSeen.IsZero() || !f.LastSeen.Equal(noon) || !f.Asked.Equal(noon) || f.DNS != keys.NoAnswer {
		t.Errorf("after one of two servers: %+v", f)
	}
	f = f.observed([]keys.Answer{keys.Found, keys.Found}, "", noon.Add(time.Minute))
	f = f.observed([]keys.Answer{keys.NoAnswer, keys.NoAnswer}, "gets no answer", noon.Add(time.Hour))
	if !f.FirstSeen.Equal(noon.Add(time.Minute)) || !f.LastSeen.Equal(noon.Add(time.Minute)) || !f.Asked.Equal(noon.Add(time.Minute)) || f.DNS != keys.Found {
		t.Errorf("after both, and an outage: %+v", f)
	}
}

// slotOf reads the keys of one domain and algorithm: each word is NAME:MARKS. A key
// is listed unless it is gone.
func slotOf(text string) []*candidate {
	var slot []*candidate
	for i, word := range strings.Fields(text) {
		name, marks, _ := strings.Cut(word, ":")
		c := &candidate{listed: true, key: &keys.Key{Selector: name}, fact: Fact{Domain: "example.com", Selector: name, Algorithm: keys.RSA, State: Active}}
		for _, mark := range strings.Split(marks, ",") {
			switch mark {
			case "gone": // from the configuration; those further right later
				c.listed, c.fact.State = false, Retiring
				c.fact.Unlisted = noon.Add(time.Duration(i-100) * time.Minute)
			case "justgone":
				c.listed = false
			case "found":
				c.fact.DNS, c.fact.FirstSeen = keys.Found, noon
			case "absent":
				c.fact.DNS = keys.Absent
			case "missing":
				c.fact.DNS, c.fact.FirstSeen = keys.Absent, noon
			case "differs":
				c.fact.DNS, c.fact.Detail = keys.Differs, "has another key"
			case "later":
				c.activeFrom = noon.Add(time.Hour)
			case "now":
				c.activeFrom = noon
			case "before":
				c.activeFrom = noon.Add(-time.Hour)
			case "nofile":
				c.key = nil
			case "retired":
				c.fact.State = Retired
			}
		}
		slot = append(slot, c)
	}
	return slot
}

func TestWhoSigns(t *testing.T) {
	for _, c := range []struct{ name, slot, want, why string }{
		{"every listed key that is published", "a:found b:found", "a b", ""},
		{"a new key waits for DNS, the one it replaces goes on", "b:absent a:justgone,found", "a",
			"b does not sign yet: DNS has no key at b._domainkey.example.com; publish what signpost keys record example.com b prints; until then a goes on signing"},
		{"nothing is known of the new key", "b a:gone,found", "a", "b does not sign yet: not every DNS server has shown b._domainkey.example.com"},
		{"the new key is published wrongly", "b:differs a:gone,found", "a", "b does not sign: in DNS, b._domainkey.example.com has another key"},
		{"the new key is published", "b:found a:gone,found", "b", ""},
		{"beside a published key nothing stands in", "b:absent c:found a:gone,found", "c", "b does not sign yet"},
		{"of several former keys the last", "d:absent a:gone,found b:gone,found c:gone,absent", "b", ""},
		{"a key that has just left comes before one that left earlier", "d:absent a:gone,found b:justgone,found c:gone,found", "b", ""},
		{"a former key whose file is gone cannot stand in", "b:absent a:gone,found,nofile", "", "b does not sign yet"},
		{"a retired key does not stand in", "b:absent a:gone,found,retired", "", "b does not sign yet"},
		{"a key that vanished stops signing", "a:missing", "", "a no longer signs: its record a._domainkey.example.com is gone from DNS"},
		{"a key that vanished, and its predecessor is still there", "b:missing a:gone,found", "a", "b no longer signs"},
		{"where nothing was ever known all sign", "a b", "a b", ""},
		{"where nothing is known of one, and the other is absent", "a b:absent", "a", "b does not sign yet"},
		{"where nothing is known of one, and the other is published", "a b:found", "b", "a does not sign yet"},
		{"before active_from the former key signs", "a:found b:found,later", "a", "b signs from 2026-11-21T13:00:00Z on (active_from)"},
		{"from active_from on the new one signs in its place", "a:found b:found,now", "b", ""},
		{"of several with active_from the latest", "a:found,before b:found,now c:found", "b", ""},
		{"at active_from the new key is not published", "a:found b:absent,now", "a", "b does not sign yet"},
		{"before active_from the key that it alone replaces stands in", "b:found,later a:gone,found", "a", "until then a goes on signing"},
		{"before active_from no key signs", "b:found,later", "", "b signs from"},
		{"no keys", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := signingSet(slotOf(c.slot), true, noon, nil)
			var got []string
			for _, k := range d.Keys {
				got = append(got, k.Selector)
			}
			if strings.Join(got, " ") != c.want || !strings.Contains(d.Why, c.why) || (c.why == "" && c.want == "" && d.Why != "") {
				t.Errorf("%q sign, because %q; want %q, because %q", got, d.Why, c.want, c.why)
			}
		})
	}
}

func TestAPlannedChangeIsToldFromAProblem(t *testing.T) {
	for slot, want := range map[string]bool{
		"a:found b:found,later":  true,
		"a:found b:absent,later": true,
		"a:found b:absent":       false,
		"b:absent c:found,later": false,
		"a:found":                false,
	} {
		if got := signingSet(slotOf(slot), true, noon, nil).Planned; got != want {
			t.Errorf("%s: %v", slot, got)
		}
	}
}

func TestWhoSignsWhereNothingIsRequired(t *testing.T) {
	for _, c := range []struct{ name, slot, want string }{
		{"every listed key, whatever DNS has", "a b:absent c:differs", "a b c"},
		{"active_from is kept to all the same", "a b:later", "a"},
		{"and ends the other's turn", "a b:now", "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, k := range signingSet(slotOf(c.slot), false, noon, nil).Keys {
				got = append(got, k.Selector)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%q sign, want %q", got, c.want)
			}
		})
	}
}

func TestEachAlgorithmHasItsOwnTurn(t *testing.T) {
	for _, c := range []struct{ name, keys, want string }{
		{"one waits, the other signs", "rsa2:absent ed1:found rsa1:gone,found", "ed1 rsa1"},
		{"both wait", "rsa2:absent ed2:absent rsa1:gone,found ed1:gone,found", "rsa1 ed1"},
		{"one is given up", "rsa2:found rsa1:gone,found ed1:gone,found", "rsa2"},
		{"one is given up while the other waits", "rsa2:absent rsa1:gone,found ed1:gone,found", "rsa1"},
		{"a domain that is given up", "rsa1:gone,found ed1:justgone,found", ""},
		{"another algorithm rather than none", "ed1:absent rsa1:gone,found", "rsa1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := slotOf(c.keys)
			for _, k := range all {
				if strings.HasPrefix(k.fact.Selector, "ed") {
					k.fact.Algorithm = keys.Ed25519
				}
			}
			var got []string
			for _, k := range signingSet(all, true, noon, nil).Keys {
				got = append(got, k.Selector)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%q sign, want %q", got, c.want)
			}
		})
	}
}
