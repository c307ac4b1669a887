package store

// outgoingSchema has the tables of the reports to others; package outgoing documents the
// states. Days are days since 1970, the other times seconds.
var outgoingSchema = []string{
	`CREATE TABLE outgoing_days (
	day BIGINT PRIMARY KEY, planned BIGINT NOT NULL
);
CREATE TABLE outgoing_known (
	domain TEXT PRIMARY KEY, day BIGINT NOT NULL
);
CREATE TABLE outgoing_reports (
	id {id}, day BIGINT NOT NULL, domain TEXT NOT NULL, policy {blob} NOT NULL,
	report_id TEXT NOT NULL, file_name TEXT NOT NULL, note TEXT NOT NULL,
	state TEXT NOT NULL, why TEXT NOT NULL,
	messages BIGINT NOT NULL, records BIGINT NOT NULL, xml {blob},
	created BIGINT NOT NULL, due BIGINT NOT NULL, attempts BIGINT NOT NULL, finished BIGINT NOT NULL,
	claimed_by TEXT NOT NULL, claimed_until BIGINT NOT NULL,
	UNIQUE (day, domain, policy)
);
CREATE INDEX outgoing_reports_due ON outgoing_reports (due) WHERE finished = 0;
CREATE TABLE outgoing_deliveries (
	report BIGINT NOT NULL, address TEXT NOT NULL, bounce {blob} NOT NULL UNIQUE,
	state TEXT NOT NULL, reply TEXT NOT NULL, at BIGINT NOT NULL,
	PRIMARY KEY (report, address)
);
CREATE TABLE outgoing_suppressed (
	address TEXT PRIMARY KEY, since BIGINT NOT NULL, until BIGINT NOT NULL, bounces BIGINT NOT NULL, why TEXT NOT NULL
);
CREATE TABLE outgoing_secret (
	one BIGINT PRIMARY KEY, secret {blob} NOT NULL
);
CREATE INDEX traffic_policy ON traffic (day, policy);
`,
	`CREATE INDEX traffic_policies_domain ON traffic_policies (domain);
`,
}
