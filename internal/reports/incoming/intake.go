package incoming

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/publicsuffix"

	"signpost/internal/dkim"
	"signpost/internal/message"
	"signpost/internal/reports/refusal"
	"signpost/internal/reports/unpack"
)

const (
	// maxMail is the size of a mail that is read as it passes, and maxHeld of all that are
	// in memory. A report of tens of thousands of records has one or two megabytes.
	maxMail = 16 << 20
	maxHeld = 64 << 20
	// maxWaiting is how many mails wait for the workers.
	maxWaiting = 64
	workers    = 2
	// readTime limits the reading and storing of one mail, lastTime that of all mail after the end of the workers'
	// context, and discardTime how long a mail waits for it with after: discard.
	readTime    = 2 * time.Minute
	lastTime    = 5 * time.Second
	discardTime = 20 * time.Second
)

// An Intake reads reports in mail as it passes. Mail waits for it only where it is to go no
// further; where the intake is busy, mail passes unread, and is counted.
type Intake struct {
	addresses map[string]bool
	after     After
	keeper    *Keeper
	keys      dkim.Resolver
	told      func(Mail, []Result)
	ended     func() bool
	patience  time.Duration // discardTime

	held  atomic.Int64 // octets in memory
	queue chan *job
	done  sync.WaitGroup
}

// Mail says where reports came from, for the log.
type Mail struct {
	QueueID string
	Author  string // domain of From
}

// NewIntake starts the workers. They end with ctx, when they have read what waits, or lastTime later. told is called for
// each mail that was read, by several goroutines at once.
func NewIntake(ctx context.Context, c Config, k *Keeper, keys dkim.Resolver, told func(Mail, []Result)) *Intake {
	i := &Intake{
		addresses: map[string]bool{}, after: c.After, keeper: k, keys: keys, told: told, patience: discardTime,
		ended: func() bool { return ctx.Err() != nil },
		queue: make(chan *job, maxWaiting),
	}
	for _, a := range c.Addresses {
		if address, ok := Address(a); ok {
			i.addresses[address] = true
		}
	}
	for range workers {
		i.done.Go(func() { i.work(ctx) })
	}
	return i
}

// Wait returns when the workers have ended.
func (i *Intake) Wait() { i.done.Wait() }

// Ours returns those of the recipients that are addresses for reports.
func (i *Intake) Ours(recipients []string) []string {
	var ours []string
	for _, r := range recipients {
		if a, ok := Address(r); ok && i.addresses[a] {
			ours = append(ours, r)
		}
	}
	return ours
}

// Begin starts a copy of a mail, nil if there is no room for it. Its end is Pass, or the end of ctx: mail may be
// given up at any step.
func (i *Intake) Begin(ctx context.Context, env message.Envelope, h message.Header) *Copy {
	c := &Copy{intake: i, mail: ctx, header: h, queueID: env.QueueID}
	for _, f := range h {
		c.size += len(f.Name) + len(f.Value) + len(":\r\n")
	}
	if !c.grow(c.size) {
		return nil
	}
	c.keep = context.AfterFunc(ctx, c.Cut)
	return c
}

// A Copy is the copy of one mail.
type Copy struct {
	intake  *Intake
	header  message.Header
	queueID string
	mail    context.Context
	keep    func() bool // stops the end of the context from freeing the copy
	size    int

	mu   sync.Mutex
	body []byte
	held int64
	lost bool // not all of it is here
}

// grow takes n more octets of the memory.
func (c *Copy) grow(n int) bool {
	total := c.intake.held.Add(int64(n))
	c.held += int64(n)
	if total > maxHeld || c.held > maxMail {
		c.lose()
		return false
	}
	return true
}

// lose gives the copy up. The mail goes on.
func (c *Copy) lose() {
	c.lost = true
	c.free()
}

func (c *Copy) free() {
	c.intake.held.Add(-c.held)
	c.held, c.body, c.header = 0, nil, nil
}

// Write adds a piece of the body, and tells whether more is wanted.
func (c *Copy) Write(chunk []byte) (more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost || !c.grow(len(chunk)) {
		return false
	}
	c.body = append(c.body, chunk...)
	return true
}

// Cut says that the rest of the body does not come.
func (c *Copy) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose()
}

// A job is a mail for the workers.
type job struct {
	copy   *Copy
	author string // domain of From, "" if it is not certain
	passed bool   // DMARC
	signed bool   // an aligned signature is valid
	stored chan bool
}

// Pass hands the mail to the workers, after its checks had the outcome o. stored says that all its reports are stored, so
// that the mail may go no further. Only with after: discard, Pass waits for that: at most discardTime, and not beyond the
// end of Begin's ctx. missed says that the mail passes unread, because it is too big or the intake is busy.
func (c *Copy) Pass(o *message.Outcome) (stored, missed bool) {
	if whole := c.keep() && !c.lost; !whole || o.Disposition != message.Accept {
		c.Cut()
		return false, !whole
	}
	if c.intake.ended() { // the configuration was replaced meanwhile
		c.Cut()
		return false, true
	}
	j := &job{copy: c, stored: make(chan bool, 1)}
	if o.Author != nil && o.Author.Certain() && len(o.Author.Domains) == 1 {
		j.author = o.Author.Domains[0]
	}
	j.passed = hasResult(o.Results, "dmarc", func(message.Result) bool { return true })
	j.signed = hasResult(o.Results, "dkim", func(r message.Result) bool { return aligned(r.Domain, j.author) })
	select {
	case c.intake.queue <- j:
	default:
		c.Cut()
		return false, true
	}
	if c.intake.after != Discard {
		return false, false
	}
	limit := time.NewTimer(c.intake.patience)
	defer limit.Stop()
	select {
	case stored = <-j.stored:
	case <-limit.C:
	case <-c.mail.Done(): // milter.message_timeout is over, or the MTA is gone
	}
	return stored, false
}

func hasResult(list []message.Result, method string, fits func(message.Result) bool) bool {
	return slices.ContainsFunc(list, func(r message.Result) bool { return r.Method == method && r.Value == "pass" && fits(r) })
}

// aligned tells whether two names have one organizational domain, by the public suffix list.
func aligned(a, b string) bool {
	if a == b {
		return a != ""
	}
	orgA, errA := publicsuffix.EffectiveTLDPlusOne(a)
	orgB, errB := publicsuffix.EffectiveTLDPlusOne(b)
	return errA == nil && errB == nil && orgA == orgB
}

func (i *Intake) work(ctx context.Context) {
	patient, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastTime, cancel) })()
	for {
		select {
		case j := <-i.queue:
			i.handle(patient, j)
			continue
		default:
		}
		select {
		case j := <-i.queue:
			i.handle(patient, j)
		case <-ctx.Done():
			return
		}
	}
}

func (i *Intake) handle(ctx context.Context, j *job) {
	results := i.read(ctx, j)
	j.stored <- i.after == Discard && allStored(results) && i.keeper.DB.Sync(ctx) == nil
	i.told(Mail{j.copy.queueID, j.author}, results)
	j.copy.free()
}

// read reads one mail. A panic costs its reports, not the daemon.
func (i *Intake) read(ctx context.Context, j *job) (results []Result) {
	defer func() {
		if cause := recover(); cause != nil {
			results = []Result{{Refused: refusal.Malformed.With("panic: %v", cause)}}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	return i.keeper.Read(ctx, j.copy.text(), func(kind unpack.Kind) *refusal.Error { return i.refuses(ctx, j, kind) })
}

// refuses says why a report of this kind is not taken from the mail. Aggregate reports need mail that passes DMARC
// (RFC 9990 §3.5.2), those on TLS a signature of the reporter (RFC 8460 §3), also by a key for TLS reports alone.
func (i *Intake) refuses(ctx context.Context, j *job, kind unpack.Kind) *refusal.Error {
	switch {
	case kind == unpack.Aggregate && !j.passed:
		return refusal.NotAuthenticated.With("From %.100q", j.author)
	case kind == unpack.TLS && !j.signed && !i.signedForTLS(ctx, j):
		return refusal.NotSigned.With("From %.100q", j.author)
	}
	return nil
}

// signedForTLS verifies the signatures once more, with keys for TLS reports.
func (i *Intake) signedForTLS(ctx context.Context, j *job) bool {
	if j.author == "" || i.keys == nil {
		return false
	}
	v := dkim.NewVerification(j.copy.header, dkim.Options{Now: i.keeper.Now(), AuthorDomains: []string{j.author}, Service: "tlsrpt"})
	for k := range v.Keys() {
		v.LookupKey(ctx, k, i.keys)
	}
	v.Write(j.copy.body)
	return slices.ContainsFunc(v.Finish(), func(o dkim.Outcome) bool {
		return o.Result == dkim.Pass && o.Length < 0 && aligned(o.Domain, j.author) // RFC 8460 §3: no l=
	})
}

// text is the mail as it would stand in a file.
func (c *Copy) text() []byte {
	text := make([]byte, 0, c.size+len("\r\n")+len(c.body))
	for _, f := range c.header {
		text = append(text, f.Name...)
		text = append(text, ':')
		text = append(text, f.Value...)
		text = append(text, "\r\n"...)
	}
	text = append(text, "\r\n"...)
	return append(text, c.body...)
}

// allStored tells whether the mail has nothing but reports that are stored.
func allStored(results []Result) bool {
	return !slices.ContainsFunc(results, func(r Result) bool { return r.Refused != nil && !r.Same })
}
