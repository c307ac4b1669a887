// Package refusal has the reasons for which a report is not taken. Their ids are stable: logs,
// metrics and the output of commands have them, and docs/reports.md explains each.
package refusal

import (
	"errors"
	"fmt"
)

// A Reason is why a report was not taken.
type Reason struct {
	ID     string // stable
	Text   string
	Remedy string
}

// The reasons. Reasons has all of them.
var (
	NoReport = Reason{"no-report", "nothing in it is a report",
		"nothing to do if it is other mail"}
	Unreadable = Reason{"unreadable", "the file cannot be read",
		"see the error, and import it again"}
	TooBig = Reason{"too-big", "more data than the limit allows, once decompressed",
		"ask the reporter for smaller reports; no reporter of good faith sends this much"}
	TooDeep = Reason{"too-deep", "nested too deeply",
		"extract the report by hand and import the file; in XML no report is nested this deeply"}
	TooManyParts = Reason{"too-many-parts", "too many parts or files in one message",
		"extract the files and import the folder"}
	TooManyRecords = Reason{"too-many-records", "more records than the limit allows",
		"ask the reporter for fewer rows in a report"}
	Doctype = Reason{"doctype", "XML with a document type or entities, which no report needs",
		"ask the reporter; a declaration of this kind can be an attack"}
	Token = Reason{"token", "one value or tag is longer than any report needs",
		"ask the reporter; a value of this length can be an attack"}
	Truncated = Reason{"truncated", "it ends before its end",
		"ask the reporter to send it again"}
	Malformed = Reason{"malformed", "it cannot be read",
		"look at it with a text editor, and tell the reporter"}
	Encrypted = Reason{"encrypted", "a zip file with a password",
		"ask the reporter for plain gzip"}
	UnreadFormat = Reason{"unread-format", "an archive or encoding that is not read; it may have a report",
		"unpack it by hand and import the file; ask the reporter for gzip, which RFC 9990 §3.5.2 wants"}
	NoDomain = Reason{"no-domain", "it names no domain that it is about",
		"tell the reporter"}
	NoReporter = Reason{"no-reporter", "it names no reporter",
		"tell the reporter"}
	BadPeriod = Reason{"bad-period", "its time does not make sense",
		"tell the reporter"}
	NotOurs = Reason{"not-ours", "the domain is none of ours",
		"add the domain to reports.in.domains, or import with --all"}
	Duplicate = Reason{"duplicate", "it is stored already",
		"nothing to do"}
	NotAuthenticated = Reason{"not-authenticated", "the mail that brought it did not pass DMARC",
		"if the reporter is known to you: signpost report import FILE"}
	NotSigned = Reason{"not-signed", "a TLS report has to be signed by DKIM (RFC 8460 §3)",
		"if the reporter is known to you: signpost report import FILE"}
	TooManyToday = Reason{"too-many-today", "more has come by mail in a day than is stored in a day",
		"look at who sends so much; signpost report import takes it from the mailbox"}
	NotStored = Reason{"not-stored", "the database could not take it",
		"see the error, and import the mail again with signpost report import FILE"}
)

// Reasons returns all reasons, in the order of the documentation.
func Reasons() []Reason {
	return []Reason{NoReport, Unreadable, TooBig, TooDeep, TooManyParts, TooManyRecords, Doctype, Token, Truncated, Malformed, Encrypted, UnreadFormat,
		NoDomain, NoReporter, BadPeriod, NotOurs, Duplicate, NotAuthenticated, NotSigned, TooManyToday, NotStored}
}

// An Error is a refusal with what was found.
type Error struct {
	Reason
	Detail string // text of ours, with foreign values quoted
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.ID + ": " + e.Text
	}
	return e.ID + ": " + e.Text + " (" + e.Detail + ")"
}

// With returns the reason as an error; format says what was found.
func (r Reason) With(format string, args ...any) *Error {
	return &Error{Reason: r, Detail: fmt.Sprintf(format, args...)}
}

// Of returns the refusal in err: NotStored if it is another error, nil if err is nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return NotStored.With("%v", err)
}
