package doctor

import (
	"fmt"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// report makes a finding of each group.
func (d *deliveries) report() {
	for g, all := range d.groups {
		cause, remedy := g.explain()
		r := all.example
		code := strings.TrimSpace(fmt.Sprintf("%d %s", r.Code, r.Enhanced))
		f := Finding{ID: "delivery.refused", Subject: g.domain, Remedy: remedy}
		verb := "refused"
		if g.later {
			verb, f.Severity, f.Consequence = "put off", Medium, "mail is late, and will be refused if it stays as it is"
		}
		f.Finding = fmt.Sprintf("%s %s %s of %s: %s (last on %s: %s)",
			g.receiver, verb, messages(len(all.messages)), orUnknown(g.domain), cause, all.last.UTC().Format("2006-01-02 15:04 MST"), code)
		d.h.add(f)
	}
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

func orUnknown(domain string) string {
	if domain == "" {
		return "an unknown domain"
	}
	return domain
}

// explain says why, from the receiver's verdict and from what we did with the message, and what to do.
func (g group) explain() (cause string, remedy Remedy) {
	v := g.verdict
	switch {
	case v.ptr:
		return "the address that mail leaves from has no name in DNS, or one that does not lead back to it",
			Remedy{Text: "Have the provider of the address set its PTR record to the name that Postfix says (myhostname), and give that name the address. signpost doctor looks at both (ptr.missing, ptr.mismatch)."}
	case v.noRecord:
		return "the domain has no DMARC record, or none with a policy", publish("Publish one:", fmt.Sprintf(`_dmarc.%s. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@%s"`, organizational(g.domain), organizational(g.domain)))
	case g.joined && g.signed == "":
		why := g.unsigned
		if why == "" {
			why = "Signpost's log says no more"
		}
		return "it was not signed: " + why, Remedy{Text: "Do what this reason of Signpost's says; signpost explain --outbound FILE shows every rule for such a message."}
	case g.signed != "" && v.dkim != fail && g.domain != "" && !aligned(g.domain, g.signed):
		return g.notAligned()
	case v.dkim == fail && g.signed != "":
		return g.badSignature()
	case v.spf == fail && v.dmarc != fail && v.dkim != fail:
		return "SPF failed: its record does not cover the address that mail leaves from", g.spfRemedy()
	}
	return g.neither()
}

// notAligned: the signature is good, but of another organization.
func (g group) notAligned() (string, Remedy) {
	passed := "the signature is not aligned"
	if g.verdict.dkim == pass {
		passed = "DKIM passed but is not aligned"
	}
	return fmt.Sprintf("%s: entry %s signs as d=%s", passed, quoted(g.entry), g.signed),
		Remedy{Text: fmt.Sprintf("Sign as the author's domain: give %s a key of its own (or the key of %s by keys_of), publish the record that the command prints, and write the entry into signpost.yaml:", g.domain, g.signed),
			Lines:    []string{fmt.Sprintf("- {domain: %s, selectors: [s1]}", g.domain)},
			Commands: [][]string{{"signpost", "keys", "generate", g.domain, "s1"}}}
}

// quoted is the name of an entry in our log, as in `signer.domains "*"`, alone.
func quoted(entry string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(entry, "signer.domains "), " ")
	name = strings.Trim(name, `"`)
	if name == "" {
		return "(unknown)"
	}
	return "`" + name + "`"
}

// badSignature: our signature did not verify there.
func (g group) badSignature() (string, Remedy) {
	if g.fragile != "" {
		return fmt.Sprintf("our signature (d=%s) did not verify there; Signpost had warned that it would break: %s", g.signed, g.fragile),
			Remedy{Text: "Do what the note fragile= in Signpost's log says (docs/signing.md, Signatures that will break)."}
	}
	return fmt.Sprintf("our signature (d=%s) did not verify there", g.signed),
		Remedy{Text: "Look whether DNS has this key; if it has, something behind Signpost changes the mail, which signer.self_check: 1 shows:",
			Commands: [][]string{{"signpost", "keys", "check", g.signed}}}
}

func (g group) spfRemedy() Remedy {
	return Remedy{Text: fmt.Sprintf("Add the address that mail leaves from to the SPF record of the domain in MAIL FROM (%s). signpost doctor says which address (spf.not-covering).", orUnknown(g.domain))}
}

// neither: nothing passed, and no single cause is known.
func (g group) neither() (string, Remedy) {
	v := g.verdict
	said := []string{}
	for _, r := range []struct{ name, result string }{{"SPF", v.spf}, {"DKIM", v.dkim}, {"DMARC", v.dmarc}} {
		if r.result != "" {
			said = append(said, r.name+" "+r.result)
		}
	}
	cause := "its verdict is " + strings.Join(said, ", ")
	if !g.joined {
		cause += "; Signpost's own line about the message was not found in the log, so the mail may not have passed through it"
	}
	remedy := Remedy{Text: "Look how such a message is handled; the other findings of signpost doctor show what DNS and the MTA lack:", Commands: [][]string{{"signpost", "keys", "check", g.domain}}}
	if g.domain == "" {
		remedy = Remedy{Text: "Look how such a message is handled, by signpost explain --outbound; the other findings of signpost doctor show what DNS and the MTA lack."}
	}
	return cause, remedy
}

// organizational is the domain at which a DMARC record is enough for all below.
func organizational(domain string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return org
	}
	return domain
}
