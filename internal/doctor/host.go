package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"signpost/internal/daemon"
	"signpost/internal/dns"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

// Host is what the checks may ask: our configuration, DNS, the clock, and what they find. Its
// methods may be used concurrently.
type Host struct {
	Options
	// Config is the configuration with the entries of its tables, read from ConfigPath; "" if there
	// is no file.
	Config     daemon.Config
	ConfigPath string
	// DNS is the configured resolver, or the zone file.
	DNS dns.Source
	// Domains are the signing domains that are looked at, in A-labels, sorted.
	Domains []string
	// Keys are all keys that the configuration lists, that have a file, or that the daemon knows.
	Keys []lifecycle.Status
	// Now is when the checks began.
	Now time.Time

	mu     sync.Mutex
	report Report
	silent []Unseen // what DNS did not answer
	kinds  map[string]kind
	views  *views
	names  sync.Map // the addresses of the hosts in the MTA's configuration, by name

	mtaOnce, addressOnce sync.Once
	mta                  *theMTA
	from                 []address
}

// newHost reads what all checks need. The error says that nothing can be looked at.
func newHost(o Options) (*Host, error) {
	h := emptyHost(o)
	var err error
	if h.Config, h.ConfigPath, err = daemon.ReadWhole(o.Config); err != nil {
		return nil, err
	}
	if h.ConfigPath != "" { // commands may be run elsewhere
		if path, err := filepath.Abs(h.ConfigPath); err == nil {
			h.ConfigPath = path
		}
	}
	if o.Zone != "" {
		h.Config.DNS.ZoneFile = o.Zone
	}
	if h.DNS, err = dns.Open(h.Config.DNS); err != nil {
		return nil, err
	}
	h.views = newViews(h.DNS, h.Config.DNS.ZoneFile, o.authorityPort)
	h.readKeys()
	h.readDomains()
	return h, nil
}

// emptyHost is one of which nothing has been read.
func emptyHost(o Options) *Host {
	h := &Host{Options: o, Now: o.now(), kinds: map[string]kind{}, report: Report{Findings: []Finding{}, Unseen: []Unseen{}}}
	for _, k := range kinds() {
		h.kinds[k.id] = k
	}
	return h
}

// readKeys joins the keys that are listed, that have a file, and that the daemon has written about.
func (h *Host) readKeys() {
	files, err := h.Config.Keys.Files()
	if err != nil {
		h.unseen("the key folder "+h.Config.Keys.Dir, err.Error())
	}
	h.Keys, err = lifecycle.Inventory(h.Config.Keys, h.Config.Signer.Listed(files), files)
	if err != nil {
		h.unseen("what the daemon knows of the keys", err.Error())
	}
}

// readDomains chooses the signing domains to look at.
func (h *Host) readDomains() {
	var all []string
	for _, k := range h.Keys {
		if k.Listed && k.Ref.Domain != keys.AnyDomain {
			all = append(all, k.Ref.Domain)
		}
	}
	for _, e := range h.Config.Signer.Domains { // with sdid they have no key of their own
		if author := authorOf(e.Domain); author != "" && !strings.Contains(e.Domain, "*") {
			all = append(all, author)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	h.Domains = all
	if !h.All && len(all) > DomainLimit {
		h.Domains = all[:DomainLimit]
	}
	h.Limit *= time.Duration(max(1, (len(h.Domains)+DomainLimit-1)/DomainLimit))
	h.report.Domains, h.report.DomainsLeft = len(h.Domains), len(all)-len(h.Domains)
}

// looksAt reports whether a domain is among those that are looked at.
func (h *Host) looksAt(domain string) bool {
	_, found := slices.BinarySearch(h.Domains, domain)
	return found
}

// find notes a finding. Its id is one of the table kinds.
func (h *Host) find(id, subject, finding string, remedy Remedy) {
	h.add(Finding{ID: id, Subject: subject, Finding: finding, Remedy: remedy})
}

// add notes a finding, with what it leaves empty taken from its kind.
func (h *Host) add(f Finding) {
	k, ok := h.kinds[f.ID]
	if !ok {
		panic("doctor: no kind " + f.ID)
	}
	if f.Severity == "" {
		f.Severity = k.severity
	}
	if f.Consequence == "" {
		f.Consequence = k.consequence
	}
	if f.Reference == "" {
		f.Reference = k.reference
	}
	f.Subject, f.Finding, f.Consequence = oneLine(f.Subject), oneLine(f.Finding), oneLine(f.Consequence)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.report.Findings = append(h.report.Findings, f)
}

// unseen notes that something could not be looked at. The exit code says so.
func (h *Host) unseen(what, reason string) { h.note(Unseen{What: what, Reason: reason}) }

// undecided notes that DNS did not answer about something. Of many, the first ones are named.
func (h *Host) undecided(what, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.silent = append(h.silent, Unseen{What: oneLine(what), Reason: oneLine(reason)})
}

// noteSilence adds what DNS did not answer to the report.
func (h *Host) noteSilence() {
	const shown = 3
	for i, u := range h.silent {
		if i == shown {
			u = Unseen{What: "DNS", Reason: fmt.Sprintf("%d more look-ups had no answer", len(h.silent)-shown)}
		}
		if i <= shown {
			h.report.Unseen = append(h.report.Unseen, u)
		}
	}
}

// absent notes that there is nothing to look at, which is no fault.
func (h *Host) absent(what, reason string) {
	h.note(Unseen{What: what, Reason: reason, Expected: true})
}

func (h *Host) note(u Unseen) {
	u.What, u.Reason = oneLine(u.What), oneLine(u.Reason)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.report.Unseen = append(h.report.Unseen, u)
}

// oneLine makes a text that may contain foreign parts safe for a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// each calls look for every item, several at the same time, until ctx ends. what names the
// items for the note about those that were left out.
func each[T any](ctx context.Context, h *Host, what string, items []T, look func(context.Context, T)) {
	const atOnce = 24
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, item := range items {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			h.unseen(what, fmt.Sprintf("the time of %s was up before %d of %d: give more with --timeout", h.Limit, len(items)-i, len(items)))
			return
		}
		wg.Go(func() {
			defer func() { <-slots }()
			look(ctx, item)
		})
	}
}

// root reports whether this process may read everything.
func root() bool { return os.Geteuid() == 0 }

// Run looks at the host. The error says that nothing could be looked at, and what to do.
func Run(ctx context.Context, o Options) (Report, error) {
	h, err := newHost(o)
	if err != nil {
		return whileItRuns(ctx, o, err)
	}
	ctx, cancel := context.WithTimeout(ctx, h.Limit)
	defer cancel()
	h.runAll(ctx, checks())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noteSilence()
	h.report.sort()
	return h.report, nil
}

// grace is how long after its deadline a check may take to return.
const grace = time.Second

// runAll runs the checks at the same time, and returns when all have ended or ctx has.
func (h *Host) runAll(ctx context.Context, all []check) {
	ended := make(chan int, len(all))
	for i, c := range all {
		go func() {
			c.look(ctx, h)
			ended <- i
		}()
	}
	late := time.NewTimer(h.Limit + grace)
	defer late.Stop()
	open := map[int]bool{}
	for i := range all {
		open[i] = true
	}
	for len(open) > 0 {
		select {
		case i := <-ended:
			delete(open, i)
			if h.Progress != nil {
				h.Progress(len(all)-len(open), len(all))
			}
		case <-late.C:
			for i := range open {
				h.unseen(all[i].name, fmt.Sprintf("it took longer than %s: give more time with --timeout", h.Limit))
			}
			return
		}
	}
}
