package dkim

import (
	"crypto"
	"strings"

	"signpost/internal/message"
)

// CheckUse says why verifiers accept no signature by the key of a record; nil if they
// do. It asks as this package's verifier does (§6.1.2 steps 6 and 8), for a signature as
// signers make them: over SHA-256 (RFC 8301 §3.1), with i= in d= itself.
func (key *Key) CheckUse() error {
	if why := key.unsuited(&Signature{keyType: key.Type, hash: crypto.SHA256}); why != "" {
		return problem(why)
	}
	return nil
}

// RecordSpelling returns what in a key record that ParseKey reads other verifiers may
// refuse or take otherwise, in constant words.
func RecordSpelling(record string) []string {
	var found []string
	strict := tagReader{list: record}
	for _, ok := strict.next(); ok; _, ok = strict.next() {
	}
	if strict.err != nil {
		found = append(found, strict.err.Error())
	}
	r := tagReader{list: record, record: true}
	for t, ok := r.next(); ok; t, ok = r.next() {
		switch t.name {
		case "g":
			// RFC 4871 §3.6.1; RFC 6376 Appendix C has it no more. Verifiers of its time
			// compare the local part of i= with it, and an empty one fits none.
			if t.value != "*" {
				found = append(found, "g= restricts the key to some addresses for old verifiers (RFC 4871)")
			}
		case "k", "h", "s", "t":
			found = append(found, listSpelling(t)...)
		case "p":
			if n := len(stripFWS(t.value)) % 4; n != 0 {
				found = append(found, "p= lacks its padding (=)")
			}
		}
	}
	return found
}

// listSpelling is about the words of k=, h=, s= and t=.
func listSpelling(t tag) []string {
	known := map[string]string{"k": "rsa ed25519", "h": "sha1 sha256", "s": "email *", "t": "y s"}[t.name]
	capitals, empty := false, false
	list(t.value, func(item string) bool {
		empty = empty || item == ""
		for word := range strings.FieldsSeq(known) {
			capitals = capitals || item != word && message.EqualFold(item, word)
		}
		return true
	})
	var found []string
	if capitals {
		found = append(found, t.name+"= is not in small letters (RFC 6376 §3.2)")
	}
	if empty {
		found = append(found, t.name+"= has an empty item")
	}
	return found
}
