package dkim

import (
	"crypto"
	"strings"

	"signpost/internal/message"
)

// CheckUse says why verifiers accept no signature by the key of a record; nil if they
// do. It applies the rules of this package's verifier (§6.1.2 steps 6 and 8) to a usual
// signature: SHA-256 (RFC 8301 §3.1), with i= in d= itself.
func (key *Key) CheckUse() error {
	if why := key.unsuited(&Signature{keyType: key.Type, hash: crypto.SHA256}); why != "" {
		return problem(why)
	}
	return nil
}

// RecordSpelling returns, in constant words, the parts of a valid key record that other
// verifiers may refuse or read differently.
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
			// RFC 4871 §3.6.1; removed in RFC 6376 Appendix C. Old verifiers compare
			// the local part of i= with g=; an empty g= matches nothing.
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

// listSpelling checks the words of k=, h=, s= and t=.
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
