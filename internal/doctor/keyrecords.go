package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"signpost/keys"
	"signpost/keys/lifecycle"
)

// lookAtKeyRecords compares each listed key with its records.
func lookAtKeyRecords(ctx context.Context, h *Host) {
	each(ctx, h, "the records of keys", h.publishedKeys(), func(ctx context.Context, k lifecycle.Status) { h.lookAtRecord(ctx, k) })
}

// publishedKeys are the listed keys with a name in DNS whose public part is known.
func (h *Host) publishedKeys() []lifecycle.Status {
	return slices.DeleteFunc(h.listedKeys(), func(k lifecycle.Status) bool {
		return k.Ref.Domain == keys.AnyDomain || k.Key == nil && k.Fact.Fingerprint == ""
	})
}

// fingerprint is that of the private key, or what the daemon wrote of a key that this process
// may not read.
func fingerprint(k lifecycle.Status) string {
	if k.Key != nil {
		return k.Key.Fingerprint()
	}
	return k.Fact.Fingerprint
}

// lookAtRecord compares one key with its records.
func (h *Host) lookAtRecord(ctx context.Context, k lifecycle.Status) {
	name := k.Ref.RecordName()
	h.judge(ctx, name, keyName(k.Ref), func(records []string) []fault {
		f := keys.CompareRecord(fingerprint(k), records)
		if f.Answer == keys.Absent {
			return []fault{h.absentRecord(ctx, k, f)}
		}
		return h.recordFaults(k, f)
	})
}

// record is the remedy of a missing or wrong record.
func (h *Host) record(k lifecycle.Status, text string) Remedy {
	if k.Key == nil {
		return Remedy{Text: text, Lines: []string{h.recordCommand(k.Ref)}}
	}
	return publish(text, k.Key.ZoneLine())
}

// recordCommand prints the record of a key, for a process that may read it.
func (h *Host) recordCommand(ref keys.Ref) string {
	return command([]string{"signpost", "keys", "record", "--dir", h.Config.Keys.Dir, ref.Domain, ref.Selector})
}

// absentRecord is the fault of a name without a key record: not published, or elsewhere.
func (h *Host) absentRecord(ctx context.Context, k lifecycle.Status, f keys.Finding) fault {
	name := k.Ref.RecordName()
	for _, wrong := range wrongNames(k.Ref) {
		records, err := h.views.truth(ctx, wrong)
		if err != nil || keys.CompareRecord(fingerprint(k), records).Answer == keys.Absent {
			continue
		}
		return fault{id: "key.wrong-name", text: "does not exist; the record is published as " + wrong + whyWrong(name, wrong),
			remedy: h.record(k, fmt.Sprintf("Enter the name without the domain, as %s, or with a dot at its end, and delete the record at %s. In a zone file:", strings.TrimSuffix(name, "."+k.Ref.Domain), wrong))}
	}
	out := fault{id: "key.not-published", text: f.Detail, remedy: h.record(k, "Publish this record:")}
	if h.standsIn(k) {
		out.severity, out.effect = Medium, "another key of the domain signs in its place until the record is there"
		if k.ActiveFrom.After(h.Now) || !k.Made.IsZero() && h.Now.Sub(k.Made) < h.PendingFor {
			out.severity = Low
		}
	}
	return out
}

// wrongNames are names under which records are published by mistake.
func wrongNames(ref keys.Ref) []string {
	name := ref.RecordName()
	wrong := []string{name + "." + ref.Domain}
	for up := parentDomain(ref.Domain); strings.Contains(up, "."); up = parentDomain(up) {
		wrong = append(wrong, name+"."+up, ref.Selector+"._domainkey."+up)
	}
	for _, before := range []string{ref.Selector, "_domainkey", ref.Selector + ".domainkey", ref.Selector + "_domainkey", ref.Selector + "._domainkey._domainkey",
		ref.Selector + "._domainkey." + ref.Selector + "._domainkey", ref.Selector + "._domainkey.www", ref.Selector + "._domainkey.mail"} {
		wrong = append(wrong, before+"."+ref.Domain)
	}
	return wrong
}

// whyWrong explains the name that stands there, where it tells.
func whyWrong(right, wrong string) string {
	if strings.HasPrefix(wrong, right+".") {
		return ": the DNS provider adds the domain to the name that is entered"
	}
	return ", where no receiver looks"
}

func parentDomain(domain string) string {
	_, up, _ := strings.Cut(domain, ".")
	return up
}

// standsIn reports whether another listed key of the same domain and algorithm is known to sign,
// or was found in DNS.
func (h *Host) standsIn(k lifecycle.Status) bool {
	return slices.ContainsFunc(h.Keys, func(o lifecycle.Status) bool {
		a, _ := algorithm(k)
		b, _ := algorithm(o)
		return o.Ref != k.Ref && o.Ref.Domain == k.Ref.Domain && a == b && (o.Fact.State == lifecycle.Active || o.Fact.DNS == keys.Found)
	})
}

// recordFaults are the faults of a record that is there.
func (h *Host) recordFaults(k lifecycle.Status, f keys.Finding) []fault {
	var all []fault
	detail := f.Detail
	if detail == "" && len(f.Warnings) > 0 {
		detail = "is readable, but " + strings.Join(f.Warnings, "; ")
	}
	switch f.Fault {
	case "several":
		found := fault{id: "key.several-records", text: detail, remedy: h.record(k, "Delete every record at this name but this one:")}
		if f.Answer == keys.Found {
			found.severity = Medium
		}
		all = append(all, found)
	case "damaged":
		if tooLong(k) {
			break // key.weak has it: the record is as unusable as its key
		}
		all = append(all, fault{id: "key.damaged", text: detail, remedy: h.record(k, "Replace the record by this one, with no quotation marks or backslashes of its own in a web form:")})
	case "spelling":
		all = append(all, fault{id: "key.damaged", text: detail, severity: Medium, effect: "some receivers refuse the record, and signatures of the key fail there",
			remedy: h.record(k, "Replace the record by this one:")})
	case "revoked":
		all = append(all, fault{id: "key.differs", text: detail, remedy: Remedy{Text: "Replace the key by a new one; this prints the record to publish and the line to change:",
			Lines: []string{h.signpost("keys", "rotate", k.Ref.Domain)}}})
	case "other", "barred":
		all = append(all, fault{id: "key.differs", text: detail, remedy: h.record(k, "If this host's key is the right one, replace the record by this one; if another host signs with the published key, give this key a selector of its own:")})
	}
	if f.Testing {
		all = append(all, h.testingFault(k))
	}
	return all
}

// testingFault is the fault of a record with t=y, which is normal for a few days.
func (h *Host) testingFault(k lifecycle.Status) fault {
	f := fault{id: "key.testing-flag", text: "has t=y", remedy: h.record(k, "Publish the record without t=y:")}
	if since := k.Fact.FirstSeen; !since.IsZero() && h.Now.Sub(since) < h.TestingFor {
		f.severity = Low
	}
	return f
}
