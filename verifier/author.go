package verifier

import (
	"fmt"
	"strings"

	"signpost/internal/message"
	"signpost/internal/spf"
)

// Author configures what happens if the author of a message is ambiguous.
type Author struct {
	// OnAmbiguous is reject, tag or accept. The DMARC policies of all domains that a reader
	// could be shown apply in any case.
	OnAmbiguous Action `yaml:"on_ambiguous"`
}

// ambiguous says that programs that read the message would show different authors (RFC
// 9989 §11.5). A bounce may have no author: with a null sender, a From field without a
// domain in any reading is not ambiguous (§5.3.1, RFC 6854).
func (v *Verdict) ambiguous() bool {
	nullSender := v.SPF.Identity == spf.IdentityHelo
	return !v.Author.Certain() && !(nullSender && v.Author.Empty)
}

// byAuthor refuses a message with an ambiguous author if the configuration wants that. It
// also refuses one whose author domains are not all known, because their policies cannot
// be looked up.
func byAuthor(c *Config, v *Verdict) (Decision, bool) {
	if !v.ambiguous() || (c.Author.OnAmbiguous != ActReject && !v.Author.Incomplete) {
		return Decision{}, false
	}
	problem := authorProblem(v.Author)
	rule := "author: " + problem + ", verifier.author.on_ambiguous"
	if c.Author.OnAmbiguous != ActReject {
		rule = "author: " + problem + ", so that not all policies can be looked up"
	}
	return Decision{
		Action: ActReject, Rule: rule,
		Reply: message.Reply{Code: 550, Enhanced: "5.7.1",
			Text: "the From header field does not name one author: " + problem + "; send it again with one well-formed From field whose addresses are of one domain (RFC 5322 section 3.6.2)"},
	}, true
}

// withAuthor applies on_ambiguous to a decision of the other rules that accepts. It changes
// no other decision.
func (c *Config) withAuthor(d Decision, v *Verdict, trace *message.Trace) Decision {
	if d.Action != ActAccept || !v.ambiguous() {
		return d
	}
	d.Action, d.Reply = c.Author.OnAmbiguous, message.Reply{}
	d.Rule = "author: " + authorProblem(v.Author) + ", verifier.author.on_ambiguous"
	trace.Add("verifier.author.on_ambiguous", "no other rule refuses, holds or tags", "applies: "+string(d.Action))
	return d
}

// authorProblem says why an author is not certain.
func authorProblem(a message.Author) string {
	switch {
	case a.Problem != "":
		return a.Problem
	case len(a.Domains) > 1:
		return "the From field has addresses of several domains, " + strings.Join(a.Domains, " and ")
	}
	return "the From field names no author domain"
}

func authorCompared(c *Config, v *Verdict) string {
	if !v.ambiguous() && v.Author.Problem == "" {
		return "one author"
	}
	return authorInWords(v) + "; on_ambiguous: " + string(c.Author.OnAmbiguous)
}

// authorInWords says for a trace whether the author is certain.
func authorInWords(v *Verdict) string {
	a := v.Author
	switch {
	case v.ambiguous():
		return "ambiguous: " + authorProblem(a)
	case a.Lax:
		return fmt.Sprintf("%s in every reading, although %s", a.Domains[0], a.Problem)
	case a.Problem != "":
		return "no author domain in a message with a null sender: " + a.Problem
	}
	return "certain"
}
