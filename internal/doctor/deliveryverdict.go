package doctor

import (
	"strings"

	"signpost/internal/mta"
)

// A verdict is what a receiver's reply says about authentication: "pass", "fail", or nothing.
type verdict struct {
	spf, dkim, dmarc string
	ptr              bool   // the address has no name, or not a confirmed one
	noRecord         bool   // the domain has no DMARC record
	domain           string // the author's, where the reply has it
}

const (
	pass = "pass"
	fail = "fail"
)

func (v verdict) any() bool {
	return v.spf == fail || v.dkim == fail || v.dmarc == fail || v.ptr || v.noRecord
}

// receivers are large ones, by the end of their servers' names.
var receivers = []struct{ suffix, name string }{
	{"google.com", "Gmail"}, {"googlemail.com", "Gmail"}, {"outlook.com", "Outlook"}, {"hotmail.com", "Outlook"},
	{"yahoodns.net", "Yahoo"}, {"icloud.com", "iCloud"}, {"gmx.net", "GMX"}, {"web.de", "WEB.DE"}, {"mail.ru", "Mail.ru"},
}

// receiver names who refused.
func receiver(r mta.Refusal) string {
	for _, known := range receivers {
		if r.Relay == known.suffix || strings.HasSuffix(r.Relay, "."+known.suffix) {
			return known.name
		}
	}
	if r.Relay != "" && r.Relay != "none" {
		return r.Relay
	}
	_, domain, _ := strings.Cut(r.To, "@")
	return domain
}

// authVerdict reports whether a refusal is a verdict on authentication, and which. One about the content, the
// client's reputation or a password is not.
func authVerdict(r mta.Refusal) (verdict, bool) {
	text := strings.ToLower(r.Text)
	switch r.Code {
	case 530, 534, 535, 538: // SMTP AUTH, at a relay host (RFC 4954)
		return verdict{}, false
	}
	v := results(text)
	switch known, isVerdict := byCode(r, text); {
	case isVerdict:
		v = v.with(known)
	case unauthenticated(text) || byText(text, &v):
	default:
		return verdict{}, false
	}
	v.domain = authorIn(text)
	if !v.any() {
		v.dmarc = fail // a verdict without details
	}
	return v, true
}

// with adds what the code says, which counts more than the text.
func (v verdict) with(o verdict) verdict {
	if o.spf != "" {
		v.spf = o.spf
	}
	if o.dkim != "" {
		v.dkim = o.dkim
	}
	if o.dmarc != "" {
		v.dmarc = o.dmarc
	}
	v.ptr, v.noRecord = v.ptr || o.ptr, v.noRecord || o.noRecord
	return v
}

// byCode knows the codes of RFC 7372, and those of Google and Microsoft.
func byCode(r mta.Refusal, text string) (verdict, bool) {
	_, detail, _ := strings.Cut(r.Enhanced, ".7.")
	if strings.HasPrefix(r.Enhanced, "5.7.515") {
		return verdict{}, true
	}
	switch receiver(r) {
	case "Gmail":
		if strings.Contains(text, "rate of unsolicited") {
			return verdict{}, false
		}
		switch detail {
		case "26":
			return verdict{}, true
		case "27":
			return verdict{spf: fail}, true
		case "30":
			return verdict{dkim: fail}, true
		case "31", "40":
			return verdict{noRecord: true}, true
		case "32":
			return verdict{dmarc: fail}, true
		case "23", "25":
			return verdict{ptr: true}, true
		}
		return verdict{}, false
	case "Outlook":
		if detail == "509" {
			return verdict{dmarc: fail}, true
		}
	}
	// RFC 7372 §3.
	switch detail {
	case "20", "21", "22":
		return verdict{dkim: fail}, true
	case "23", "24":
		return verdict{spf: fail}, true
	case "25":
		return verdict{ptr: true}, true
	case "26":
		return verdict{}, true
	}
	return verdict{}, false
}

// unauthenticated knows the sentences of Gmail and Yahoo.
func unauthenticated(text string) bool {
	return containsAny(text, "sender is unauthenticated", "mail is unauthenticated", "unauthenticated email from",
		"fails to pass authentication checks", "does not have authentication information", "required authentication level",
		"isn't aligned with", "is not aligned with")
}

// byText finds a verdict in the words of a reply that has no telling code. A list of a spam filter's rules is
// none.
func byText(text string, v *verdict) bool {
	if containsAny(text, "spam", "score", "unsolicited", "blacklist", "blocklist", "reputation") {
		return false
	}
	failed := containsAny(text, "fail", "not pass", "must pass", "polic", "violat", "not allowed", "not authori", "not permitted", "designate", "invalid", "not accepted", "no valid")
	switch {
	case strings.Contains(text, "dmarc") && failed:
		v.dmarc = fail
	case hasWord(text, "dkim") && failed && v.dkim != pass:
		v.dkim = fail
	case (hasWord(text, "spf") || strings.Contains(text, "sender policy framework")) && failed && v.spf != pass:
		v.spf = fail
	case containsAny(text, "reverse dns", "reverse hostname", "ptr record", "rdns", "reverse lookup") && containsAny(text, "cannot", "no ", "not", "fail", "missing", "invalid"):
		v.ptr = true
	default:
		return false
	}
	return true
}

func containsAny(text string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// hasWord reports whether a word stands in the text by itself.
func hasWord(text, word string) bool {
	for {
		before, after, found := strings.Cut(text, word)
		if !found {
			return false
		}
		if (before == "" || !isLetter(before[len(before)-1])) && (after == "" || !isLetter(after[0])) {
			return true
		}
		text = after
	}
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || c == '_' }

// results reads what a reply says of each method: "Spf= Fail , Dkim= Pass", "DKIM = did not pass", "SPF check for
// [d] did not pass".
func results(text string) verdict {
	var v verdict
	name, from := "", 0
	for i := 0; i <= len(text); i++ {
		next := ""
		if i < len(text) {
			if next = methodAt(text[i:]); next == "" {
				continue
			}
		}
		v.said(name, text[from:i])
		name, i = next, i+max(0, len(next)-1)
		from = min(i+1, len(text))
	}
	return v
}

// methodAt returns the name of a method that the text begins with.
func methodAt(text string) string {
	for _, n := range []string{"spf", "dkim", "dmarc"} {
		if strings.HasPrefix(text, n) {
			return n
		}
	}
	return ""
}

// said notes what stands behind the name of a method; the first result of each counts.
func (v *verdict) said(method, text string) {
	to := map[string]*string{"spf": &v.spf, "dkim": &v.dkim, "dmarc": &v.dmarc}[method]
	if to != nil && *to == "" {
		*to = result(text)
	}
}

// result reads "= pass", "checks did not pass", ": FAILURE".
func result(said string) string {
	if strings.Contains(said, "fail") || containsAny(said, "not pass", "n't pass") || strings.HasPrefix(strings.TrimLeft(said, " =:"), "none") {
		return fail
	}
	if strings.Contains(said, "pass") {
		return pass
	}
	return ""
}

// authorIn is the author domain, where a reply names it: "sending domain X does not meet", "email from X is not
// accepted due to".
func authorIn(text string) string {
	for _, phrase := range []string{"sending domain ", "unauthenticated email from ", "dmarc policy for ", "dmarc: mail from "} {
		if _, after, ok := strings.Cut(text, phrase); ok {
			word, _, _ := strings.Cut(after, " ")
			word = strings.Trim(word, "[]<>().,;'\"")
			if strings.Contains(word, ".") {
				return word
			}
		}
	}
	return ""
}
