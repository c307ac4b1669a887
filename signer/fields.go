package signer

import "signpost/internal/message"

// coveredField is a header field that signatures cover where it is present.
type coveredField struct {
	name string
	// oversigned lists the name once more in h= than the field occurs, so that adding the
	// field invalidates the signature (RFC 6376 §5.4.2, §8.15).
	oversigned bool
}

// defaultFields are covered unless signer.fields changes them (RFC 6376 §5.4.1, RFC 8058
// §4 for the List-Unsubscribe pair, RFC 9477 §3 for CFBL). Return-Path, Received, Bcc,
// Comments, Keywords, signatures and results are missing, since later hops change them.
//
// Oversigned are the fields that mail programs show or that decide how the body is read,
// if honest hops do not add them. A mailing list that changes nothing else still adds
// Sender (RFC 5322 §3.6.2, RFC 6376 §B.2.3), List- and Resent- fields.
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

// signedNames returns the list for h=: each covered name once for each occurrence, and
// once more if it is oversigned.
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
