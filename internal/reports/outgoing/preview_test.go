package outgoing

import (
	"strings"
	"testing"

	"signpost/internal/reports/store/storetest"
)

func (w *world) preview(domain string) Preview {
	w.t.Helper()
	p, err := NewPreview(w.t.Context(), w.db, w.config(), w.services().Directory(), "Signpost", domain, theDay, w.clock())
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func TestAPreviewIsWhatIsSent(t *testing.T) {
	each(t, func(w *world) {
		w.zone["_dmarc.blue.example"] = []string{"v=DMARC1; p=reject; rua=mailto:a@blue.example,mailto:x@red.example"}
		w.count(row{domain: "blue.example", from: "sub.blue.example", count: 3, flaws: "pct=5"})
		w.count(row{domain: "blue.example", source: "192.0.2.2", optional: true})
		before := w.preview("sub.blue.example")
		if before.Domain != "blue.example" || before.Reason != "" || len(before.Reports) != 1 || before.Reports[0].State != "" || before.Reports[0].Optional != 1 ||
			!before.Begins.Equal(dayEnd(theDay).Add(delay("receiver.example", theDay))) || before.Reports[0].Record != "v=DMARC1; p=reject" {
			w.t.Fatalf("%+v", before)
		}
		if d := before.Consent.Destinations; len(d) != 2 || !d[0].Open() || d[1].Open() {
			w.t.Errorf("%+v", d)
		}
		s := w.sender()
		w.step(s)
		after := w.preview("blue.example")
		got := w.mta.taken()
		if len(got) != 1 || after.Reports[0].State != "sent" || len(after.Reports[0].Deliveries) != 1 || after.Reports[0].Deliveries[0].Address != "a@blue.example" {
			w.t.Fatalf("%+v; %d mails", after, len(got))
		}
		for _, p := range []Preview{before, after} {
			x, err := p.Reports[0].XML()
			if err != nil || string(x) != got[0].xml(w.t) || !strings.Contains(got[0].text, p.Reports[0].FileName) || p.Reports[0].Messages != 4 || p.Reports[0].Records != 2 {
				w.t.Errorf("%v\n%s\n%s", err, x, got[0].xml(w.t))
			}
		}
		bounce(w, s, got[0].from, postfixBounce)
		if p := w.preview("blue.example"); len(p.Pauses) != 1 || !strings.Contains(p.Reason, "came back") {
			w.t.Errorf("%+v", p)
		}
	})
}

func TestAPreviewSaysWhyNothingIsSent(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.publish("optional.example", "refused.example", "nowhere.example")
	w.count(row{domain: "optional.example", optional: true})
	w.count(row{domain: "refused.example", result: "fail", disposition: "reject"})
	w.count(row{domain: "silent.example", rua: "none"})
	w.count(row{domain: "gone.example"})
	w.count(row{domain: "dark.example"})
	w.zone["_dmarc.dark.example"] = []string{"SERVFAIL"}
	w.count(row{domain: "red.example"})
	w.zone["_dmarc.red.example"] = []string{"v=DMARC1; p=none; rua=https://red.example/"}
	w.count(row{domain: "folded.example", folded: true})
	w.publish("folded.example")
	w.count(row{domain: "strange.example", source: "?"})
	w.publish("strange.example")
	for domain, why := range map[string]string{
		"unknown.example": "no mail was counted", "optional.example": "all of its mail was reports", "refused.example": "none was ever accepted",
		"silent.example": "did not ask for reports", "gone.example": "any more", "dark.example": "does not answer", "red.example": "no destination",
		"folded.example": "too many sources", "strange.example": "no source address",
	} {
		if p := w.preview(domain); !strings.Contains(p.Reason, why) {
			t.Errorf("%s: %q, want %q", domain, p.Reason, why)
		}
	}
	off, err := NewPreview(t.Context(), w.db, Defaults(), w.services().Directory(), "Signpost", "gone.example", theDay, w.clock())
	if err != nil || !strings.Contains(off.Reason, "reports.out is off") {
		t.Errorf("%+v, %v", off, err)
	}
}
