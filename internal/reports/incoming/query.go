package incoming

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"signpost/internal/reports/store"
	"signpost/internal/reports/tlsrpt"
)

// A Query asks what reporters say about one domain: about mail with this domain in From, and where
// it is the domain of the policy, about the domains below, too.
type Query struct {
	DB     *store.DB
	Domain string
	Known  Known
	// Begin and End bound the beginnings of reports: Begin counts, End does not. The
	// period before is as long.
	Begin, End time.Time

	parents []any // of Domain, where no policy is its own; see choose
}

// span is a time in seconds since 1970, without its end.
type span struct{ begin, end int64 }

func (q *Query) now() span { return span{q.Begin.Unix(), q.End.Unix()} }

func (q *Query) before() span {
	s := q.now()
	return span{2*s.begin - s.end, s.begin}
}

// Summary is what reports of one time say.
type Summary struct {
	Reports           int64
	Days              int64 // with a report
	Messages, Aligned int64
	Reporters         []Reporter // the one with the most messages first
	Policy            string     // p= as the latest report has it
	Sources           []Source   // the one with the most messages first
	Sessions, Failed  int64      // of TLS reports
	TLSFailures       []TLSFailure
}

// A Reporter is one who sends reports.
type Reporter struct {
	Name     string
	Reports  int64
	Messages int64
	Last     time.Time // the end of the last report's time
}

// A TLSFailure is a kind of failed TLS session (RFC 8460 §4.3).
type TLSFailure struct {
	Type     string
	MXHost   string
	Sessions int64
}

// Answer is the answer to a Query, with the period before.
type Answer struct{ Now, Before Summary }

// Ask reads the answer from the store.
func (q *Query) Ask(ctx context.Context) (*Answer, error) {
	a := &Answer{}
	if err := q.choose(ctx); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		span span
		to   *Summary
	}{{q.now(), &a.Now}, {q.before(), &a.Before}} {
		if err := q.summary(ctx, part.span, part.to); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// choose finds out whether reports are about the domain's own policy. If not, they are about one above, and the
// domain stands in From. Both questions have an index.
func (q *Query) choose(ctx context.Context) error {
	q.parents = nil
	var own bool
	err := q.DB.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM incoming_reports WHERE kind = 'aggregate' AND domain = ? AND begins >= ? AND begins < ? LIMIT 1) AS one`,
		q.Domain, q.before().begin, q.now().end).Scan(integerBool{&own})
	if err != nil || own {
		return err
	}
	for _, p, more := strings.Cut(q.Domain, "."); more; _, p, more = strings.Cut(p, ".") {
		q.parents = append(q.parents, p)
	}
	return nil
}

// about is the condition on a report r, with its arguments.
func (q *Query) about() (condition string, args []any) {
	if len(q.parents) == 0 {
		return `r.domain = ?`, []any{q.Domain}
	}
	return `r.domain IN (` + store.Arguments(len(q.parents)) + `) AND EXISTS (SELECT 1 FROM incoming_records f WHERE f.report = r.id AND f.header_from = ?)`,
		append(slices.Clone(q.parents), q.Domain)
}

func (q *Query) summary(ctx context.Context, t span, s *Summary) (err error) {
	if s.Sources, err = q.sources(ctx, t); err != nil {
		return err
	}
	for _, source := range s.Sources {
		s.Messages += source.Messages
		s.Aligned += source.Aligned
	}
	if err := q.reporters(ctx, t, s); err != nil {
		return err
	}
	return q.tls(ctx, t, s)
}

// reporters reads who sent reports, on how many days, and the last policy.
func (q *Query) reporters(ctx context.Context, t span, s *Summary) error {
	about, args := q.about()
	rows, err := q.DB.Query(ctx, `SELECT org, messages, begins, ends, p FROM incoming_reports r
		WHERE kind = 'aggregate' AND begins >= ? AND begins < ? AND `+about+` ORDER BY begins`, append([]any{t.begin, t.end}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	found, days := newReporterCounts(), map[int64]bool{}
	for rows.Next() {
		var r reporterRow
		var begins, ends int64
		if err := rows.Scan(&r.org, &r.messages, &begins, &ends, &s.Policy); err != nil {
			return err
		}
		s.Reports++
		r.ends = time.Unix(ends, 0).UTC()
		found.add(r)
		for d := begins / secondsOfDay; d <= ends/secondsOfDay && d <= begins/secondsOfDay+366; d++ {
			days[d] = true
		}
	}
	s.Reporters, s.Days = found.sorted(), int64(len(days))
	return rows.Err()
}

// maxReporters limits the reporters of one summary. Strangers choose these names.
const maxReporters = 10_000

// reporterRow is one report, as far as it counts for its reporter.
type reporterRow struct {
	org      string
	messages int64
	ends     time.Time
}

// reporterCounts counts the reports of each reporter, by name.
type reporterCounts map[string]*Reporter

func newReporterCounts() reporterCounts { return reporterCounts{} }

// add counts a report, unless it would be one of too many reporters.
func (c reporterCounts) add(row reporterRow) {
	r := c[row.org]
	if r == nil {
		if len(c) == maxReporters {
			return
		}
		r = &Reporter{Name: row.org}
		c[row.org] = r
	}
	r.Reports++
	r.Messages += row.messages
	if row.ends.After(r.Last) {
		r.Last = row.ends
	}
}

// sorted returns the reporters, the one with the most messages first.
func (c reporterCounts) sorted() []Reporter {
	var list []Reporter
	for _, r := range c {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Reporter) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), strings.Compare(a.Name, b.Name))
	})
	return list
}

const secondsOfDay = 24 * 60 * 60

func (q *Query) tls(ctx context.Context, t span, s *Summary) error {
	rows, err := q.DB.Query(ctx, `SELECT x.succeeded, x.failed, x.failures FROM incoming_tls x JOIN incoming_reports r ON r.id = x.report
		WHERE r.begins >= ? AND r.begins < ? AND x.domain = ?`, t.begin, t.end, q.Domain)
	if err != nil {
		return err
	}
	defer rows.Close()
	found := map[TLSFailure]int64{}
	for rows.Next() {
		var succeeded, failed int64
		var text string
		if err := rows.Scan(&succeeded, &failed, &text); err != nil {
			return err
		}
		s.Sessions += succeeded + failed
		s.Failed += failed
		var failures []tlsrpt.Failure
		if text != "" && json.Unmarshal([]byte(text), &failures) == nil {
			for _, f := range failures {
				found[TLSFailure{Type: f.ResultType, MXHost: f.MXHost}] += f.Count
			}
		}
		if len(found) > 2*maxFailureKinds {
			found = countsOf(mostFailures(found))
		}
	}
	s.TLSFailures = mostFailures(found)
	return rows.Err()
}

// maxFailureKinds limits the kinds of failures of one summary. Strangers choose these words.
const maxFailureKinds = 1000

// mostFailures returns the kinds with the most failed sessions, the largest first.
func mostFailures(found map[TLSFailure]int64) []TLSFailure {
	list := make([]TLSFailure, 0, len(found))
	for f, n := range found {
		f.Sessions = n
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b TLSFailure) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), strings.Compare(a.Type, b.Type), strings.Compare(a.MXHost, b.MXHost))
	})
	return list[:min(len(list), maxFailureKinds)]
}

// countsOf is the reverse of mostFailures.
func countsOf(list []TLSFailure) map[TLSFailure]int64 {
	found := make(map[TLSFailure]int64, 2*len(list))
	for _, f := range list {
		found[TLSFailure{Type: f.Type, MXHost: f.MXHost}] = f.Sessions
	}
	return found
}

// DomainsSince returns the domains that reports of a time are about, at most this many (0: all), in the order of the alphabet,
// and how many more there are. Reports about invented names below a domain of ours cost a stranger nothing, so that
// domains of fewer labels come first, then those with more reports.
func DomainsSince(ctx context.Context, db *store.DB, begin, end time.Time, most int) (list []string, left int, err error) {
	rows, err := db.Query(ctx, `SELECT domain FROM (SELECT domain FROM incoming_reports WHERE begins >= ? AND begins < ? AND kind = 'aggregate'
		UNION ALL SELECT x.domain FROM incoming_tls x JOIN incoming_reports r ON r.id = x.report WHERE r.begins >= ? AND r.begins < ?) AS reported
		GROUP BY domain ORDER BY length(domain) - length(replace(domain, '.', '')), count(*) DESC, domain`,
		begin.Unix(), end.Unix(), begin.Unix(), end.Unix())
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if most > 0 && len(list) == most {
			left++
			continue
		}
		var d string
		if err := rows.Scan(&d); err != nil {
			return nil, 0, err
		}
		list = append(list, d)
	}
	slices.Sort(list)
	return list, left, rows.Err()
}
