package outgoing

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"signpost/internal/reports/store"
)

// Preview is what others would be told about the mail of one policy domain and day, or were.
type Preview struct {
	Domain string // where the DMARC record is
	Day    time.Time
	// Reason says why no report is sent; "" if one is. Nothing else is set if no mail was
	// counted.
	Reason string
	// Reports are those about the policies of the day, the final one first.
	Reports []PreviewReport
	// Consent is what DNS says now.
	Consent Consent
	// Pauses are the addresses among the destinations that get nothing now.
	Pauses []Suppressed
	// Begins is when the day's reports begin to be sent.
	Begins time.Time
}

// PreviewReport is one report.
type PreviewReport struct {
	ReportID, FileName string
	// Record is the policy in the form of a DMARC record.
	Record            string
	Messages, Records int64
	// Optional are messages that are in the report and no reason to send it.
	Optional int64
	Note     string // the element error
	// State and Why are those of a report that is planned; "" before the end of the day.
	State, Why string
	Due        time.Time
	Deliveries []Delivery

	packed []byte // the XML
}

// Delivery is what came of a report for one address.
type Delivery struct {
	Address, State, Reply string
	At                    time.Time
}

// XML is the report.
func (r PreviewReport) XML() ([]byte, error) {
	if len(r.packed) == 0 {
		return nil, fmt.Errorf("the XML of the report %s is not kept any more", r.ReportID)
	}
	z, err := gzip.NewReader(bytes.NewReader(r.packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// NewPreview looks at the counters, the planned reports and DNS, and changes nothing. domain is
// a policy domain, or an author domain below one, as A-labels. Where reports.out is off, it shows what would be sent.
func NewPreview(ctx context.Context, db *store.DB, cfg Config, dir Directory, generator, domain string, day int64, now time.Time) (Preview, error) {
	p := Preview{Domain: domain, Day: time.Unix(day*86400, 0).UTC(), Begins: dayEnd(day).Add(delay(cfg.Submitter(), day)).UTC()}
	all, err := candidates(ctx, db, day, domain)
	if err == nil && len(all) == 0 {
		if p.Domain, err = policyDomain(ctx, db, domain, day); err == nil && p.Domain != domain {
			all, err = candidates(ctx, db, day, p.Domain)
		}
	}
	if err != nil {
		return p, err
	}
	if len(all) == 0 {
		p.Reason, err = noMail(ctx, db, p.Domain, day)
		return p, err
	}
	known, err := newQueue(db).known(ctx)
	if err != nil {
		return p, err
	}
	d := byDomain(all, known)[0]
	for i := range d.policies[:min(len(d.policies), maxPolicies)] {
		r, err := previewOf(ctx, db, cfg, generator, d, i, day)
		if err != nil {
			return p, err
		}
		p.Reports = append(p.Reports, r)
	}
	p.Consent = dir.Consent(ctx, p.Domain)
	if err := p.findPauses(ctx, db, now); err != nil {
		return p, err
	}
	p.Reason = p.why(cfg, d)
	return p, nil
}

// policyDomain returns the domain whose record applies to mail of an author domain.
func policyDomain(ctx context.Context, db *store.DB, author string, day int64) (string, error) {
	rows, err := db.Query(ctx, `SELECT p.domain FROM traffic t JOIN traffic_policies p ON p.id = t.policy
		WHERE t.day = ? AND t.header_from = ? GROUP BY p.domain ORDER BY sum(t.count) DESC LIMIT 1`, day, author)
	if err != nil {
		return author, err
	}
	defer rows.Close()
	if rows.Next() {
		err = rows.Scan(&author)
	}
	if err == nil {
		err = rows.Err()
	}
	return author, err
}

// noMail says why there is nothing to report.
func noMail(ctx context.Context, db *store.DB, domain string, day int64) (string, error) {
	var all, asked int64
	err := db.QueryRow(ctx, `SELECT coalesce(sum(t.count), 0), coalesce(sum(CASE WHEN p.rua <> '' THEN t.count ELSE 0 END), 0)
		FROM traffic t JOIN traffic_policies p ON p.id = t.policy WHERE t.day = ? AND p.domain = ?`, day, domain).Scan(&all, &asked)
	switch {
	case asked > 0:
		return "its mail was undecided or refused for now, or came from too many sources to tell them apart", err
	case all > 0:
		return "its DMARC record did not ask for reports on this day (no valid rua=)", err
	}
	return "no mail was counted under a DMARC record of this domain on this day", err
}

// previewOf is the report about one policy, as it is stored or as it would be now.
func previewOf(ctx context.Context, db *store.DB, cfg Config, generator string, d asking, i int, day int64) (PreviewReport, error) {
	c := d.policies[i]
	identity := identity{submitter: cfg.Submitter(), domain: d.domain, day: day, policy: c.policy}
	id := identity.reportID()
	r := PreviewReport{ReportID: id, FileName: identity.fileName(id), Note: d.note(i), Optional: c.messages - c.accepted - c.refused}
	compose := composer{db: db, cfg: cfg, generator: generator}
	policy, _, err := compose.policy(ctx, identity)
	if err != nil {
		return r, err
	}
	r.Record = "v=DMARC1; p=" + policy.P
	for _, tag := range []struct{ name, value, usual string }{
		{"sp", policy.SP, ""}, {"np", policy.NP, ""}, {"adkim", policy.ADKIM, "r"}, {"aspf", policy.ASPF, "r"}, {"t", policy.Testing, "n"}, {"fo", policy.FO, "0"},
	} {
		if tag.value != tag.usual {
			r.Record += "; " + tag.name + "=" + tag.value
		}
	}
	if err := r.stored(ctx, db, day, d.domain, c.policy); err != nil {
		return r, err
	}
	if r.packed == nil && final(r.State) {
		return r, nil
	}
	if r.packed == nil {
		b, err := compose.compose(ctx, identity, r.ReportID, r.Note)
		if err != nil {
			return r, err
		}
		r.packed, r.Messages, r.Records = b.xml, b.messages, b.records
	}
	return r, nil
}

// stored reads what is planned or done about a report.
func (r *PreviewReport) stored(ctx context.Context, db *store.DB, day int64, domain string, policy []byte) error {
	rows, err := db.Query(ctx, `SELECT id, report_id, file_name, note, state, why, messages, records, due, xml FROM outgoing_reports WHERE day = ? AND domain = ? AND policy = ?`, day, domain, policy)
	if err != nil {
		return err
	}
	defer rows.Close()
	var id, due int64
	if !rows.Next() {
		return rows.Err()
	}
	if err := rows.Scan(&id, &r.ReportID, &r.FileName, &r.Note, &r.State, &r.Why, &r.Messages, &r.Records, &due, &r.packed); err != nil {
		return err
	}
	r.Due = time.Unix(due, 0).UTC()
	rows.Close()
	return r.findDeliveries(ctx, db, id)
}

func (r *PreviewReport) findDeliveries(ctx context.Context, db *store.DB, id int64) error {
	rows, err := db.Query(ctx, `SELECT address, state, reply, at FROM outgoing_deliveries WHERE report = ? ORDER BY address`, id)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var d Delivery
		var at int64
		if err := rows.Scan(&d.Address, &d.State, &d.Reply, &at); err != nil {
			return err
		}
		d.At = time.Unix(at, 0).UTC()
		r.Deliveries = append(r.Deliveries, d)
	}
	return rows.Err()
}

func (p *Preview) findPauses(ctx context.Context, db *store.DB, now time.Time) error {
	for _, address := range p.Consent.open() {
		s, ok, err := suppressed(ctx, db, address, now)
		if err != nil {
			return err
		}
		if ok {
			p.Pauses = append(p.Pauses, s)
		}
	}
	return nil
}

// why says why no report is sent.
func (p *Preview) why(cfg Config, d asking) string {
	open := p.Consent.open()
	switch {
	case !cfg.On():
		return "reports.out is off: write org_name and from to send reports"
	case d.noReason() != "":
		return d.noReason()
	case p.Consent.Err != nil:
		return "DNS does not answer about the record: " + p.Consent.Err.Error()
	case p.Consent.Refusal != "":
		return p.Consent.Refusal
	case len(open) == 0 && p.Consent.undecided() != nil:
		return "DNS does not answer about the destinations"
	case len(open) == 0:
		return "no destination of rua= can be used"
	case len(open) == len(p.Pauses):
		return "reports to each destination came back: they get none for a while"
	case p.Reports[0].Records == 0 && !final(p.Reports[0].State):
		return "its mail has no source address, or came from too many sources to tell them apart"
	}
	return ""
}

// Paused returns the pause of an address; ok is false if it gets reports.
func (p *Preview) Paused(address string) (s Suppressed, ok bool) {
	for _, s := range p.Pauses {
		if strings.EqualFold(s.Address, address) {
			return s, true
		}
	}
	return s, false
}
