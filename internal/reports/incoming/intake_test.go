package incoming

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"signpost/internal/dkim"
	"signpost/internal/message"
	"signpost/internal/reports/store/storetest"
)

// passing is a mail on its way through an intake.
type passing struct {
	intake *Intake
	told   chan []Result
	keys   fakeKeys
}

type fakeKeys map[string]string

func (k fakeKeys) LookupTXT(_ context.Context, name string) ([]string, error) {
	if r := k[name]; r != "" {
		return []string{r}, nil
	}
	return nil, nil
}

func startIntake(t *testing.T, after After) *passing {
	ctx, cancel := context.WithCancel(context.Background())
	p := &passing{told: make(chan []Result, 100), keys: fakeKeys{}}
	p.intake = NewIntake(ctx, Config{Addresses: []string{"DMARC@sender.example"}, After: after}, keeper(t, storetest.SQLite(t)), p.keys,
		func(_ Mail, r []Result) { p.told <- r })
	t.Cleanup(func() { cancel(); p.intake.Wait() })
	return p
}

func inMail(document string) (message.Header, string) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	io.WriteString(w, document)
	w.Close()
	return message.Header{{Name: "From", Value: " dmarc@receiver.example"}, {Name: "Content-Type", Value: " application/gzip"},
		{Name: "Content-Transfer-Encoding", Value: " base64"}}, base64.StdEncoding.EncodeToString(z.Bytes()) + "\r\n"
}

// outcome is that of mail from receiver.example with these results of DMARC and DKIM.
func outcome(dmarc, signature string) *message.Outcome {
	return &message.Outcome{Disposition: message.Accept, Author: &message.Author{Domains: []string{"receiver.example"}},
		Results: []message.Result{{Method: "dmarc", Value: dmarc, Domain: "receiver.example"}, {Method: "dkim", Value: signature, Domain: "mail.receiver.example"}}}
}

func (p *passing) pass(t *testing.T, h message.Header, body string, o *message.Outcome) (stored, missed bool) {
	t.Helper()
	c := p.intake.Begin(t.Context(), message.Envelope{QueueID: "Q"}, h)
	if c == nil {
		return false, true
	}
	for chunk := range strings.Lines(body) {
		c.Write([]byte(chunk))
	}
	return c.Pass(o)
}

func TestMailWithReportsIsRead(t *testing.T) {
	for _, c := range []struct {
		name     string
		document string
		outcome  *message.Outcome
		after    After
		reason   string // of the refusal; "" if it is stored
		stored   bool   // and may go no further
	}{
		{"passes DMARC", "aggregate", outcome("pass", "fail"), Deliver, "", false},
		{"passes DMARC, discard", "aggregate", outcome("pass", "fail"), Discard, "", true},
		{"fails DMARC", "aggregate", outcome("fail", "pass"), Deliver, "not-authenticated", false},
		{"fails DMARC, discard", "aggregate", outcome("fail", "pass"), Discard, "not-authenticated", false},
		{"a TLS report with a signature", "tls", outcome("none", "pass"), Discard, "", true},
		{"a TLS report without one", "tls", outcome("pass", "fail"), Discard, "not-signed", false},
		{"other mail, discard", "Hello", outcome("pass", "pass"), Discard, "no-report", false},
		{"about another domain, discard", "stranger", outcome("pass", "pass"), Discard, "not-ours", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startIntake(t, c.after)
			document := map[string]string{"tls": tlsReport(3)}[c.document]
			switch c.document {
			case "aggregate", "stranger":
				document = report(t, "receiver.example", "1", 3, row{"192.0.2.1", 7, "pass", "fail", "", ""})
			}
			if c.document == "stranger" {
				document = strings.ReplaceAll(document, "sender.example", "stranger.example")
			}
			h, body := inMail(document)
			if stored, missed := p.pass(t, h, body, c.outcome); stored != c.stored || missed {
				t.Errorf("stored %v, missed %v", stored, missed)
			}
			r := <-p.told
			if len(r) != 1 || (r[0].Refused == nil) != (c.reason == "") || r[0].Refused != nil && r[0].Refused.ID != c.reason {
				t.Errorf("%+v", r)
			}
			if c.stored { // a report that comes again goes no further either
				if stored, _ := p.pass(t, h, body, c.outcome); !stored {
					t.Error("a duplicate is delivered")
				}
			}
		})
	}
}

func TestMailThatIsNotAcceptedIsNotRead(t *testing.T) {
	p := startIntake(t, Discard)
	h, body := inMail(report(t, "receiver.example", "1", 3, row{"192.0.2.1", 7, "pass", "fail", "", ""}))
	o := outcome("pass", "pass")
	o.Disposition = message.Reject
	if stored, missed := p.pass(t, h, body, o); stored || missed || len(p.told) > 0 || p.intake.held.Load() != 0 {
		t.Errorf("stored %v, missed %v", stored, missed)
	}
}

func TestAddressesForReports(t *testing.T) {
	p := startIntake(t, Deliver)
	got := p.intake.Ours([]string{"dmarc@sender.example", "other@sender.example", "Dmarc@SENDER.example", "dmarc@other.example", "dmarc", ""})
	if strings.Join(got, " ") != "dmarc@sender.example Dmarc@SENDER.example" {
		t.Errorf("%q", got)
	}
}

// A report that has the names and times of another one is not stored, so its mail goes on: a stranger may have sent
// the other one first.
func TestAReportUnderTheNamesOfAnotherIsDelivered(t *testing.T) {
	p := startIntake(t, Discard)
	planted, genuine := row{"192.0.2.1", 7, "pass", "fail", "", ""}, row{"203.0.113.5", 7, "pass", "fail", "", ""}
	for _, c := range []struct {
		name   string
		row    row
		stored bool
	}{{"the first", planted, true}, {"another with as many messages", genuine, false}, {"the first again", planted, true}} {
		h, body := inMail(report(t, "receiver.example", "1", 3, c.row))
		if stored, missed := p.pass(t, h, body, outcome("pass", "pass")); stored != c.stored || missed {
			t.Errorf("%s: stored %v, want %v", c.name, stored, c.stored)
		}
	}
}

// What does not fit into the memory passes unread, and the memory is free again.
func TestTheCopiesHaveABound(t *testing.T) {
	p := startIntake(t, Deliver)
	h, _ := inMail("")
	chunk := make([]byte, 1<<20)
	big := p.intake.Begin(t.Context(), message.Envelope{}, h)
	for i := 0; big.Write(chunk); i++ {
		if i > maxMail>>20 {
			t.Fatal("no bound for one mail")
		}
	}
	if stored, missed := big.Pass(outcome("pass", "pass")); stored || !missed || p.intake.held.Load() != 0 {
		t.Errorf("stored %v, missed %v, %d held", stored, missed, p.intake.held.Load())
	}
	var copies []*Copy
	for range 100 {
		c := p.intake.Begin(t.Context(), message.Envelope{}, h)
		if c == nil {
			break
		}
		for range 8 {
			c.Write(chunk)
		}
		copies = append(copies, c)
	}
	if held := p.intake.held.Load(); held > maxHeld {
		t.Errorf("%d held", held)
	}
	missed := 0
	for _, c := range copies {
		if c.lost {
			missed++
		}
		c.Cut()
	}
	if missed == 0 || p.intake.held.Load() != 0 {
		t.Errorf("%d missed, %d held", missed, p.intake.held.Load())
	}
	cut := p.intake.Begin(t.Context(), message.Envelope{}, h)
	cut.Cut()
	if _, missed := cut.Pass(outcome("pass", "pass")); !missed {
		t.Error("a mail that was cut is read")
	}
}

// Mail that is given up on its way (a client that breaks off, a limit of the milter) holds no memory.
func TestACopyEndsWithItsMail(t *testing.T) {
	p := startIntake(t, Discard)
	h, body := inMail(report(t, "receiver.example", "1", 3, row{"192.0.2.1", 7, "pass", "fail", "", ""}))
	chunk := make([]byte, 1<<20)
	for range 2 * maxHeld >> 20 {
		ctx, end := context.WithCancel(context.Background())
		c := p.intake.Begin(ctx, message.Envelope{}, h)
		if c == nil {
			t.Fatalf("no room: %d held", p.intake.held.Load())
		}
		c.Write(chunk)
		freed := make(chan bool)
		context.AfterFunc(ctx, func() {
			for p.intake.held.Load() != 0 {
				runtime.Gosched()
			}
			close(freed)
		})
		end()
		<-freed
		if c.Write(chunk) || p.intake.held.Load() != 0 {
			t.Fatal("the copy goes on after the end of its mail")
		}
	}
	ctx, end := context.WithCancel(context.Background())
	c := p.intake.Begin(ctx, message.Envelope{}, h)
	c.Write([]byte(body))
	stored, missed := c.Pass(outcome("pass", "pass"))
	end()
	if !stored || missed {
		t.Errorf("stored %v, missed %v", stored, missed)
	}
}

func TestAFullQueueLetsMailPass(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	busy, free := make(chan bool), make(chan bool)
	i := NewIntake(ctx, Config{After: Deliver}, keeper(t, storetest.SQLite(t)), nil, func(Mail, []Result) { busy <- true; <-free })
	pass := func() (missed bool) {
		_, missed = i.Begin(t.Context(), message.Envelope{}, nil).Pass(outcome("pass", "pass"))
		return missed
	}
	for range workers {
		pass()
		<-busy
	}
	for n := range maxWaiting {
		if pass() {
			t.Errorf("mail %d finds no place", n)
		}
	}
	held := i.held.Load()
	if !pass() || i.held.Load() != held {
		t.Error("there is no bound for mail that waits")
	}
	// At the end, what waits is read.
	cancel()
	close(free)
	for range maxWaiting {
		<-busy
	}
	i.Wait()
	if !pass() || i.held.Load() != 0 {
		t.Errorf("after the end: %d held", i.held.Load())
	}
}

// With after: discard, a mail waits until its time is over, and is delivered then. It never waits for 451.
func TestAMailWaitsNoLongerThanItsTime(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	busy, free := make(chan bool, workers), make(chan bool)
	i := NewIntake(ctx, Config{After: Discard}, keeper(t, storetest.SQLite(t)), nil, func(Mail, []Result) { busy <- true; <-free })
	defer func() { cancel(); i.Wait() }()
	defer close(free)
	for range workers { // all are occupied
		i.Begin(t.Context(), message.Envelope{}, nil).Pass(outcome("pass", "pass"))
		<-busy
	}
	i.patience = time.Hour
	mail, over := context.WithCancel(t.Context())
	c := i.Begin(mail, message.Envelope{}, nil)
	passed := make(chan bool)
	go func() {
		stored, _ := c.Pass(outcome("pass", "pass"))
		passed <- stored
	}()
	for len(i.queue) == 0 {
		runtime.Gosched()
	}
	over()
	if <-passed {
		t.Error("it counts as stored")
	}
}

// A key with s=tlsrpt is good for TLS reports, and for nothing else (RFC 8460 §3).
func TestATLSReportMayBeSignedByAKeyForTLSReports(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	record := "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
	for _, c := range []struct{ name, domain, record, kind, reason string }{
		{"TLS report", "receiver.example", record + "; s=tlsrpt", "tls", ""},
		{"a key for both", "receiver.example", record + "; s=email:tlsrpt", "tls", ""},
		{"another service", "receiver.example", record + "; s=other", "tls", "not-signed"},
		{"another domain", "stranger.example", record + "; s=tlsrpt", "tls", "not-signed"},
		{"aggregate report", "receiver.example", record + "; s=tlsrpt", "aggregate", "not-authenticated"},
	} {
		p := startIntake(t, Discard)
		document := tlsReport(3)
		if c.kind == "aggregate" {
			document = report(t, "receiver.example", "1", 3, row{"192.0.2.1", 7, "pass", "fail", "", ""})
		}
		h, body := inMail(document)
		s, err := dkim.NewSigning(h, []dkim.SignParams{{Domain: c.domain, Selector: "s1", Key: private, Headers: []string{"From"}}})
		if err != nil {
			t.Fatal(err)
		}
		s.Write([]byte(body))
		fields, err := s.Fields()
		if err != nil {
			t.Fatal(err)
		}
		signed := append(message.Header{{Name: fields[0].Name, Value: " " + fields[0].Value}}, h...)
		p.keys["s1._domainkey."+c.domain] = c.record
		stored, _ := p.pass(t, signed, body, outcome("fail", "permerror"))
		r := <-p.told
		if stored != (c.reason == "") || r[0].Refused != nil && r[0].Refused.ID != c.reason {
			t.Errorf("%s: stored %v, %+v", c.name, stored, r)
		}
	}
}
