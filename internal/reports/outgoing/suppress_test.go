package outgoing

import (
	"strings"
	"testing"
	"time"

	"signpost/internal/message"
	"signpost/internal/reports/store/storetest"
)

// bounce runs a delivery status for a reverse-path through the sender's watch.
func bounce(w *world, s *Sender, to, body string) {
	w.t.Helper()
	b := s.Tokens().Watch(message.Envelope{Recipients: []string{to}}, message.Header{{Name: "Content-Type", Value: ` multipart/report; report-type=delivery-status; boundary="B"`}})
	if b == nil {
		return
	}
	b.Write([]byte(crlf(body)))
	if err := s.Returned(w.t.Context(), b); err != nil {
		w.t.Fatal(err)
	}
}

// day counts mail on the day before now, sends its report, and returns the mails of this day.
func (w *world) nextDay(s *Sender) []offer {
	w.t.Helper()
	before := len(w.mta.taken())
	w.count(row{domain: "blue.example", day: w.now.Load()/86400 - 1})
	w.step(s)
	w.pass(24 * time.Hour)
	w.mta.mu.Lock()
	defer w.mta.mu.Unlock()
	return w.mta.offers[before:]
}

func TestAnAddressThatBouncesGetsNothingForAWhile(t *testing.T) {
	each(t, func(w *world) {
		w.publish("blue.example")
		s := w.sender()
		got := w.nextDay(s)
		if len(got) != 1 {
			w.t.Fatalf("%+v; %s", got, w.log.String())
		}
		bounce(w, s, got[0].from, postfixBounce)
		bounce(w, s, got[0].from, postfixBounce) // the same a second time
		paused, err := AllSuppressed(w.t.Context(), w.db, w.clock())
		if err != nil || len(paused) != 1 || paused[0].Address != "rua@blue.example" || paused[0].Bounces != 1 || !strings.Contains(paused[0].Why, "user unknown") ||
			!paused[0].Until.Equal(w.clock().Add(pauses[0])) {
			w.t.Fatalf("%+v, %v", paused, err)
		}
		if !strings.Contains(w.log.String(), "signpost report suppressed --lift rua@blue.example") {
			w.t.Error(w.log.String())
		}
		if got := w.nextDay(s); len(got) != 0 {
			w.t.Errorf("an address that bounces got %+v", got)
		}
		if !strings.HasSuffix(w.states(), "failed") || !strings.Contains(w.log.String(), "suppressed") {
			w.t.Errorf("%s; %s", w.states(), w.log.String())
		}
		w.pass(pauses[0])
		got = w.nextDay(s)
		if len(got) != 1 {
			w.t.Fatalf("after the pause: %+v", got)
		}
		bounce(w, s, got[0].from, postfixBounce)
		if paused, _ := AllSuppressed(w.t.Context(), w.db, w.clock()); len(paused) != 1 || paused[0].Bounces != 2 || !paused[0].Until.Equal(w.clock().Add(pauses[1])) {
			w.t.Errorf("%+v", paused)
		}
		if ok, err := Lift(w.t.Context(), w.db, "RUA@blue.example"); !ok || err != nil {
			w.t.Error(ok, err)
		}
		if got := w.nextDay(s); len(got) != 1 {
			w.t.Errorf("after the lift: %+v", got)
		}
		if ok, _ := Lift(w.t.Context(), w.db, "rua@blue.example"); ok {
			w.t.Error("lifted twice")
		}
	})
}

func TestAForgedBounceSilencesNobody(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.publish("blue.example")
	s := w.sender()
	blue := w.nextDay(s)[0]
	day, key, ok := s.tokens.read(blue.from)
	if !ok {
		t.Fatal(blue.from)
	}
	other := NewTokens([]byte("a guess"), "dmarc@receiver.example")
	for name, to := range map[string]string{
		"without a token": "dmarc@receiver.example",
		"a guess":         other.address(day, key),
		"another report":  s.tokens.address(day, deliveryKey("20261129unknown", "rua@blue.example")),
	} {
		bounce(w, s, to, postfixBounce)
		if paused, err := AllSuppressed(t.Context(), w.db, w.clock()); err != nil || len(paused) != 0 {
			t.Errorf("%s: %+v, %v", name, paused, err)
		}
	}
	bounce(w, s, blue.from, strings.ReplaceAll(postfixBounce, "Action: failed", "Action: delayed"))
	w.pass(tokenLife)
	bounce(w, s, blue.from, postfixBounce)
	if paused, err := AllSuppressed(t.Context(), w.db, w.clock()); err != nil || len(paused) != 0 {
		t.Errorf("a delay, or a late bounce: %+v, %v", paused, err)
	}
}

func TestABounceLongAfterThePauseIsAFirstOne(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.publish("blue.example")
	s := w.sender()
	bounce(w, s, w.nextDay(s)[0].from, postfixBounce)
	w.pass(pauses[0] + forgiven + 24*time.Hour)
	bounce(w, s, w.nextDay(s)[0].from, postfixBounce)
	if paused, err := AllSuppressed(t.Context(), w.db, w.clock()); err != nil || len(paused) != 1 || paused[0].Bounces != 1 {
		t.Errorf("%+v, %v", paused, err)
	}
}

func TestAllProcessesHaveOneSecret(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.sender(), w.sender()
		key := deliveryKey("id", "x@blue.example")
		if a.tokens.address(1, key) != b.tokens.address(1, key) {
			w.t.Error("two secrets on one database")
		}
	})
	a, b := newWorld(t, storetest.SQLite(t)).sender(), newWorld(t, storetest.SQLite(t)).sender()
	if a.tokens.address(1, [keyOctets]byte{}) == b.tokens.address(1, [keyOctets]byte{}) {
		t.Error("two databases have one secret")
	}
}

func TestOldRowsGo(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.publish("blue.example")
	s := w.sender()
	w.nextDay(s)
	counts := func() (xml, reports, deliveries int) {
		row := w.db.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM outgoing_reports WHERE xml IS NOT NULL), (SELECT count(*) FROM outgoing_reports), (SELECT count(*) FROM outgoing_deliveries)`)
		if err := row.Scan(&xml, &reports, &deliveries); err != nil {
			t.Fatal(err)
		}
		return xml, reports, deliveries
	}
	w.pass(xmlLife)
	w.step(s)
	if x, r, d := counts(); x != 0 || r != 1 || d != 1 {
		t.Errorf("after a week: %d with XML, %d reports, %d deliveries", x, r, d)
	}
	w.pass(s.Keep)
	w.step(s)
	if x, r, d := counts(); x != 0 || r != 0 || d != 0 {
		t.Errorf("after all the time to keep: %d with XML, %d reports, %d deliveries", x, r, d)
	}
}
