package store

// trafficSchema has the counters of mail. A row of traffic is a tuple of facts that some
// messages of one UTC day share; package traffic documents the columns.
var trafficSchema = []string{
	`CREATE TABLE traffic_policies (
	id {blob} PRIMARY KEY,
	domain TEXT NOT NULL, p TEXT NOT NULL, sp TEXT NOT NULL, np TEXT NOT NULL,
	adkim TEXT NOT NULL, aspf TEXT NOT NULL, fo TEXT NOT NULL, testing BIGINT NOT NULL, psd TEXT NOT NULL,
	method TEXT NOT NULL, rua TEXT NOT NULL, flaws TEXT NOT NULL, seen BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE traffic (
	day BIGINT NOT NULL, tuple {blob} NOT NULL, policy {blob} NOT NULL,
	result TEXT NOT NULL, header_from TEXT NOT NULL, envelope_from TEXT NOT NULL, source TEXT NOT NULL, host TEXT NOT NULL,
	dkim TEXT NOT NULL, spf_domain TEXT NOT NULL, spf_scope TEXT NOT NULL, spf_result TEXT NOT NULL,
	dkim_aligned BIGINT NOT NULL, spf_aligned BIGINT NOT NULL,
	requested TEXT NOT NULL, disposition TEXT NOT NULL, reasons TEXT NOT NULL,
	action TEXT NOT NULL, would TEXT NOT NULL, rule TEXT NOT NULL,
	route TEXT NOT NULL, sealers TEXT NOT NULL, accept_dmarc BIGINT NOT NULL, forwarder TEXT NOT NULL,
	optional BIGINT NOT NULL, folded BIGINT NOT NULL,
	count BIGINT NOT NULL, first_seen BIGINT NOT NULL, last_seen BIGINT NOT NULL,
	PRIMARY KEY (day, tuple)
);
CREATE INDEX traffic_would ON traffic (day) WHERE would <> '';
CREATE TABLE traffic_outbound (
	day BIGINT NOT NULL, tuple {blob} NOT NULL,
	author TEXT NOT NULL, entry TEXT NOT NULL, signatures TEXT NOT NULL, unsigned TEXT NOT NULL, folded BIGINT NOT NULL,
	count BIGINT NOT NULL, first_seen BIGINT NOT NULL, last_seen BIGINT NOT NULL,
	PRIMARY KEY (day, tuple)
);
CREATE TABLE traffic_writers (
	writer {blob} PRIMARY KEY, batch BIGINT NOT NULL, seen BIGINT NOT NULL
);
`,
}
