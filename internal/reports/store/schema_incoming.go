package store

// incomingSchema has the tables of the reports that others send. Package incoming documents
// the columns.
var incomingSchema = []string{
	`CREATE TABLE incoming_reports (
	id {id}, identity {blob} NOT NULL UNIQUE,
	kind TEXT NOT NULL, domain TEXT NOT NULL, org TEXT NOT NULL, email TEXT NOT NULL, report_id TEXT NOT NULL,
	begins BIGINT NOT NULL, ends BIGINT NOT NULL, received BIGINT NOT NULL,
	p TEXT NOT NULL, sp TEXT NOT NULL, np TEXT NOT NULL, adkim TEXT NOT NULL, aspf TEXT NOT NULL, testing TEXT NOT NULL,
	error TEXT NOT NULL, generator TEXT NOT NULL,
	messages BIGINT NOT NULL, aligned BIGINT NOT NULL, records BIGINT NOT NULL, skipped BIGINT NOT NULL
);
CREATE INDEX incoming_reports_domain ON incoming_reports (kind, domain, begins);
CREATE TABLE incoming_raw (
	report BIGINT PRIMARY KEY, size BIGINT NOT NULL, octets {blob} NOT NULL
);
CREATE TABLE incoming_records (
	report BIGINT NOT NULL, source TEXT NOT NULL, count BIGINT NOT NULL,
	disposition TEXT NOT NULL, dkim BIGINT NOT NULL, spf BIGINT NOT NULL, reasons TEXT NOT NULL,
	header_from TEXT NOT NULL, envelope_from TEXT NOT NULL, envelope_to TEXT NOT NULL,
	signatures TEXT NOT NULL, senders TEXT NOT NULL
);
CREATE INDEX incoming_records_report ON incoming_records (report);
CREATE TABLE incoming_tls (
	report BIGINT NOT NULL, domain TEXT NOT NULL, policy TEXT NOT NULL, succeeded BIGINT NOT NULL, failed BIGINT NOT NULL, failures TEXT NOT NULL
);
CREATE INDEX incoming_tls_report ON incoming_tls (report);
CREATE TABLE incoming_hosts (
	address TEXT PRIMARY KEY, name TEXT NOT NULL, looked_up BIGINT NOT NULL
);
CREATE TABLE incoming_notices (
	kind TEXT NOT NULL, domain TEXT NOT NULL, subject TEXT NOT NULL, first_told BIGINT NOT NULL, detail TEXT NOT NULL, mailed BIGINT NOT NULL,
	PRIMARY KEY (kind, domain, subject)
);
`,
	`CREATE INDEX incoming_tls_domain ON incoming_tls (domain);
CREATE INDEX incoming_reports_received ON incoming_reports (received);
`,
}
