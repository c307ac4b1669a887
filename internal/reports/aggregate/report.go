// Package aggregate has the aggregate report of DMARC (RFC 9990, and RFC 7489 §7.2 before it)
// as Go types, and reads it from XML. Those who write reports use the same types.
//
// The reader takes what real reporters send: see Read for what it forgives.
package aggregate

import (
	"net/netip"
	"time"
)

// Namespace is the namespace of a report of RFC 9990, and Version the content of its element
// version.
const (
	Namespace = "urn:ietf:params:xml:ns:dmarc-2.0"
	Version   = "1.0"
)

// A Report is one aggregate report without its records, which are passed one by one, since
// there may be tens of thousands.
type Report struct {
	Namespace string // of the root element; "" if it had none
	Version   string
	Metadata  Metadata
	Policy    Policy
	Skipped   int // records without an address or a number of messages: not passed
}

// Metadata says who reports about which time (RFC 9990 §3.1.1.3).
type Metadata struct {
	OrgName      string
	Email        string
	ExtraContact string
	ReportID     string
	Begin, End   time.Time // UTC, whole seconds; End is the last second of the period
	Error        string
	Generator    string
}

// Policy is the DMARC record as the reporter found it (RFC 9990 §3.1.1.5). A tag that was not
// reported is "".
type Policy struct {
	Domain          string // where the record was found
	P, SP, NP       string // none, quarantine, reject
	ADKIM, ASPF     string // r, s
	FO              string
	Testing         string // y, n
	DiscoveryMethod string // psl, treewalk
	Pct             string // RFC 7489 only: not written
}

// A Record is a number of messages of which all that is reported was equal (RFC 9990 §3.1.1.6).
type Record struct {
	SourceIP    netip.Addr
	Count       int64
	Disposition string // what the reporter did: none, pass, quarantine, reject
	DKIM, SPF   string // aligned results: pass, fail
	Reasons     []Reason

	HeaderFrom   string // domain of the From field
	EnvelopeFrom string // domain of the reverse-path; "" for the null one
	EnvelopeTo   string // domain of the recipients; "" if it is not told

	Signatures []Signature
	Senders    []Sender // RFC 9990 allows one at most; others report several
}

// Aligned tells whether the messages passed DMARC.
func (r *Record) Aligned() bool { return r.DKIM == "pass" || r.SPF == "pass" }

// A Reason says why the disposition is not the one of the policy (RFC 9990 §3.1.1.9).
type Reason struct {
	Type    string // local_policy, mailing_list, other, policy_test_mode, trusted_forwarder
	Comment string
}

// A Signature is the result of one DKIM signature, whether aligned or not (RFC 9990 §3.1.1.12).
type Signature struct {
	Domain, Selector string
	Result           string // RFC 8601 §2.7.1
	HumanResult      string
}

// A Sender is a result of SPF, whether aligned or not (RFC 9990 §3.1.1.13).
type Sender struct {
	Domain      string
	Scope       string // mfrom; helo in reports of RFC 7489; "" if it is not told
	Result      string // RFC 8601 §2.7.2
	HumanResult string
}
