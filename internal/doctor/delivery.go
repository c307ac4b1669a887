package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/mta"
)

// Limits of what is remembered of a log while it is read.
const (
	maxRemembered = 200_000 // messages; of more, the oldest are forgotten
	maxGroups     = 1_000   // kinds of refusals
	maxCounted    = 10_000  // messages of one kind
)

// lookAtDeliveries reads the MTA's log for refusals that are verdicts on authentication.
func lookAtDeliveries(ctx context.Context, h *Host) {
	if h.LogDays <= 0 {
		return
	}
	logs, err := h.logs(ctx)
	if err != nil {
		h.unseen("the MTA's log", err.Error())
		return
	}
	if len(logs) == 0 {
		h.absent("the MTA's log", "there is no /var/log/mail.log, no /var/log/maillog and no journal: give the file with --mta-log")
		return
	}
	d, connections := newDeliveries(h), &clients{private: map[netip.Addr]int{}}
	d.askDaemon(ctx)
	for i, log := range logs {
		complete, err := log.Read(ctx, h.Now.Add(-time.Duration(h.LogDays)*day), h.Now, func(l mta.LogLine) {
			d.line(l)
			connections.line(l)
		})
		switch {
		case i < len(logs)-1: // the journal, for what it adds
		case err != nil:
			h.unseen("the MTA's log", err.Error())
		case !complete:
			h.absent("the older part of "+log.Name(), fmt.Sprintf("it is larger than what is read of it (%d MiB, or what the time of %s allows)", mta.MaxLogBytes>>20, h.Limit))
		}
	}
	d.report()
	connections.report(ctx, h)
}

// logs are the logs to read, the MTA's own last.
func (h *Host) logs(ctx context.Context) ([]mta.Log, error) {
	if h.MTALog != "" {
		return []mta.Log{{Path: h.MTALog}}, nil
	}
	var paths []string
	if h.Sendmail == "" {
		if p, err := mta.ReadPostfix(ctx, cmp.Or(h.Postfix, defaultPostfix(ctx))); err == nil && p.Value("maillog_file") != "" {
			paths = append(paths, p.Value("maillog_file"))
		}
	}
	journal := mta.Program("journalctl") != "" && (isDir(h.on("/var/log/journal")) || isDir(h.on("/run/log/journal")))
	for _, path := range append(paths, h.on("/var/log/mail.log"), h.on("/var/log/maillog")) {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		}
		if err == nil {
			if f, open := os.Open(path); open == nil {
				f.Close()
			} else {
				err = open
			}
		}
		logs := []mta.Log{{Path: path}}
		if journal {
			logs = slices.Insert(logs, 0, mta.Journal("_SYSTEMD_UNIT=signpost.service"))
		}
		return logs, err
	}
	if journal {
		return []mta.Log{mta.Journal("SYSLOG_FACILITY=2", "+", "_SYSTEMD_UNIT=signpost.service")}, nil
	}
	return nil, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// deliveries is what is known while a log is read.
type deliveries struct {
	h       *Host
	handled remembered[mta.Handled]
	senders remembered[string]
	before  remembered[string] // the queue id that a message had in front of a content filter
	groups  map[group]*refusals
}

// A group is refusals that have one cause and one remedy.
type group struct {
	receiver string
	domain   string // the author's
	verdict  verdict
	signed   string // d= of our signature
	entry    string
	unsigned string
	fragile  string
	later    bool // the client is to try again: 4xx
	joined   bool // our own line about the message was found
}

// refusals are the messages of a group.
type refusals struct {
	messages map[string]bool // by queue id
	last     time.Time
	example  mta.Refusal
}

func newDeliveries(h *Host) *deliveries {
	return &deliveries{h: h, groups: map[group]*refusals{}}
}

// askDaemon asks the running daemon for the last messages, of which it knows more than its log has. Where it
// cannot be asked, the log has to do.
func (d *deliveries) askDaemon(ctx context.Context) {
	client, err := control.Dial(ctx, d.h.Config.Control)
	if err != nil {
		return
	}
	defer client.Close()
	var answer daemon.Messages
	if client.Get(ctx, fmt.Sprintf("/messages?last=%d", maxRemembered), &answer) != nil {
		return
	}
	for _, m := range answer.Messages {
		own := mta.Handled{QueueID: m.QueueID, Ours: m.Direction == "outbound", Entry: m.Rule}
		if len(m.Signatures) > 0 {
			own.Signed = m.Signatures[0].Domain
		}
		if m.Unsigned {
			own.Unsigned = m.Why
		}
		if len(m.FromDomains) == 1 {
			own.Author = m.FromDomains[0]
		}
		for _, n := range m.Notes {
			if n.Key == "fragile" {
				own.Fragile = n.Value
			}
		}
		d.handled.put(own.QueueID, own)
	}
}

// line takes the next line of a log.
func (d *deliveries) line(l mta.LogLine) {
	if own, ok := l.Handled(); ok {
		if known, ok := d.handled.get(own.QueueID); ok {
			own.Author = known.Author
		}
		d.handled.put(own.QueueID, own)
		return
	}
	if id, sender, ok := l.Sender(); ok {
		d.senders.put(strings.Clone(id), strings.Clone(sender))
		return
	}
	if before, after, ok := l.Requeued(); ok {
		d.before.put(strings.Clone(after), strings.Clone(before))
		return
	}
	if r, ok := l.Refusal(); ok {
		if v, ok := authVerdict(r); ok {
			d.refused(l.Time, r, v)
		}
	}
}

// refused counts a verdict on a message of ours.
func (d *deliveries) refused(at time.Time, r mta.Refusal, v verdict) {
	own, joined := d.own(r.QueueID)
	sender, _ := d.senders.get(r.QueueID)
	sender = cmp.Or(own.From, sender)
	_, domain, _ := strings.Cut(sender, "@")
	domain = strings.ToLower(cmp.Or(own.Author, v.domain, domain, own.Signed))
	if joined && !own.Ours || !joined && !d.h.signsFor(domain) {
		return // mail of others, which this host forwards
	}
	v.domain = ""
	g := group{receiver: receiver(r), domain: domain, verdict: v, signed: own.Signed, entry: own.Entry, unsigned: own.Unsigned, fragile: own.Fragile, later: r.Code < 500, joined: joined}
	all := d.groups[g]
	if all == nil {
		if len(d.groups) >= maxGroups {
			return
		}
		all = &refusals{messages: map[string]bool{}}
		d.groups[g] = all
	}
	if len(all.messages) < maxCounted {
		all.messages[strings.Clone(r.QueueID)] = true
	}
	all.last, all.example = at, r
}

// own is our line about a message, also where a content filter has given it another queue id since.
func (d *deliveries) own(id string) (mta.Handled, bool) {
	const filters = 3 // one behind the other
	for range filters {
		if own, ok := d.handled.get(id); ok {
			return own, true
		}
		before, ok := d.before.get(id)
		if !ok {
			break
		}
		id = before
	}
	return mta.Handled{}, false
}

// signsFor reports whether the configuration has an entry for the author domain, other than a pattern, or a key.
func (h *Host) signsFor(domain string) bool {
	for _, k := range h.Keys {
		if domain != "" && k.Ref.Domain == domain {
			return true
		}
	}
	for _, e := range h.Config.Signer.Domains {
		name := strings.ToLower(e.Domain[strings.LastIndexByte(e.Domain, '@')+1:])
		if name == domain || e.Subdomains && strings.HasSuffix(domain, "."+name) {
			return domain != ""
		}
	}
	return false
}

// aligned reports relaxed alignment by the list of public suffixes, without DNS.
func aligned(author, signed string) bool {
	if strings.EqualFold(author, signed) {
		return true
	}
	a, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(author))
	s, err2 := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(signed))
	return err == nil && err2 == nil && a == s
}

// remembered keeps the newest values by their keys.
type remembered[T any] struct {
	values map[string]T
	order  []string
	next   int
}

func (m *remembered[T]) put(key string, value T) {
	if m.values == nil {
		m.values = map[string]T{}
	}
	if _, known := m.values[key]; !known {
		if len(m.order) < maxRemembered {
			m.order = append(m.order, key)
		} else {
			delete(m.values, m.order[m.next])
			m.order[m.next] = key
			m.next = (m.next + 1) % maxRemembered
		}
	}
	m.values[key] = value
}

func (m *remembered[T]) get(key string) (T, bool) {
	v, ok := m.values[key]
	return v, ok
}
