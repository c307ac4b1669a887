package daemon

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"signpost/keys"
	"signpost/milter"
)

type noObserver struct{ decided int }

func (o *noObserver) Decided(milter.Decided) { o.decided++ }
func (*noObserver) Refused(milter.Refusal)   {}

func TestProcessorsFollowTheLoad(t *testing.T) {
	now := time.Unix(1000, 0)
	var used time.Duration
	var set []int
	observer := &noObserver{}
	p := &processors{
		observer: observer, most: 3, used: func() time.Duration { return used },
		now: func() time.Time { return now }, set: func(n int) { set = append(set, n) }, current: 3, underLoad: new(atomic.Bool),
	}
	p.start()
	for i, step := range []struct {
		name       string
		wall, load time.Duration // of processor time in that time
		want       int
	}{
		{"it begins with one", 0, 0, 1},
		{"a window that is not over", loadWindow - 1, loadWindow, 1},
		{"one that is busy", 1, 0, 2},
		{"two that are half busy", loadWindow, loadWindow, 2},
		{"two that are busy", loadWindow, 2 * loadWindow, 3},
		{"never more than there are", loadWindow, 5 * loadWindow, 3},
		{"a load for two", loadWindow, loadWindow * 3 / 4, 2},
		{"little load", loadWindow, loadWindow / 10, 1},
		{"a long idle time", time.Hour, time.Millisecond, 1},
	} {
		now, used = now.Add(step.wall), used+step.load
		p.Decided(milter.Decided{})
		if p.current != step.want {
			t.Errorf("%s: %d processors, want %d", step.name, p.current, step.want)
		}
		if observer.decided != i+1 {
			t.Errorf("%s: the next observer saw %d messages", step.name, observer.decided)
		}
	}
	done := p.allProcessors()
	now = now.Add(time.Second)
	p.Decided(milter.Decided{})
	if p.current != 4 {
		t.Errorf("%d processors for a reload, want one more than there are", p.current)
	}
	done()
	if p.current != 1 {
		t.Errorf("%d processors after a reload, want as many as before", p.current)
	}
	done = p.hold()
	now, used = now.Add(time.Second), used+3*time.Second
	p.Decided(milter.Decided{})
	if done(); p.current != 1 {
		t.Errorf("%d processors for the collector, want as many as before", p.current)
	}
	now = now.Add(loadWindow)
	p.Decided(milter.Decided{})
	if want := "[1 2 3 2 1 4 1]"; fmt.Sprint(set) != want {
		t.Errorf("set %v, want %s: each change stops the world", set, want)
	}
}

func TestUnderLoad(t *testing.T) {
	now := time.Unix(1000, 0)
	var used time.Duration
	p := &processors{most: 1, used: func() time.Duration { return used }, now: func() time.Time { return now }, set: func(int) {}, current: 1, underLoad: new(atomic.Bool)}
	p.start()
	for _, step := range []struct {
		load time.Duration // of processor time in a window
		want bool
	}{{0, false}, {loadWindow * 2 / 5, false}, {loadWindow * 3 / 5, true}, {loadWindow, true}, {loadWindow / 5, false}} {
		now, used = now.Add(loadWindow), used+step.load
		p.Decided(milter.Decided{})
		if got := p.underLoad.Load(); got != step.want {
			t.Errorf("%v of %v: under load is %v", step.load, loadWindow, got)
		}
	}
	done := p.hold()
	now, used = now.Add(loadWindow), used+loadWindow
	p.Decided(milter.Decided{})
	done()
	if p.underLoad.Load() {
		t.Error("a reload counts as the load of messages")
	}
}

// With auto, libcrypto verifies only under load. With openssl it always does.
func TestTheLibraryVerifiesUnderLoad(t *testing.T) {
	g := &Generation{underLoad: new(atomic.Bool)}
	asked := 0
	library := func(*rsa.PublicKey, crypto.Hash, []byte, []byte) bool { asked++; return true }
	for _, c := range []struct {
		backend keys.Backend
		load    bool
		want    int
	}{{keys.BackendAuto, false, 0}, {keys.BackendAuto, true, 1}, {keys.BackendOpenSSL, false, 1}, {keys.BackendOpenSSL, true, 1}} {
		asked = 0
		g.underLoad.Store(c.load)
		if valid := g.whileUnderLoad(c.backend, library)(nil, 0, nil, nil); asked != c.want || valid != (c.want == 1) {
			t.Errorf("%s, under load %v: asked %d times, valid %v", c.backend, c.load, asked, valid)
		}
	}
	if g.whileUnderLoad(keys.BackendAuto, nil) != nil {
		t.Error("without a library there is one")
	}
}
