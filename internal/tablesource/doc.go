// Package tablesource reads the entries of signer.domains and signer.senders that stand outside
// of the YAML file: in files with one entry on each line, and in SQLite and PostgreSQL databases.
// Package signer defines an entry. The database drivers are here, so that signer is built
// without them.
package tablesource
