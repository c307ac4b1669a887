package traffic

import (
	"context"
	"iter"
	"net/netip"

	"signpost/internal/reports/store"
)

// Filter chooses rows.
type Filter struct {
	// From and To are the first and the last day.
	From, To Day
	// PolicyDomain is the domain of the record that applied; "" for all rows, also those without one.
	PolicyDomain string
	// HeaderFrom is the author domain; "" for all.
	HeaderFrom string
	// Failing leaves out the rows that a policy neither refused nor would have refused.
	Failing bool
}

func (f Filter) where() (condition string, args []any) {
	condition, args = `t.day >= ? AND t.day <= ?`, []any{int64(f.From), int64(f.To)}
	if f.PolicyDomain != "" {
		condition, args = condition+` AND p.domain = ?`, append(args, f.PolicyDomain)
	}
	if f.HeaderFrom != "" {
		condition, args = condition+` AND t.header_from = ?`, append(args, f.HeaderFrom)
	}
	if f.Failing {
		condition += ` AND (t.would <> '' OR t.action <> 'accept')`
	}
	return condition, args
}

// Rows returns the rows that a filter chooses, by day and policy. They are read one by one as
// the caller goes on. After an error there are no more.
func Rows(ctx context.Context, db *store.DB, f Filter) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		condition, args := f.where()
		rows, err := db.Query(ctx, `SELECT t.day, coalesce(p.domain, ''), coalesce(p.p, ''), coalesce(p.sp, ''), coalesce(p.np, ''),
			coalesce(p.adkim, ''), coalesce(p.aspf, ''), coalesce(p.fo, ''), coalesce(p.testing, 0), coalesce(p.psd, ''),
			coalesce(p.method, ''), coalesce(p.rua, ''), coalesce(p.flaws, ''),
			t.result, t.header_from, t.envelope_from, t.source, t.host, t.dkim, t.spf_domain, t.spf_scope, t.spf_result,
			t.dkim_aligned, t.spf_aligned, t.requested, t.disposition, t.reasons, t.action, t.would, t.rule, t.route, t.sealers, t.accept_dmarc, t.forwarder,
			t.optional, t.folded, t.count, t.first_seen, t.last_seen
			FROM traffic t LEFT JOIN traffic_policies p ON p.id = t.policy WHERE `+condition+` ORDER BY t.day, t.policy, t.count DESC, t.tuple`, args...)
		if err != nil {
			yield(Row{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			r, err := scanRow(rows)
			if !yield(r, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Row{}, err)
		}
	}
}

// scanner is a row of the database.
type scanner interface{ Scan(into ...any) error }

func scanRow(rows scanner) (Row, error) {
	var r Row
	var source, signatures, reasons string
	var testing, dkimAligned, spfAligned, acceptDMARC, optional, folded int64
	p := &r.Policy
	err := rows.Scan(&r.Day, &p.Domain, &p.P, &p.SP, &p.NP, &p.ADKIM, &p.ASPF, &p.FO, &testing, &p.PSD, &p.Method, &p.RUA, &p.Flaws,
		&r.Result, &r.HeaderFrom, &r.EnvelopeFrom, &source, &r.Host, &signatures, &r.SPFDomain, &r.SPFScope, &r.SPFResult,
		&dkimAligned, &spfAligned, &r.Requested, &r.Disposition, &reasons, &r.Action, &r.Would, &r.Rule, &r.Route, &r.Sealers, &acceptDMARC, &r.Forwarder,
		&optional, &folded, &r.Count, &r.First, &r.Last)
	if err != nil {
		return Row{}, err
	}
	r.Source, _ = netip.ParseAddr(source) // "": the MTA gave none
	r.DKIM, r.Reasons = readSignatures(signatures), readReasons(reasons)
	p.Testing, r.DKIMAligned, r.SPFAligned = testing != 0, dkimAligned != 0, spfAligned != 0
	r.AcceptDMARC, r.Optional, r.Folded = acceptDMARC != 0, optional != 0, folded != 0
	return r, nil
}

// OutboundRows returns what was signed, and not signed, of an author domain; "" for all.
func OutboundRows(ctx context.Context, db *store.DB, from, to Day, author string) iter.Seq2[Outbound, error] {
	return func(yield func(Outbound, error) bool) {
		rows, err := db.Query(ctx, `SELECT day, author, entry, signatures, unsigned, folded, count, first_seen, last_seen FROM traffic_outbound
			WHERE day >= ? AND day <= ? AND (author = ? OR ? = '') ORDER BY day, count DESC, tuple`, int64(from), int64(to), author, author)
		if err != nil {
			yield(Outbound{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var o Outbound
			var folded int64
			err := rows.Scan(&o.Day, &o.Author, &o.Entry, &o.Signatures, &o.Unsigned, &folded, &o.Count, &o.First, &o.Last)
			o.Folded = folded != 0
			if !yield(o, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Outbound{}, err)
		}
	}
}

// Recorded returns the first day with counters, and how many messages were judged and signed; no day
// if there are none.
func Recorded(ctx context.Context, db *store.DB) (first Day, judged, signed int64, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(min(day), 0), coalesce(sum(count), 0) FROM traffic`).Scan(&first, &judged)
	if err != nil {
		return 0, 0, 0, err
	}
	var day Day
	err = db.QueryRow(ctx, `SELECT coalesce(min(day), 0), coalesce(sum(count), 0) FROM traffic_outbound`).Scan(&day, &signed)
	if first == 0 || day != 0 && day < first {
		first = day
	}
	return first, judged, signed, err
}
