package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"signpost/internal/daemon"
	"signpost/internal/message"
	"signpost/signer"
	"signpost/verifier"
)

// meaning says in words what a configuration does with mail.
type meaning struct {
	// Ours is which mail is ours; all other mail is judged.
	Ours []string `json:"ours"`
	// Signed is who is signed by what.
	Signed []string `json:"signed"`
	// Judged is what becomes of mail that is not ours, in enforce mode; Refuses says
	// whether that is done.
	Judged  []string `json:"judged"`
	Refuses bool     `json:"enforced"`
}

// mostMeant limits each list.
const mostMeant = 20

func meaningOf(g *daemon.Generation) meaning {
	c := g.Config
	return meaning{
		Ours: cutList(oursInWords(c)), Signed: cutList(signedInWords(g)),
		Judged: cutList(judgedInWords(c.Verifier)), Refuses: c.Verifier.Mode == verifier.Enforce,
	}
}

func cutList(list []string) []string {
	if len(list) > mostMeant {
		return append(list[:mostMeant:mostMeant], fmt.Sprintf("and %d more", len(list)-mostMeant))
	}
	return list
}

// oursInWords says which mail is ours.
func oursInWords(c daemon.Config) []string {
	ours := []string{}
	if c.Signer.Outbound.Authenticated {
		ours = append(ours, "the client has logged in")
	}
	if n := c.Signer.Outbound.Networks; len(n) > 0 {
		ours = append(ours, "the client is in "+networksInWords(n))
	}
	if names := c.Signer.Outbound.DaemonNames; len(names) > 0 {
		ours = append(ours, "it came in at the service "+strings.Join(names, " or "))
	}
	for _, l := range c.Milter.Listen {
		switch l.Role {
		case message.RoleSign:
			ours = append(ours, "it came in at "+l.Address.String()+" (role: sign)")
		case message.RoleVerify:
			ours = append(ours, "but nothing at "+l.Address.String()+" (role: verify)")
		case message.RoleSeal:
			ours = append(ours, "but at "+l.Address.String()+" the mail of lists is sealed (role: seal)")
		}
	}
	return ours
}

func networksInWords(networks []netip.Prefix) string {
	var words []string
	for _, n := range networks {
		words = append(words, n.String())
	}
	return strings.Join(cutList(words), ", ")
}

// signedInWords says for each entry who is signed by what.
func signedInWords(g *daemon.Generation) []string {
	signed := []string{}
	for _, d := range g.Config.Signer.Domains {
		signed = append(signed, whoInWords(d)+": "+byInWords(g, d))
	}
	if s := g.Config.Signer.Senders; len(signed) > 0 && s.Mode != signer.SendersOff {
		signed = append(signed, fmt.Sprintf("only for authors that signer.senders allows; else %s", map[bool]string{true: "refused (550)", false: "unsigned"}[s.Mode == signer.SendersReject]))
	}
	return signed
}

func whoInWords(d signer.Domain) string {
	switch {
	case d.Domain == signer.AnyDomain:
		return "every other domain that has a key"
	case d.Subdomains:
		return d.Domain + " and all names below it"
	}
	return d.Domain
}

func byInWords(g *daemon.Generation, d signer.Domain) string {
	if d.SDID != "" {
		return "as mail of " + d.SDID
	}
	folder, of := d.Domain, ""
	if d.KeysOf != "" {
		folder, of = d.KeysOf, " of "+d.KeysOf
	}
	if at := strings.LastIndexByte(folder, '@'); at >= 0 {
		folder = folder[at+1:]
	}
	if ascii, ok := message.DomainToASCII(folder); ok {
		folder = ascii
	}
	var keys []string
	for _, s := range d.Selectors {
		text := s.Selector
		if k, ok := g.Store.Lookup(folder, s.Selector); ok {
			text += " (" + string(k.Algorithm) + ")"
		}
		keys = append(keys, text)
	}
	return "by " + strings.Join(keys, ", ") + of
}

// actions says what an action does to a message.
var actions = map[verifier.Action]string{
	verifier.ActAccept: "delivered", verifier.ActTag: "delivered with X-Signpost-Disposition", verifier.ActQuarantine: "held in the queue",
	verifier.ActReject: "refused (550)", verifier.ActTempfail: "put off (451)", "none": "delivered",
}

// judgedInWords says what becomes of mail that is not ours, in the order of the rules.
func judgedInWords(c verifier.Config) []string {
	judged := []string{}
	add := func(what string, a verifier.Action) { judged = append(judged, what+": "+actions[a]) }
	if n := c.Trusted.Networks; len(n) > 0 {
		judged = append(judged, "from "+networksInWords(n)+": passed as it is, not judged")
	}
	add("addresses of several domains in From, or none", c.Author.OnAmbiguous)
	for _, f := range c.Forwarders {
		judged = append(judged, "through the forwarder "+f.Label()+": judged, not refused for SPF or DMARC")
	}
	for _, o := range c.Overrides {
		judged = append(judged, overrideInWords(o))
	}
	if c.OwnDomains == "protect" {
		add("our own domain in From, and neither SPF nor DKIM for it", verifier.ActReject)
	}
	add("fails DMARC under p=reject", c.DMARC.OnReject)
	add("fails DMARC under p=quarantine", c.DMARC.OnQuarantine)
	add("DNS is silent about what could make it pass", c.OnUndecided)
	add("DNS is silent about the policy", c.OnTempError)
	add("spf=fail, and no DMARC record", c.SPF.OnFail)
	return judged
}

func overrideInWords(o verifier.Override) string {
	who := o.Domain
	if who == "" {
		who = "mail at " + o.Listener
	}
	what := " fails"
	if o.Require != "" {
		what = " has no aligned DKIM signature"
	}
	action := o.OnFail
	if action == "" {
		action = verifier.ActReject
	}
	text := who + what + ": " + actions[action]
	if o.Mode == verifier.Monitor {
		text += ", noted in the log alone (mode: monitor)"
	}
	return text
}

// print writes the meaning as text.
func (m meaning) print(w io.Writer) {
	section := func(title string, list []string) {
		fmt.Fprintln(w, title)
		for _, line := range list {
			for i, part := range wrapped(printable(line), helpWidth-6) {
				fmt.Fprintln(w, strings.Repeat("  ", 1+min(i, 1))+part)
			}
		}
	}
	switch {
	case len(m.Ours) == 0:
		section("No mail is ours: nothing is signed.", nil)
	case len(m.Signed) == 0:
		section("Mail is ours, but no domain is listed in signer.domains: nothing is signed.", nil)
	default:
		section("A message is ours if", m.Ours)
		section("It is signed by the domain in its From:", m.Signed)
	}
	if m.Refuses {
		section("All other mail is judged:", m.Judged)
		return
	}
	section("All other mail is judged and delivered (monitor). In enforce mode:", m.Judged)
}
