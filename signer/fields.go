package signer

import "signpost/internal/message"

// covered are the fields a signature covers where they are present (RFC 6376
// §5.4.1, RFC 8058 §4 for the List-Unsubscribe pair, RFC 9477 §3 for CFBL). Not
// among them, because hops on the way change or remove them: Return-Path,
// Received, Bcc, Comments, Keywords, other signatures and anybody's results.
//
// oversigned says that one occurrence more than present is listed: such a field
// cannot be added afterwards without breaking the signature (§5.4.2, §8.15).
// They are the ones that a reader is shown or that decide how the body is read,
// and that nobody adds to honest mail on the way.
var covered = []struct {
	name       string
	oversigned bool
}{
	{"From", true}, {"To", true}, {"Cc", true}, {"Subject", true}, {"Date", true},
	{"Reply-To", true}, {"Sender", true}, {"Message-ID", false},
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
// often as the field stands there, and once more where it must not be added.
func signedNames(h message.Header) []string {
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
