package signer

import "signpost/internal/message"

// coveredField is a header field that signatures cover where it is present.
type coveredField struct {
	name string
	// oversigned says that one occurrence more than present is listed in h=: such a
	// field cannot be added afterwards without breaking the signature (RFC 6376
	// §5.4.2, §8.15).
	oversigned bool
}

// defaultFields are the fields that are covered without signer.fields (RFC 6376
// §5.4.1, RFC 8058 §4 for the List-Unsubscribe pair, RFC 9477 §3 for CFBL). Hops on the
// way change or remove Return-Path, Received, Bcc, Comments, Keywords, signatures and
// results, so these are not among them.
//
// Oversigned are the fields that a reader is shown or that decide how the body is read,
// and that are not added to honest mail on the way. A mailing list that changes nothing
// still adds its Sender (RFC 5322 §3.6.2, RFC 6376 §B.2.3), its List- and its Resent-
// fields.
var defaultFields = []coveredField{
	{"From", true}, {"To", true}, {"Cc", true}, {"Subject", true}, {"Date", true},
	{"Reply-To", true}, {"Sender", false}, {"Message-ID", false},
	{"MIME-Version", false}, {"Content-Type", true}, {"Content-Transfer-Encoding", false},
	{"In-Reply-To", false}, {"References", false},
	{"List-Id", false}, {"List-Help", false}, {"List-Unsubscribe", false},
	{"List-Unsubscribe-Post", false}, {"List-Subscribe", false}, {"List-Post", false},
	{"List-Owner", false}, {"List-Archive", false},
	{"Resent-Date", false}, {"Resent-From", false}, {"Resent-Sender", false},
	{"Resent-To", false}, {"Resent-Cc", false}, {"Resent-Message-ID", false},
	{"Autocrypt", false}, {"Feedback-ID", false}, {"CFBL-Address", false}, {"CFBL-Feedback-ID", false},
}

// signedNames returns the h= of a message's signatures: each covered name as
// often as the field is present, and once more where it must not be added.
func signedNames(covered []coveredField, h message.Header) []string {
	counts := make([]int, len(covered))
	for _, f := range h {
		for i := range covered {
			if f.Is(covered[i].name) {
				counts[i]++
				break
			}
		}
	}
	names := make([]string, 0, len(covered))
	for i, c := range covered {
		n := counts[i]
		if c.oversigned {
			n++
		}
		for range n {
			names = append(names, c.name)
		}
	}
	return names
}
