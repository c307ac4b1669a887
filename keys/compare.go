package keys

import (
	"errors"
	"fmt"
	"strings"

	"signpost/internal/dkim"
)

// Answer says what DNS has at a key's name: by one server at one time, or by all servers.
type Answer string

const (
	// NoAnswer is a timeout, SERVFAIL and the like; for all servers: nothing is known.
	NoAnswer Answer = ""
	// Found is a record with exactly this key.
	Found Answer = "found"
	// Absent is no key record.
	Absent Answer = "absent"
	// Differs is a record that does not fit the key: another key, a revoked one, several
	// records, or text that cannot be parsed.
	Differs Answer = "differs"
)

// The words of Finding.Fault.
const (
	faultForeign  = "foreign"
	faultRevoked  = "revoked"
	faultOther    = "other"
	faultSeveral  = "several"
	faultDamaged  = "damaged"
	faultBarred   = "barred"
	faultSpelling = "spelling"
)

// Finding is the comparison of one answer with a key.
type Finding struct {
	Answer Answer
	// Fault is the kind of the fault, for programs: foreign (there are other texts at the name, and
	// no key), revoked, other (another key), several (records, also where all have the key),
	// damaged (the key is there or was meant, and cannot be read), barred (for our signatures),
	// spelling (Found, but other verifiers may refuse it), or "".
	Fault string
	// Testing says that a Found record has t=y.
	Testing bool
	// Detail names the fault, as the rest of a sentence that begins with the record; "" if the
	// record is right.
	Detail string
	// Warnings are about a record that is Found nevertheless.
	Warnings []string
	// Err is the error of a server that gave NoAnswer.
	Err error
}

// Gone reports whether no verifier finds the key: its record is absent, revoked, or one of another
// key.
func (f Finding) Gone() bool {
	return f.Answer == Absent || f.Fault == faultRevoked || f.Fault == faultOther
}

// CompareRecord compares the TXT records at a key's name with the key's fingerprint.
func CompareRecord(fingerprint string, records []string) Finding {
	var found, foreign []string
	for _, r := range records {
		if looksLikeKey(r) {
			found = append(found, r)
			continue
		}
		foreign = append(foreign, r)
	}
	switch {
	case len(found) == 0 && len(foreign) == 0:
		return Finding{Answer: Absent, Detail: "does not exist"}
	case len(found) == 0:
		return Finding{Answer: Absent, Fault: faultForeign, Detail: fmt.Sprintf("has other text and no key (a wildcard record?): %s", excerpt(foreign[0]))}
	case len(found) > 1:
		return severalRecords(fingerprint, found)
	}
	f := compareOne(fingerprint, found[0])
	if f.Answer != Found && len(foreign) > 0 {
		if whole := compareOne(fingerprint, found[0]+foreign[0]); whole.Answer == Found {
			f.Fault, f.Detail = faultDamaged, "was entered in pieces, as several records: make them several strings of one record"
		}
	}
	if f.Answer == Found && len(foreign) > 0 {
		f.Fault = faultSeveral
		f.Warnings = append(f.Warnings, fmt.Sprintf("there is a second TXT record at the name, which some verifiers read instead: delete %s", excerpt(foreign[0])))
	}
	return f
}

// severalRecords: a verifier may take any of them (RFC 6376 §3.6.2.2).
func severalRecords(fingerprint string, records []string) Finding {
	ours := 0
	for _, r := range records {
		if compareOne(fingerprint, r).Answer == Found {
			ours++
		}
	}
	switch {
	case ours == len(records):
		return Finding{Answer: Found, Fault: faultSeveral, Warnings: []string{fmt.Sprintf("the same key stands there in %d records: delete all but one", ours)}}
	case ours > 0:
		return Finding{Answer: Differs, Fault: faultSeveral, Detail: fmt.Sprintf("has %d key records, and a verifier may take any: delete the other", len(records))}
	}
	return Finding{Answer: Differs, Fault: faultOther, Detail: fmt.Sprintf("has %d key records, none of them with this key", len(records))}
}

// looksLikeKey distinguishes key records from the answers of wildcards.
func looksLikeKey(record string) bool {
	text := strings.ToLower(clean(record))
	return strings.HasPrefix(text, "v=dkim1") || strings.HasPrefix(text, "p=") || strings.Contains(text, ";p=")
}

// clean removes characters that are often pasted by mistake: blanks, quotation marks, backslashes.
func clean(record string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n\"'\\", r) {
			return -1
		}
		return r
	}, record)
}

func compareOne(fingerprint, record string) Finding {
	key, err := dkim.ParseKey(record)
	switch {
	case errors.Is(err, dkim.ErrKeyRevoked):
		return Finding{Answer: Differs, Fault: faultRevoked, Detail: "is revoked (its p= is empty); a revoked key stays so, make a new one"}
	case err == nil && keyPrint(key) == fingerprint:
		return compareUse(key, record)
	}
	if whole, bad := dkim.ParseKey(clean(record)); bad == nil && keyPrint(whole) == fingerprint {
		return Finding{Answer: Differs, Fault: faultDamaged, Detail: "has this key, but with quotation marks, backslashes or the like that do not belong there: enter the value without them"}
	}
	const oneString = 255
	switch {
	case err != nil && len(record) >= oneString-5 && len(record) <= oneString:
		return Finding{Answer: Differs, Fault: faultDamaged, Detail: fmt.Sprintf("is cut off after %d octets: a longer value has to be entered as several strings of one record", len(record))}
	case err != nil:
		return Finding{Answer: Differs, Fault: faultDamaged, Detail: fmt.Sprintf("is not used by verifiers (%v)", err)}
	}
	return Finding{Answer: Differs, Fault: faultOther, Detail: fmt.Sprintf("has another key (%s, %d bits)", key.Type, key.Bits)}
}

// compareUse checks whether verifiers would use a record that has the key.
func compareUse(key *dkim.Key, record string) Finding {
	if err := key.CheckUse(); err != nil {
		return Finding{Answer: Differs, Fault: faultBarred, Detail: fmt.Sprintf("has this key, but verifiers do not use it for our signatures (%v): take h= out, or write h=sha256", err)}
	}
	f := Finding{Answer: Found, Testing: key.Testing, Warnings: recordWarnings(key, record)}
	if len(dkim.RecordSpelling(record)) > 0 {
		f.Fault = faultSpelling
	}
	return f
}

func keyPrint(key *dkim.Key) string { return fingerprint(key.Public) }

func recordWarnings(key *dkim.Key, record string) []string {
	var w []string
	for _, odd := range dkim.RecordSpelling(record) {
		w = append(w, "other verifiers may refuse the record: "+odd)
	}
	if key.Testing {
		w = append(w, "the record says t=y (testing), which lets verifiers treat the mail as unsigned: take it out")
	}
	if key.Type == dkim.RSA && key.Bits < goodRSABits {
		w = append(w, fmt.Sprintf("an RSA key of %d bits is weak: rotate to one of %d", key.Bits, goodRSABits))
	}
	return w
}

// excerpt is the beginning of a foreign text, safe to print.
func excerpt(text string) string {
	const longest = 40
	if len(text) > longest {
		return fmt.Sprintf("%q…", text[:longest])
	}
	return fmt.Sprintf("%q", text)
}
