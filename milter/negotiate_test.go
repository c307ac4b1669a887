package milter

import (
	"encoding/binary"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"
)

// Each agreed flag was offered.
func TestNegotiation(t *testing.T) {
	for _, c := range []struct {
		name                      string
		version, actions, steps   uint32
		wantVersion, does, forgot uint32
	}{
		{"Postfix 3 and Sendmail 8.17", 6, 0x1ff, 0x1fffff, 6, 0x139, 0},
		{"a version of the future", 7, 0xffffffff, 0xffffffff, 6, 0x139, 0},
		{"version 4 without the new flags", 4, 0x3f, 0x3ff, 4, 0x39, 0},
		{"version 2", 2, 0x3f, 0x7f, 2, 0x39, 0},
		{"no deleting, no holding", 2, 0x01, 0, 2, 0x01, 2},
		{"no holding", 6, 0x11, 0, 6, 0x11, 1},
	} {
		a, err := negotiate([]byte(offer(c.version, c.actions, c.steps)), true)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if a.version != c.wantVersion || uint32(a.actions) != c.does {
			t.Errorf("%s: version %d actions %#x", c.name, a.version, a.actions)
		}
		if uint32(a.steps)&^c.steps != 0 || uint32(a.actions)&^c.actions != 0 {
			t.Errorf("%s: more than was offered: %+v", c.name, a)
		}
		if words := len(strings.Split(a.missing(), ", ")); a.missing() != "" && words != int(c.forgot) || (a.missing() == "") != (c.forgot == 0) {
			t.Errorf("%s: missing %q", c.name, a.missing())
		}
		out := a.appendTo(nil)
		if int(binary.BigEndian.Uint32(out)) != len(out)-4 || out[4] != 'O' || len(out) < 17 {
			t.Errorf("%s: packet %q", c.name, out)
		}
		if binary.BigEndian.Uint32(out[5:]) != a.version || binary.BigEndian.Uint32(out[9:]) != uint32(a.actions) || binary.BigEndian.Uint32(out[13:]) != uint32(a.steps) {
			t.Errorf("%s: packet %q", c.name, out)
		}
	}
}

// We must not ask to omit steps that we need, nor for rejected recipients.
func TestNoNeededStepIsTurnedOff(t *testing.T) {
	a, err := negotiate([]byte(offer(6, allActions, 0xffffffff)), true)
	if err != nil {
		t.Fatal(err)
	}
	for name, flag := range map[string]gomilter.OptProtocol{
		"connect": gomilter.OptNoConnect, "HELO": gomilter.OptNoHelo, "MAIL": gomilter.OptNoMailFrom, "RCPT": gomilter.OptNoRcptTo,
		"header": gomilter.OptNoHeaders, "end of header": gomilter.OptNoEOH, "body": gomilter.OptNoBody,
		"the answer to MAIL": gomilter.OptNoMailReply, "only accepted recipients": gomilter.OptRcptRej,
	} {
		if a.has(flag) {
			t.Errorf("%s is turned off", name)
		}
	}
	if !a.has(gomilter.OptHeaderLeadingSpace) {
		t.Error("the leading blank is not asked for")
	}
	if a.has(gomilter.OptSkip) {
		t.Error("SKIP is asked for though pieces of the body get no answer")
	}
	// Where nothing is judged, no look-up is to begin at MAIL.
	signs, err := negotiate([]byte(offer(6, allActions, 0xffffffff)), false)
	if a.steps |= gomilter.OptNoMailReply; err != nil || signs != a {
		t.Errorf("a listener that only signs agrees to %+v, want %+v: %v", signs, a, err)
	}
}

// Every stage is named: Postfix drops its own lists otherwise, and Sendmail needs the
// one of end of header to see that of end of message.
func TestTheListsOfMacros(t *testing.T) {
	a, _ := negotiate([]byte(offer(6, allActions, allSteps)), true)
	out := a.appendTo(nil)[17:]
	lists := map[uint32]string{}
	for len(out) > 0 {
		list, rest, ok := strings.Cut(string(out[4:]), "\x00")
		if !ok {
			t.Fatalf("list %q", out)
		}
		lists[binary.BigEndian.Uint32(out)] = list
		out = []byte(rest)
	}
	if len(lists) != 7 {
		t.Errorf("%d lists: %v", len(lists), lists)
	}
	for stage, words := range map[gomilter.Stage][]string{
		gomilter.StageConnect: {"j", "{daemon_name}"}, gomilter.StageMailFrom: {"{auth_type}", "{auth_authen}"}, gomilter.StageEOM: {"i"},
	} {
		for _, w := range words {
			if !strings.Contains(" "+lists[uint32(stage)]+" ", " "+w+" ") {
				t.Errorf("stage %d: no %s in %q", stage, w, lists[uint32(stage)])
			}
		}
	}
	a, _ = negotiate([]byte(offer(6, 0xff, allSteps)), true)
	if out := a.appendTo(nil); len(out) != 17 {
		t.Errorf("lists though the MTA takes none: %q", out)
	}
}

func FuzzNegotiate(f *testing.F) {
	f.Add([]byte(offer(6, allActions, allSteps)))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := negotiate(data, true)
		if err != nil {
			return
		}
		if a.version < oldestVersion || a.version > newestVersion ||
			uint32(a.actions)&^binary.BigEndian.Uint32(data[4:]) != 0 || uint32(a.steps)&^binary.BigEndian.Uint32(data[8:]) != 0 {
			t.Fatalf("%x gave %+v", data, a)
		}
	})
}
