// Package store is the database of the reports: SQLite on one host, PostgreSQL for several.
// It opens the database, brings its tables up to the version that this program knows, and
// gives its callers one dialect of SQL for both.
//
// Each area of the reports (traffic, incoming, outgoing) has a file schema_AREA.go with its
// migrations. Their numbers count within the area, so that areas grow independently.
//
// Statements are written in the common part of both languages, with "?" for arguments and
// the words of dialect.go in braces. Times are seconds since 1970 in BIGINT columns, days are days
// since 1970. No statement depends on the state of a connection (temporary tables, advisory
// locks, LISTEN), so that PostgreSQL may stand behind a pooler in transaction mode.
package store
