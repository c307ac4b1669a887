package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"signpost/internal/reports/store/storetest"
)

// refusals is what signpost report would-refuse --json says, as far as tests read it.
type refusals struct {
	Judged, Refused, Taken int64
	Domains                []struct {
		Domain                     string
		Refused, List, Unknown     int64
		Messages, Aligned, Excused int64
	}
	Excuses []struct {
		Key     string
		Entries []string
	}
}

// wouldRefuse asks the daemon's database, beside the running daemon and as its user.
func (d *daemon) wouldRefuse(t *testing.T) refusals {
	t.Helper()
	out, err := signpost(t, "report", "would-refuse", "--config", d.path("signpost.yaml"), "--json", "--since", "2d").CombinedOutput()
	var r refusals
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err != nil {
		t.Logf("%s", out)
	}
	return r
}

// counted waits until the database has so many judged messages, and no more.
func (d *daemon) counted(t *testing.T, judged int64) refusals {
	t.Helper()
	var r refusals
	if !comes(func() bool { r = d.wouldRefuse(t); return r.Judged >= judged }) || r.Judged != judged {
		t.Fatalf("%d messages are counted, want %d", r.Judged, judged)
	}
	return r
}

// What Postfix delivers in monitor mode is counted: kill -9 keeps what is in the database, and
// SIGTERM writes the rest.
func TestWouldRefuseThroughPostfix(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: strangersZone()})
	p := startPostfix(t, d.milter())
	const rcpt = "reader@" + destDomain
	send := func(who *party, l letter) {
		t.Helper()
		accepted(t, dial(t, p.mx, who).send("bounce@elsewhere.example", []string{rcpt}, l.text(t, rcpt)))
	}
	send(stranger, letter{from: "a@strict.example", signed: true})
	for range 3 {
		send(other, letter{from: "a@strict.example", signed: true, forged: true, extra: []string{"List-Id: <x.lists.example>\r\n"}})
	}
	send(other, letter{from: "b@strict.example"})
	r := d.counted(t, 5)
	if r.Refused != 4 || r.Taken != 0 || len(r.Domains) != 1 {
		t.Fatalf("%+v", r)
	}
	if s := r.Domains[0]; s.Domain != "strict.example" || s.List != 3 || s.Unknown != 1 || s.Messages != 5 || s.Aligned != 1 {
		t.Errorf("%+v", s)
	}
	d.kill(t)
	d.start(t)
	d.counted(t, 5)
	send(other, letter{from: "c@strict.example"})
	d.terminate(t)
	if r := d.wouldRefuse(t); r.Judged != 6 || r.Refused != 5 {
		t.Errorf("after SIGTERM: %+v", r)
	}
	out, err := signpost(t, "report", "would-refuse", "--config", d.path("signpost.yaml")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "strict.example") || !strings.Contains(string(out), "verifier.mode is monitor: all of it was delivered.") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Two hosts add up in one PostgreSQL. While it is away, mail is delivered, the counters wait in files,
// also over kill -9, and follow when it is back.
func TestTwoDaemonsOnOnePostgreSQL(t *testing.T) {
	want(t)
	server := storetest.NewServer(t)
	var daemons []*daemon
	var mtas []*postfix
	for range 2 {
		d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: strangersZone(), Reports: fmt.Sprintf("  database: %q\n", string(server.Address("postgres")))})
		daemons, mtas = append(daemons, d), append(mtas, startPostfix(t, d.milter()))
	}
	const rcpt = "reader@" + destDomain
	send := func(messages int) {
		t.Helper()
		for _, p := range mtas {
			for range messages {
				accepted(t, dial(t, p.mx, other).send("x@elsewhere.example", []string{rcpt}, letter{from: "a@strict.example"}.text(t, rcpt)))
			}
		}
	}
	send(3)
	daemons[0].counted(t, 6)
	if r := daemons[1].counted(t, 6); r.Refused != 6 || len(r.Domains) != 1 {
		t.Errorf("the other host says %+v", r)
	}
	server.Stop(t)
	send(2)
	for _, d := range daemons {
		until(t, "counters wait in files", func() bool { files, _ := os.ReadDir(d.path("state/reports-spool")); return len(files) > 0 })
	}
	// The last second is the one that kill -9 may cost: until then it waits in a file, too.
	spooled := func(d *daemon) int {
		files, _ := os.ReadDir(d.path("state/reports-spool"))
		return len(files)
	}
	daemons[0].terminate(t)
	daemons[0].start(t)
	before := spooled(daemons[1])
	accepted(t, dial(t, mtas[1].mx, other).send("x@elsewhere.example", []string{rcpt}, letter{from: "a@strict.example"}.text(t, rcpt)))
	until(t, "the last message waits in a file", func() bool { return spooled(daemons[1]) > before })
	daemons[1].kill(t)
	daemons[1].start(t)
	server.Start(t)
	daemons[0].counted(t, 11)
	for _, d := range daemons {
		until(t, "the files are gone", func() bool { return spooled(d) == 0 })
		d.logged(t, "reports: the database cannot be written; mail is not affected")
	}
	if r := daemons[1].counted(t, 11); r.Refused != 11 {
		t.Errorf("%+v", r)
	}
}
