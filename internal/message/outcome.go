package message

import "strconv"

// Disposition is what is to be done with a message. (RFC 9989 uses the word for
// what a receiver does in the end, as opposed to what a domain owner asks for.)
type Disposition string

const (
	Accept     Disposition = "accept"     // go on, with the header changes
	Quarantine Disposition = "quarantine" // the MTA holds it in its queue
	Reject     Disposition = "reject"     // refuse for good, 5xx
	Tempfail   Disposition = "tempfail"   // ask the client to come again, 4xx
)

// Reply is one SMTP reply. Text may come from strangers' data: whoever puts it on
// the wire escapes it and bounds its length.
type Reply struct {
	Code     int    // 451, 550
	Enhanced string // "5.7.1" (RFC 3463, 7372)
	Text     string // one line, no CR or LF
}

// Outcome is all that the MTA has to be told about one message, and what the log
// line says of it.
type Outcome struct {
	Disposition Disposition
	// Reply is set for Reject and Tempfail.
	Reply Reply
	// QuarantineReason is set for Quarantine; the MTA shows it to its operator.
	QuarantineReason string
	// Insert are the fields to put on top of the header, the topmost first. The
	// values have no leading space; folds are CRLF and white space.
	Insert []Field
	// Remove are the indexes, in the Header that was judged, of fields to delete.
	Remove []int
	// Log are the facts for the message's log line, in order. They are text for people:
	// a program reads the fields below.
	Log []Note

	// Results are what the checks of a message that was judged found: each signature has
	// one.
	Results []Result
	// Signatures are those that a message of ours got.
	Signatures []Signature

	// These are reasons in words, empty where they do not apply.
	Unsigned string // why a message of ours has no signature
	Fragile  string // what will probably break the signatures
	Unjudged string // why a message was passed without checks
	Failure  string // what of ours broke
	Refused  string // why a client may not send a message of ours
	// Would is what enforce mode would have done, where monitor mode did nothing.
	Would string
}

// Result is the result of one check, in the words of RFC 8601 §2.7.
type Result struct {
	Method   string // "spf", "dkim", "dmarc"
	Value    string // "pass", "temperror"
	Domain   string // that the result is about; may be empty
	Selector string // of a signature
}

// Signature is one DKIM signature of ours.
type Signature struct {
	Domain    string // d=
	Selector  string // s=
	Algorithm string // a=
}

// Note is one fact for the log: a key in the RFCs' words and its value.
type Note struct{ Key, Value string }

// Removed is the note of n fields that are removed since they claim to be ours.
func Removed(n int) Note { return Note{"removed", strconv.Itoa(n) + " fields that claim to be ours"} }
