package tail

import (
	"time"

	"signpost/internal/message"
)

// An Event is one decided message: what is passed to readers as one JSON object a line,
// and what is kept of it. Text in it may be foreign; a program that displays it must
// escape control characters.
type Event struct {
	Time time.Time `json:"time"`
	// Direction is Inbound or Outbound.
	Direction string `json:"direction"`
	QueueID   string `json:"queue_id"`
	Client    string `json:"client"` // its address, or the MTA's name for it
	Helo      string `json:"helo,omitempty"`
	// FromDomains are the author domains.
	FromDomains []string `json:"from_domains"`
	// Sender is the domain of the envelope sender, "<>" for the null sender.
	Sender string `json:"envelope_from"`
	// To are the first few distinct domains of the recipients; Recipients counts all
	// recipients.
	To         []string `json:"envelope_to"`
	Recipients int      `json:"recipients"`
	// Ours is the rule that says whether the message is ours.
	Ours string `json:"ours_because"`
	// Results are those of the checks of a message that was judged.
	Results []Result `json:"results,omitempty"`
	// Signatures are those that were added.
	Signatures  []Signature         `json:"signatures,omitempty"`
	Disposition message.Disposition `json:"disposition"`
	// Would is the action that enforce mode takes; set only in monitor mode.
	Would string `json:"would,omitempty"`
	Reply string `json:"reply,omitempty"`
	// Rule is the rule that decided, or the entry that signs.
	Rule string `json:"rule,omitempty"`
	// Why is one reason in words: why it is not signed, not judged or refused.
	Why      string `json:"why,omitempty"`
	Unsigned bool   `json:"unsigned,omitempty"`
	// Notes are the facts of the log line, in order.
	Notes    []Note `json:"notes,omitempty"`
	WaitedMS int64  `json:"waited_ms"`
	// Cut says that facts are missing, because the message had too many.
	Cut bool `json:"cut,omitempty"`
	// Steps are the rules of the decision, for a reader that asked for them.
	Steps []message.Step `json:"steps,omitempty"`

	lost uint64 // how many messages a reader lost before this one
}

// Result is the result of one check, in the words of RFC 8601 §2.7.
type Result struct {
	Method   string `json:"method"`
	Value    string `json:"result"`
	Domain   string `json:"domain,omitempty"`
	Selector string `json:"selector,omitempty"`
}

// Signature is one DKIM signature of ours.
type Signature struct {
	Domain    string `json:"domain"`
	Selector  string `json:"selector"`
	Algorithm string `json:"algorithm"`
}

// Note is one fact of the log line.
type Note struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Lost is the line that tells a reader how many messages it lost: those that matched its
// filter and were decided before the next line.
type Lost struct {
	Lost uint64 `json:"lost"`
}

// Watching is the first line for a reader: it gets the messages that end from now on.
type Watching struct {
	Watching bool `json:"watching"`
}

// The directions of an Event.
const (
	Inbound  = "inbound"
	Outbound = "outbound"
)
