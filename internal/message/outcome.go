package message

import "strconv"

// Disposition is the MTA's treatment of a message. (RFC 9989 uses the word for the
// receiver's final action, and not for the domain owner's request.)
type Disposition string

const (
	Accept     Disposition = "accept"     // deliver, with the header changes
	Quarantine Disposition = "quarantine" // the MTA holds it in its queue
	Reject     Disposition = "reject"     // refuse permanently, 5xx
	Tempfail   Disposition = "tempfail"   // refuse for now, 4xx
)

// Reply is one SMTP reply. Text may contain foreign data: the milter escapes it and
// bounds its length.
type Reply struct {
	Code     int    // 451, 550
	Enhanced string // "5.7.1" (RFC 3463, 7372)
	Text     string // one line, no CR or LF
}

// Outcome is the complete result for one message: instructions for the MTA, facts for
// the log line, and data.
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
	// Drop are recipients, as in the envelope, that do not get an accepted message. Where the MTA does not let us
	// take them off, they get it.
	Drop []string
	// Log are the facts for the message's log line, in order. They are text for
	// people: programs read the fields below.
	Log []Note

	// Author is the author that the From fields name; nil if the header was not read.
	Author *Author
	// Rule is the rule that decided about an incoming message, or the entry that signs a
	// message of ours, with the values that were compared; it may be empty.
	Rule string
	// Judged is what was found about an incoming message, and what follows from it: a
	// *verifier.Result. It is nil if the message was not judged, or could not be.
	Judged any
	// Trace has the rules of the decision; nil if it was not asked for.
	Trace *Trace

	// Results are the results of the checks of an incoming message, one for each
	// signature.
	Results []Result
	// Signatures are those added to a message of ours.
	Signatures []Signature

	// These are reasons in words, empty if they do not apply.
	Unsigned string // why a message of ours has no signature
	Fragile  string // what will probably break the signatures
	Unjudged string // why a message was passed without checks
	Failure  string // our own failure
	Refused  string // why a client may not send a message of ours
	Unsealed string // why a message that is to be sealed has no ARC set of ours
	// Sealed is cv= of the ARC set that was added: none, pass or fail.
	Sealed string
	// Would is the action of enforce mode; set only in monitor mode.
	Would string
	// EnvelopeWaited is set if a look-up that began with the envelope had to wait for DNS.
	EnvelopeWaited bool
}

// Result is the result of one check, in the words of RFC 8601 §2.7.
type Result struct {
	Method   string // "spf", "dkim", "dmarc"
	Value    string // "pass", "temperror"
	Domain   string // the checked domain; may be empty
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

// Unsealed is the note that a forwarded message was not sealed (RFC 8617), and why.
func Unsealed(why string) Note { return Note{"unsealed", why} }

// Removed is the note of n fields that were removed because they claim to be ours.
func Removed(n int) Note { return Note{"removed", strconv.Itoa(n) + " fields that claim to be ours"} }
