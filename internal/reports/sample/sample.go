// Package sample makes up a month of reports of others about example.com, for the demonstration
// and for tests of the page: mail of our own host, of a newsletter service, of a forwarder, and
// forgeries. The same days give the same reports.
package sample

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"signpost/internal/reports/aggregate"
	"signpost/internal/reports/incoming"
	"signpost/internal/reports/refusal"
	"signpost/internal/reports/store"
)

// Domain is the domain that the reports are about, and Selector that of our key.
const (
	Domain   = "example.com"
	Selector = "rsa1"
)

// sender is a source of mail with the number of messages that a reporter sees of it on a day.
type sender struct {
	address, name    string
	messages         int
	dkim, spf        string
	domain, selector string // of its valid signature
	from             string // MAIL FROM
	every            int    // on each n-th day only
}

var senders = []sender{
	{"192.0.2.25", "mx.example.com", 900, "pass", "pass", Domain, Selector, Domain, 1},
	{"2001:db8::25", "mx.example.com", 120, "pass", "pass", Domain, Selector, Domain, 1},
	{"198.51.100.17", "out17.newsletter.example", 340, "pass", "fail", Domain, "news", "bounce.newsletter.example", 3},
	{"203.0.113.80", "fwd.university.example", 14, "pass", "fail", Domain, Selector, "university.example", 1},
	{"203.0.113.9", "lists.club.example", 9, "fail", "fail", "", "", "lists.club.example", 2},
	{"198.51.100.200", "", 45, "fail", "fail", "", "", "pharmacy.example", 4},
	{"198.51.100.201", "dsl-201.isp.example", 25, "fail", "fail", "", "", "prize.example", 5},
}

var reporters = []struct {
	org    string
	factor float64
}{{"big-mail.example", 1}, {"post.example", 0.4}, {"freemail.example", 0.15}}

// Fill stores the reports of the days before now.
func Fill(ctx context.Context, db *store.DB, now time.Time, days int) error {
	keeper := &incoming.Keeper{DB: db, Domains: func(d string) bool { return d == Domain }, Now: func() time.Time { return now }}
	today := now.UTC().Truncate(24 * time.Hour)
	for back := days; back > 0; back-- {
		begin := today.AddDate(0, 0, -back)
		for _, r := range reporters {
			text, err := report(r.org, r.factor, begin)
			if err != nil {
				return err
			}
			if results := keeper.Read(ctx, text, nil); results[0].Refused != nil && results[0].Refused.Reason != refusal.Duplicate {
				return results[0].Refused
			}
		}
	}
	for _, s := range senders {
		if _, err := db.Exec(ctx, `INSERT INTO incoming_hosts (address, name, looked_up) VALUES (?, ?, ?) ON CONFLICT (address) DO NOTHING`, s.address, s.name, now.Unix()); err != nil {
			return err
		}
	}
	return nil
}

// report writes the report of one reporter about one day.
func report(org string, factor float64, begin time.Time) ([]byte, error) {
	day := int(begin.Unix() / 86400)
	random := rand.New(rand.NewPCG(uint64(day), uint64(len(org))))
	var out bytes.Buffer
	w := aggregate.NewWriter(&out, aggregate.Report{
		Metadata: aggregate.Metadata{OrgName: org, Email: "dmarc@" + org, ReportID: fmt.Sprintf("%s.%d", org, day), Begin: begin, End: begin.Add(24*time.Hour - time.Second), Generator: "made up"},
		Policy:   aggregate.Policy{Domain: Domain, P: "none", ADKIM: "r", ASPF: "r", DiscoveryMethod: "treewalk", Testing: "n"},
	})
	for _, s := range senders {
		if day%s.every != 0 {
			continue
		}
		r := aggregate.Record{
			SourceIP: netip.MustParseAddr(s.address), Count: 1 + int64(float64(s.messages)*factor*(0.6+0.8*random.Float64())),
			Disposition: "none", DKIM: s.dkim, SPF: s.spf, HeaderFrom: Domain, EnvelopeFrom: s.from,
			Senders: []aggregate.Sender{{Domain: s.from, Scope: "mfrom", Result: "pass"}},
		}
		if s.domain != "" {
			r.Signatures = []aggregate.Signature{{Domain: s.domain, Selector: s.selector, Result: "pass"}}
		}
		if err := w.Record(&r); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
