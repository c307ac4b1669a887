package verifier

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"signpost/internal/authres"
	"signpost/internal/dkim"
	"signpost/internal/message"
)

var dkimValues = texts(dkim.None, dkim.Pass, dkim.Fail, dkim.Policy, dkim.Neutral, dkim.TempError, dkim.PermError)

// startDKIM chooses the signatures to verify and looks up their keys, first those of
// signatures that could make DMARC pass.
func (t *Verification) startDKIM() {
	v := t.verifier
	opt := dkim.Options{
		Now: v.now(), MaxSignatures: v.cfg.DKIM.MaxSignatures, MinRSABits: v.cfg.DKIM.MinRSABits,
		AuthorDomains: t.author.Domains, VerifyRSA: v.verifyRSA, ReadKey: v.records.keys.hook,
	}
	t.dkim = dkim.NewVerification(t.header, opt)
	for _, aligned := range []bool{true, false} {
		for i := range t.dkim.Keys() {
			if t.dkim.KeyMayAlign(i) == aligned {
				t.start((*Verification).lookupKey, i)
			}
		}
	}
	t.startARC(opt)
}

func (t *Verification) lookupKey(from Lookups, i int) {
	resolver := from.OtherKeys
	if t.dkim.KeyMayAlign(i) {
		resolver = from.AlignedKeys
	}
	t.dkim.LookupKey(t.ctx, i, resolver)
}

// concludeDKIM gives the outcomes as they count. Under a key that is marked as a test,
// only a pass counts (RFC 6376 §3.6.1). A pass does not count where a field that may
// stand once has a second copy that is not signed and says something else, because a
// reader may be shown that copy (§8.15).
func concludeDKIM(t *Verification, v *Verdict) {
	v.DKIM = t.dkim.Finish()
	for i := range v.DKIM {
		o := &v.DKIM[i]
		if o.Result == dkim.Pass && len(o.Uncovered) > 0 {
			o.Result = dkim.Policy
			o.Reason = "a second copy of a field is not signed and says something else: " + strings.Join(o.Uncovered, ", ")
		}
		o.Result = o.Effective()
	}
}

// decided are the outcomes without temporary errors, for a message that was not read to
// its end: a signature whose key did not arrive would need the body, too.
func decided(outcomes []dkim.Outcome) []dkim.Outcome {
	return slices.DeleteFunc(slices.Clone(outcomes), func(o dkim.Outcome) bool { return o.Result == dkim.TempError })
}

func findDKIM(v *Verdict, _ *Decision, f findings) findings {
	if len(v.DKIM) == 0 {
		return f.add(Finding{Result: message.Result{Method: authres.MethodDKIM, Value: string(dkim.None)}, Reason: "no signature"})
	}
	listed := listedSignatures(v.DKIM)
	short := uniquePrefix(v.DKIM, listed)
	for i, o := range v.DKIM {
		found := Finding{
			Result: message.Result{Method: authres.MethodDKIM, Value: string(o.Result), Domain: o.Domain, Selector: o.Selector},
			Reason: o.Reason, Public: o.Reason, Unlisted: listed != nil && !listed[i],
		}
		if found.Unlisted {
			f = f.add(found)
			continue
		}
		if o.KeyBits > 0 {
			found.Comment = strconv.Itoa(o.KeyBits) + "-bit key"
		}
		if o.Reason == "" && o.Testing {
			found.Public = "the key is marked as testing (t=y)"
		}
		auid := "" // only authenticated identifiers are reported (RFC 8601 §4)
		if o.Result == dkim.Pass {
			auid = o.AUID
		}
		property := func(name, value string) authres.Property {
			return authres.Property{Type: authres.TypeHeader, Name: name, Value: value}
		}
		f = f.add(found, property("d", o.Domain), property("i", auid), property("s", o.Selector), property("a", o.Algorithm),
			property("b", o.B[:min(short, len(o.B))]))
	}
	return f
}

// maxListed bounds how many signatures the field lists.
const maxListed = 20

// listedSignatures says which outcomes the field lists: nil for all. Of too many, it
// lists those that say most, so that junk on top hides nothing.
func listedSignatures(outcomes []dkim.Outcome) []bool {
	if len(outcomes) <= maxListed {
		return nil
	}
	listed := make([]bool, len(outcomes))
	room := maxListed
	for _, wanted := range []func(dkim.Result) bool{
		func(r dkim.Result) bool { return r == dkim.Pass },
		func(r dkim.Result) bool { return r != dkim.PermError && r != dkim.Neutral },
		func(dkim.Result) bool { return true },
	} {
		for i, o := range outcomes {
			if room > 0 && !listed[i] && wanted(o.Result) {
				listed[i] = true
				room--
			}
		}
	}
	return listed
}

// uniquePrefix is how much of b= tells the listed signatures apart: eight characters, or
// more where two begin alike (RFC 6008 §4).
func uniquePrefix(outcomes []dkim.Outcome, listed []bool) int {
	const least, most = 8, 64
	for n := least; n < most; n++ {
		seen := make(map[string]bool, min(len(outcomes), maxListed))
		alike := false
		for i, o := range outcomes {
			if listed != nil && !listed[i] {
				continue
			}
			b := o.B[:min(n, len(o.B))]
			alike = alike || (b != "" && seen[b])
			seen[b] = true
		}
		if !alike {
			return n
		}
	}
	return most
}

// noteDKIM names the first signatures that do not pass, and says why, unless DMARC
// passes.
func noteDKIM(v *Verdict, notes []message.Note) []message.Note {
	if dmarcPasses(v) {
		return notes
	}
	var selectors, reasons []string
	for _, o := range v.DKIM {
		if o.Result == dkim.Pass || len(reasons) == maxShown {
			continue
		}
		reason := o.Reason
		if o.Err != nil {
			reason += ": " + o.Err.Error()
		}
		selectors = append(selectors, inWords(o.Selector, o.Domain))
		reasons = append(reasons, reason)
	}
	if len(reasons) == 0 {
		return notes
	}
	return append(notes,
		message.Note{Key: "dkim_selector", Value: strings.TrimSpace(strings.Join(selectors, " "))},
		message.Note{Key: "dkim_reason", Value: strings.Join(reasons, "; ")})
}

func explainDKIM(trace *message.Trace, _ message.Envelope, v *Verdict) {
	for _, o := range v.DKIM {
		trace.Add("dkim", fmt.Sprintf("signature d=%s s=%s a=%s", o.Domain, o.Selector, o.Algorithm), words(string(o.Result), o.Reason))
	}
	if len(v.DKIM) == 0 {
		trace.Add("dkim", "the header", "no signature")
	}
}

func reportDKIM(v *Verdict) Report {
	type signature struct {
		Result    string `json:"result"`
		Domain    string `json:"domain,omitempty"`
		Selector  string `json:"selector,omitempty"`
		AUID      string `json:"auid,omitempty"`
		Algorithm string `json:"algorithm,omitempty"`
		KeyBits   int    `json:"key_bits,omitempty"`
		Testing   bool   `json:"testing,omitempty"`
		B         string `json:"b,omitempty"`
		Reason    string `json:"reason,omitempty"`
	}
	signatures := make([]signature, 0, len(v.DKIM))
	for _, o := range v.DKIM {
		signatures = append(signatures, signature{string(o.Result), o.Domain, o.Selector, o.AUID, o.Algorithm, o.KeyBits, o.Testing, o.B, o.Reason})
	}
	return Report{{"dkim", signatures}}
}
