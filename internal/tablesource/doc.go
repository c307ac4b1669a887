// Package tablesource reads the entries of signer.domains and signer.senders that stand
// outside of the YAML file: in files with one entry a line, and in SQLite and PostgreSQL
// databases. Package signer defines what an entry is; this package only says where it
// comes from. So the database drivers are not part of signer.
package tablesource
