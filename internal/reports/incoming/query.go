package incoming

import (
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
	found, days := map[string]*Reporter{}, map[int64]bool{}
	for rows.Next() {
		var org string
		var messages, begins, ends int64
		if err := rows.Scan(&org, &messages, &begins, &ends, &s.Policy); err != nil {
			return err
		}
		r := found[org]
		if r == nil {
			r = &Reporter{Name: org}
			found[org] = r
		}
		s.Reports++
		r.Reports++
		r.Messages += messages
		if at := time.Unix(ends, 0).UTC(); at.After(r.Last) {
			r.Last = at
		}
		for d := begins / secondsOfDay; d <= ends/secondsOfDay && d <= begins/secondsOfDay+366; d++ {
			days[d] = true
		}
	}
	for _, r := range found {
		s.Reporters = append(s.Reporters, *r)
	}
	slices.SortFunc(s.Reporters, func(a, b Reporter) int {
		if a.Messages != b.Messages {
			return int(min(1, max(-1, b.Messages-a.Messages)))
		}
		return strings.Compare(a.Name, b.Name)
	})
	s.Days = int64(len(days))
	return rows.Err()
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
	}
	for f, n := range found {
		f.Sessions = n
		s.TLSFailures = append(s.TLSFailures, f)
	}
	slices.SortFunc(s.TLSFailures, func(a, b TLSFailure) int {
		if a.Sessions != b.Sessions {
			return int(min(1, max(-1, b.Sessions-a.Sessions)))
		}
		return strings.Compare(a.Type+a.MXHost, b.Type+b.MXHost)
	})
	return rows.Err()
}

// DomainsSince returns the domains that reports of a time are about, in the order of the alphabet.
func DomainsSince(ctx context.Context, db *store.DB, begin, end time.Time) ([]string, error) {
	rows, err := db.Query(ctx, `SELECT domain FROM incoming_reports WHERE begins >= ? AND begins < ? AND kind = 'aggregate'
		UNION SELECT x.domain FROM incoming_tls x JOIN incoming_reports r ON r.id = x.report WHERE r.begins >= ? AND r.begins < ?`,
		begin.Unix(), end.Unix(), begin.Unix(), end.Unix())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var d string
		if err := rows.Scan(&d); err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	slices.Sort(list)
	return list, rows.Err()
}
